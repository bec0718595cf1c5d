"""`so8t train` as users start it: a complete run folder, and nothing lost however training ends."""

import contextlib
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "training" / "train_borea_phi35_so8t_thinking.py"

Run = Callable[..., tuple[int, str, str]]
Start = Callable[..., "subprocess.Popen[str]"]


def read_json(path: Path) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{path.name} holds {word}, which is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def newest_report(run: Path) -> Any:
    reports = sorted((run / "poc_reports").glob("poc_report_*.json"), key=lambda path: path.stat().st_mtime_ns)
    return read_json(reports[-1])


def wait_for_step(run: Path, step: int, process: "subprocess.Popen[str]", *, not_of: str = "") -> None:
    """Wait until the record, if it is not that of the run `not_of`, holds a row of this step or a later one."""
    journal, deadline = run / "metrics" / "journal.jsonl", time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"ended too early: {process.communicate()}")
        with contextlib.suppress(FileNotFoundError):  # not there yet, or just being set aside
            opened, *lines = journal.read_bytes().split(b"\n")[:-1] or [b""]
            rows = [line for line in lines if line.startswith(b'{"row"')]
            if rows and json.loads(rows[-1])["row"]["step"] >= step and json.loads(opened)["open"]["run_id"] != not_of:
                return
        time.sleep(0.002)
    raise AssertionError(f"step {step} did not come")


def test_the_script_leaves_a_complete_run_folder_from_a_checkout_that_is_not_installed(
    tmp_path: Path, so8t: Run, kiseki: Run, write_settings: Callable[..., Path]
) -> None:
    """Folder layout, report keys, exit code, files to submit; and the views come back as they were."""
    # -S leaves out the .pth file that makes the package importable; its dependencies are found by path.
    packages = sysconfig.get_paths()["purelib"]
    program = (sys.executable, "-S", str(SCRIPT))
    code, out, err = so8t("--config", write_settings(), program=program, PYTHONPATH=packages)
    assert (code, err) == (0, ""), err
    run = tmp_path / "run"

    expected = {"checkpoints", "final", "metrics", "plots", "poc_reports", "training.lock", "training_session.json"}
    assert {path.name for path in run.iterdir()} == expected
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"checkpoint-5", "checkpoint-10"}
    (report_path,) = (run / "poc_reports").glob("poc_report_*.json")
    (summary_path,) = (run / "poc_reports").glob("poc_summary_*.csv")
    assert report_path.stem.removeprefix("poc_report_") == summary_path.stem.removeprefix("poc_summary_")
    submitted = ["提出ファイル"]
    renderings = (report_path.with_suffix(".html"), report_path.with_suffix(".pdf"))
    submitted += [f"  {path.relative_to(tmp_path)}" for path in (report_path, summary_path, *renderings)]
    assert out.splitlines()[-6:] == [*submitted, f"  {Path('run') / 'plots' / 'training_curves.png'}"]
    assert all(path.stat().st_size > 10_000 for path in renderings)
    assert (run / "plots" / "training_curves.png").read_bytes().startswith(b"\x89PNG")
    assert "ステップ  5/10  損失" in out
    assert "残り " in out

    rows = read_json(run / "metrics" / "training_metrics.json")
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10]
    for row in rows:
        assert {"step", "epoch", "timestamp", "elapsed_time_seconds", "loss", "learning_rate"} <= row.keys()
        assert row["loss"] == pytest.approx(row["lm_loss"] + row["pet_loss"] + row["so8t_loss"], abs=1e-6)
        assert row["window_steps"] == 2
    with (run / "metrics" / "training_metrics.csv").open(encoding="utf-8", newline="") as table:
        assert [int(row["step"]) for row in csv.DictReader(table)] == [2, 4, 6, 8, 10]
    evaluations = read_json(run / "metrics" / "evaluation_metrics.json")
    assert [row["step"] for row in evaluations] == [0, 5, 10]
    assert evaluations[-1]["eval_loss"] < evaluations[0]["eval_loss"]

    report = read_json(report_path)
    assert report["status"] == "completed"
    assert set(report["model_info"]) == {"name", "config"}
    assert report["model_info"]["name"] == "borea_phi35_so8t"
    assert set(report["training_info"]) == {"config", "start_time", "end_time", "total_time_seconds", "total_steps"}
    assert report["training_info"]["total_steps"] == 10
    assert set(report["metrics"]) == {"history", "final", "summary"}
    assert report["metrics"]["history"] == rows
    for metric in ("loss", "accuracy", "perplexity"):
        assert {"min", "max", "mean", "std", "final"} <= report["metrics"]["summary"][metric].keys()
    assert report["files"] == {
        "metrics_json": "metrics/training_metrics.json",
        "metrics_csv": "metrics/training_metrics.csv",
        "plots_png": "plots/training_curves.png",
    }
    assert report["live"]["gate_layers"] == [0, 1]
    assert report["differences"] == []
    weights = {note["role"]: note["files"] for note in report["weights"]}
    assert sorted(weights) == ["adapter", "base_model", "final"]
    for name, file in weights["adapter"].items():
        assert file["sha256"] == hashlib.sha256((run / "final" / name).read_bytes()).hexdigest()
    assert sorted(weights["adapter"]) == ["adapter_model.safetensors", "so8_gates.safetensors"]
    assert report["criteria"]["verdicts"][0]["verdict"] == "met"

    views = [
        run / "metrics" / f"{kind}_metrics.{end}" for kind in ("training", "evaluation") for end in ("json", "csv")
    ]
    views.append(run / "plots" / "training_curves.png")
    before = {path: path.read_bytes() for path in views}
    for path in views:
        path.unlink()
    code, _, err = kiseki("report", run)
    assert code == 0, err
    for path, content in before.items():
        assert path.read_bytes() == content, f"{path.name} came back otherwise"


