"""Bad input: exit code 2, one line on stderr that says what, where and what to do, no traceback, nothing written."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from so8t.training.checkpoints import GATES_FILE

Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refused(tmp_path: Path, so8t: Run) -> Callable[..., str]:
    """Give a function that runs `so8t train`, expects a refusal, and gives the line."""

    def run(*words: object, **more: object) -> str:
        before = snapshot(tmp_path)
        code, out, err = so8t("train", *words, **more)
        assert code == 2, (code, out, err)
        assert err.count("\n") == 1, err
        assert err.startswith("so8t: error: "), err
        assert "Traceback" not in out + err
        assert snapshot(tmp_path) == before, "something was written"
        return err

    return run


def test_no_config(refused: Callable[..., str]) -> None:
    assert "no configuration file at nowhere.yaml" in refused("--config", "nowhere.yaml")


def test_config_not_given(refused: Callable[..., str]) -> None:
    assert "Missing option '--config'" in refused()


def test_an_option_that_does_not_exist(refused: Callable[..., str], write_settings: Write) -> None:
    assert "No such option" in refused("--config", write_settings(), "--out", "x")


def test_force_without_anything_to_go_on_with(refused: Callable[..., str], write_settings: Write) -> None:
    assert "give --resume-from-checkpoint auto" in refused("--config", write_settings(), "--force")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: [unclosed", "cannot be read as YAML"),
        ("model:\n\tbase_model: x\n", "indent with spaces"),
        ("just words", "config.yaml"),
        ("", "config.yaml"),
        ("\x00", "config.yaml"),
    ],
)
def test_unreadable_yaml(refused: Callable[..., str], tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert says in refused("--config", "config.yaml")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate: expected a number"),
        ({"training": {"save_metrics_steps": 0}}, "training.save_metrics_steps"),
        ({"training": {"save_metrics_steps": -10}}, "training.save_metrics_steps"),
        ({"training": {"save_metrics_steps": 2.5}}, "training.save_metrics_steps"),
        ({"training": {"save_metric_steps": 10}}, "the nearest known key is training.save_metrics_steps"),
        ({"model": {"base_model": None}}, "--model-path"),
    ],
)
def test_a_wrong_value(
    refused: Callable[..., str], write_settings: Write, changes: dict[str, dict[str, object]], says: str
) -> None:
    assert says in refused("--config", write_settings(**changes))


def test_missing_model_folder(refused: Callable[..., str], write_settings: Write) -> None:
    line = refused("--config", write_settings(), "--model-path", "models/nowhere")
    assert f"{Path('models/nowhere')} does not exist" in line
    assert "--model-path" in line


def test_a_folder_that_is_no_model(refused: Callable[..., str], write_settings: Write, tmp_path: Path) -> None:
    config, folder = write_settings(), tmp_path / "papers"
    folder.mkdir()
    assert "is no model: it holds no config.json" in refused("--config", config, "--model-path", folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    assert "cannot be read" in refused("--config", config, "--model-path", folder)
    (folder / "config.json").write_text('{"name": "x"}', encoding="utf-8")
    assert "names no model_type" in refused("--config", config, "--model-path", folder)
    (folder / "config.json").write_text('{"model_type": "phi3"}', encoding="utf-8")
    assert "holds no weights" in refused("--config", config, "--model-path", folder)
    assert "is a file" in refused("--config", config, "--model-path", folder / "config.json")


def test_datasets_that_are_missing_empty_or_malformed(
    refused: Callable[..., str], write_settings: Write, tmp_path: Path, inputs: Path
) -> None:
    config, file = write_settings(), tmp_path / "rows.jsonl"
    assert "does not exist" in refused("--config", config, "--dataset", file)
    file.write_bytes(b"")
    assert "is empty" in refused("--config", config, "--dataset", file)
    good = (inputs / "train.jsonl").read_bytes().splitlines(keepends=True)[0]
    file.write_bytes(good + b'{"instruction": "half\n')
    assert "the first: line 2" in refused("--config", config, "--dataset", file)
    file.write_bytes(good.replace(b'"safety_label"', b'"safety_lable"'))
    assert "safety_lable" in refused("--config", config, "--eval-dataset", file)


def test_all_rows_dropped(refused: Callable[..., str], write_settings: Write) -> None:
    line = refused("--config", write_settings(data={"max_seq_length": 8}))
    assert "none of 24 rows fits into max_seq_length 8" in line


def test_an_output_folder_that_cannot_be(refused: Callable[..., str], write_settings: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    config = write_settings()
    for folder in ("file", "file/run"):
        assert "is no folder; choose another folder with --output-dir" in refused(
            "--config", config, "--output-dir", folder
        )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is where not even root may make a folder")
def test_an_output_folder_without_permission(refused: Callable[..., str], write_settings: Write) -> None:
    line = refused("--config", write_settings(), "--output-dir", "/proc/run")
    assert "/proc/run" in line
    assert "--output-dir" in line


def test_a_disk_that_is_full_at_the_start(refused: Callable[..., str], write_settings: Write) -> None:
    full = (
        "import collections, shutil\n"
        "shutil.disk_usage = lambda path: collections.namedtuple('usage', 'total used free')(1 << 40, 1 << 40, 4096)\n"
        "from so8t.cli import main; main()"
    )
    line = refused("--config", write_settings(), program=(sys.executable, "-c", full))
    assert "0 MiB of disk are free" in line


def test_resuming_from_a_foreign_run(refused: Callable[..., str], write_settings: Write, tmp_path: Path) -> None:
    foreign = tmp_path / "other" / "checkpoints" / "checkpoint-5"
    foreign.mkdir(parents=True)
    (foreign / "trainer_state.json").write_text(json.dumps({"global_step": 5}), encoding="utf-8")
    (foreign / GATES_FILE).write_bytes(b"")
    line = refused("--config", write_settings(), "--resume-from-checkpoint", foreign)
    assert "belongs to another run" in line
    assert "--output-dir" in line