def test_a_killed_run_goes_on_as_one_record_and_an_interrupted_one_leaves_everything(
    tmp_path: Path, start: Start, so8t: Run, write_settings: Callable[..., Path]
) -> None:
    """SIGKILL, `auto` to the end; then a new run in the same folder, stopped by SIGTERM."""
    config = write_settings(training={"max_steps": 60, "save_steps": 10, "eval_steps": 30, "save_metrics_steps": 1})
    run = tmp_path / "run"

    killed = start("train", "--config", config)
    wait_for_step(run, 17, killed)
    killed.kill()
    killed.communicate(timeout=60)

    code, out, err = so8t("train", "--config", config, "--resume-from-checkpoint", "auto")
    assert (code, err) == (0, ""), err
    assert "から学習を再開します" in out
    report = newest_report(run)
    first, second = report["attempts"]
    assert (first["status"], second["status"]) == ("interrupted", "completed")
    newest = 10 * (first["last_step"] // 10)
    assert second["resume_step"] in (newest, newest - 10), "the newest one may have been half written"
    rows = report["metrics"]["history"]
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert [row["attempt"] for row in rows] == [1] * second["resume_step"] + [2] * (60 - second["resume_step"])
    elapsed = [row["elapsed_time_seconds"] for row in rows]
    assert elapsed == sorted(elapsed)
    assert report["record_quality"]["superseded"] == first["last_step"] - second["resume_step"]

    if sys.platform == "win32":
        return
    stopped = start("train", "--config", config)
    wait_for_step(run, 12, stopped, not_of=report["run_id"])
    stopped.send_signal(signal.SIGTERM)
    out, err = stopped.communicate(timeout=120)
    assert stopped.returncode == 143, err
    interrupted = newest_report(run)
    assert interrupted["status"] == "interrupted"
    assert interrupted["run_id"] != report["run_id"]
    step = interrupted["metrics"]["history"][-1]["step"]
    assert 12 <= step < 60
    assert [row["step"] for row in interrupted["metrics"]["history"]] == list(range(1, step + 1))
    assert read_json(run / "metrics" / "training_metrics.json") == interrupted["metrics"]["history"]
    session = read_json(run / "training_session.json")
    assert (session["status"], session["current_step"]) == ("interrupted", step)
    assert session["checkpoints"][-1] == f"checkpoints/checkpoint-{step}"
    assert f"中断：60 ステップ中 {step} ステップで停止" in out
    assert "\n提出ファイル\n" in out
    # What the earlier run left stands whole.
    assert (run / "earlier" / report["run_id"] / "checkpoints" / "checkpoint-60" / "trainer_state.json").is_file()
    kept = read_json(run / "metrics" / "earlier" / report["run_id"] / "metrics" / "training_metrics.json")
    assert [row["step"] for row in kept] == list(range(1, 61))


def test_both_script_paths_import_from_the_repository_root() -> None:
    """As the specification names them, with the classes it names; also where nothing is installed."""
    source = (
        "from scripts.utils.training_metrics_recorder import TrainingMetricsRecorder\n"
        "import sys, kiseki; assert TrainingMetricsRecorder is kiseki.TrainingMetricsRecorder\n"
        "assert 'torch' not in sys.modules\n"
        "from scripts.training.train_borea_phi35_so8t_thinking import SO8TPETTrainer\n"
        "from transformers import Trainer\n"
        "import so8t; assert issubclass(SO8TPETTrainer, Trainer) and SO8TPETTrainer is so8t.SO8TPETTrainer\n"
    )
    packages = sysconfig.get_paths()["purelib"]
    subprocess.run(
        [sys.executable, "-S", "-c", source],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), packages])},
        check=True,
        timeout=120,
    )
