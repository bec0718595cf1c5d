"""The training job in this process, on the smallest model that has everything."""

import functools
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from rich.console import Console
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, TrainerState, TrainingArguments

from kiseki import RunLocked
from kiseki.filesystem import FileLock
from so8t.data.thinking import read_records, render_assistant
from so8t.errors import CheckpointError, DataError, JobFailed, ModelError, So8tError
from so8t.model.attach import attach_saved_gates
from so8t.model.tiny import build
from so8t.training import job
from so8t.training.checkpoints import what_is_missing
from so8t.training.config import load_config
from so8t.training.config_keys import Config
from so8t.training.console import ProgressCallback, duration
from so8t.training.job import JobResult, run_training
from so8t.training.preflight import check_output_folder

SAMPLE = Path(__file__).parents[4] / "examples" / "data" / "quadruple_thinking_train.jsonl"

Settings = Callable[..., Config]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = read_records(SAMPLE).records[:24]
    texts = [text for record in records for text in (record.instruction, render_assistant(record))]
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return build(folder, texts, hidden=16, layers=2, heads=2, intermediate=16, vocabulary=600)


@pytest.fixture(scope="module")
def data_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("data")
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    train, held_out = folder / "train.jsonl", folder / "eval.jsonl"
    train.write_bytes(b"".join(lines[:16]))
    held_out.write_bytes(b"".join(lines[16:20]))
    return train, held_out


@pytest.fixture
def settings(tmp_path: Path, model_folder: Path, data_files: tuple[Path, Path]) -> Settings:
    """Give a function that makes settings; keyword arguments are sections with changed keys."""
    return functools.partial(make_settings, tmp_path, model_folder, data_files)


def make_settings(folder: Path, model_folder: Path, data_files: tuple[Path, Path], **changes: dict[str, Any]) -> Config:
    sections: dict[str, dict[str, Any]] = {
        "model": {"base_model": str(model_folder), "model_type": "phi3"},
        "qlora": {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
        "data": {"train_data": str(data_files[0]), "eval_data": str(data_files[1]), "max_seq_length": 1024},
        "training": {
            "output_dir": str(folder / "run"),
            "max_steps": 4,
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1.0e-2,
            "optim": "adamw_torch",
            "gradient_checkpointing": False,
            "logging_steps": 2,
            "eval_steps": 2,
            "save_steps": 2,
            "save_metrics_steps": 2,
        },
        "pipeline": {"model_name": "tiny_so8t"},
    }
    for section, keys in changes.items():
        sections.setdefault(section, {}).update(keys)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(sections), encoding="utf-8")
    return load_config(path).config


def train(config: Config, resume: str = "none") -> tuple[JobResult, str]:
    """Run the job; give its result and what it said."""
    said = io.StringIO()
    result = run_training(
        config, output_dir=Path(str(config.training.output_dir)), resume=resume, console=Console(file=said, width=200)
    )
    return result, said.getvalue()


def report_of(result: JobResult) -> dict[str, Any]:
    assert result.submission is not None
    report: dict[str, Any] = json.loads(result.submission.report.read_text(encoding="utf-8"))
    return report


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, data_files: tuple[Path, Path]
) -> tuple[Config, JobResult, str]:
    """One complete run, for the tests that look at what it left."""
    config = make_settings(
        tmp_path_factory.mktemp("complete"),
        model_folder,
        data_files,
        poc={"language": "ja", "criteria": [{"metric": "loss", "operator": "<", "threshold": 100.0}]},
    )
    return (config, *train(config))


class TestACompleteRun:
    def test_it_says_what_it_does_and_names_the_files_to_submit(self, run: Any) -> None:
        _, result, said = run
        assert result.status == "completed"
        assert result.exit_code == 0
        assert re.search(r"step 2/4  loss \d", said)
        assert re.search(r"step 0/4  held-out loss \d", said)
        assert re.search(r"step 4/4  held-out loss \d", said)
        assert "fuses it into qkv_proj" in said
        listed = said[said.index("提出ファイル / Files to submit") :].splitlines()[1:4]
        for line, path in zip(
            listed, (result.submission.report, result.submission.summary, result.submission.curves), strict=True
        ):
            assert Path(line.strip()).resolve() == path.resolve()
            assert path.stat().st_size > 0

    def test_first_and_last_held_out_loss_are_recorded_apart_from_training(self, run: Any) -> None:
        report = report_of(run[1])
        assert [row["step"] for row in report["evaluation"]["history"]] == [0, 2, 4]
        assert [row["step"] for row in report["metrics"]["history"]] == [2, 4]

    def test_the_report_says_what_was_asked_and_what_there_really_is(self, run: Any) -> None:
        report = report_of(run[1])
        assert report["status"] == "completed"
        assert report["model_info"]["name"] == "tiny_so8t"
        assert report["model_info"]["config"]["qlora"]["r"] == 2
        assert report["training_info"]["config"]["training"]["save_metrics_steps"] == 2
        assert report["training_info"]["config"]["arguments"]["max_steps"] == 4
        assert report["live"]["gate_layers"] == [0, 1]
        assert report["live"]["lora_modules"] == {"qkv_proj": 2, "o_proj": 2}
        assert report["live"]["trainable_parameters"] > 0
        assert report["data"]["train"]["kept"] == 16
        assert report["data"]["eval"]["kept"] == 4
        assert report["criteria"]["verdicts"][0]["verdict"] == "met"
        (difference,) = report["differences"]
        assert difference["name"] == "qlora.target_modules"
        assert set(difference["live"]) == {"qkv_proj", "o_proj"}

    def test_no_private_path_is_handed_over(self, run: Any) -> None:
        config, result, _ = run
        text = result.submission.report.read_text(encoding="utf-8") + result.submission.summary.read_text("utf-8")
        text += (result.run_dir / "training_session.json").read_text(encoding="utf-8")
        for secret in (str(result.run_dir.resolve().parent), str(Path(config.model.base_model).parent), "hub_token"):
            assert secret not in text

    def test_the_final_model_loads_and_is_the_trained_one(self, run: Any) -> None:
        config, result, _ = run
        final = result.run_dir / "final"
        assert not any(
            name in {path.name for path in final.iterdir()} for name in ("training_args.bin", "optimizer.pt")
        )
        base = AutoModelForCausalLM.from_pretrained(config.model.base_model)
        attach_saved_gates(base, final / "so8_gates.safetensors")
        PeftModel.from_pretrained(base, final)
        gates = load_file(final / "so8_gates.safetensors")
        assert all(theta.abs().max() > 0 for theta in gates.values())
        last = result.run_dir / "checkpoints" / "checkpoint-4"
        assert same_tensors(final, last)

    def test_checkpoints_are_complete_and_the_session_has_ended(self, run: Any) -> None:
        run_dir = run[1].run_dir
        for step in (2, 4):
            assert what_is_missing(run_dir / "checkpoints" / f"checkpoint-{step}", gates=True) is None
        session = json.loads((run_dir / "training_session.json").read_text(encoding="utf-8"))
        assert (session["status"], session["current_step"], session["total_steps"]) == ("completed", 4, 4)
        assert session["checkpoints"] == ["checkpoints/checkpoint-2", "checkpoints/checkpoint-4"]
        assert session["session_id"] == report_of(run[1])["run_id"]

    def test_a_run_that_is_done_is_not_trained_again(self, run: Any) -> None:
        config, result, _ = run
        journal = result.run_dir / "metrics" / "journal.jsonl"
        before = journal.read_bytes()
        again, said = train(config, "auto")
        assert "nothing is left to train" in said
        assert again.submission == result.submission
        assert journal.read_bytes() == before

    def test_what_a_kill_after_the_last_step_left_out_is_made_up_for(self, run: Any) -> None:
        """The end of the record, the report and the final model, without a further step."""
        config, result, _ = run
        run_dir = result.run_dir
        gone = (run_dir / "final").rename(run_dir / "gone")
        session = json.loads((run_dir / "training_session.json").read_text(encoding="utf-8"))
        (run_dir / "training_session.json").write_text(json.dumps({**session, "status": "running"}), encoding="utf-8")
        again, _ = train(config, "auto")
        report = report_of(again)
        assert again.submission != result.submission
        assert report["status"] == "completed"
        assert [row["step"] for row in report["metrics"]["history"]] == [2, 4]
        assert {path.name for path in (run_dir / "final").iterdir()} == {path.name for path in gone.iterdir()}
        assert same_tensors(run_dir / "final", gone)
        after = json.loads((run_dir / "training_session.json").read_text(encoding="utf-8"))
        assert (after["status"], after["current_step"], after["start_time"]) == ("completed", 4, session["start_time"])


class TestRestarts:
    def test_a_resumed_run_is_the_uninterrupted_one(self, settings: Settings, tmp_path: Path) -> None:
        """Stopped after step 2 of 4 and resumed: the same rows, the same gates, two attempts."""
        whole, _ = train(settings(training={"output_dir": str(tmp_path / "whole")}))
        stopped = self._stopped_after_two(settings())
        assert (stopped.status, stopped.exit_code) == ("interrupted", 143)
        assert report_of(stopped)["status"] == "interrupted"
        assert not (stopped.run_dir / "final").exists()
        resumed, said = train(settings(), "auto")
        assert "training goes on from" in said
        report = report_of(resumed)
        assert [(attempt["status"], attempt["resume_step"]) for attempt in report["attempts"]] == [
            ("interrupted", None),
            ("completed", 2),
        ]
        expected = report_of(whole)["metrics"]["history"]
        assert [row["step"] for row in report["metrics"]["history"]] == [2, 4]
        for row, other in zip(report["metrics"]["history"], expected, strict=True):
            for name in ("loss", "lm_loss", "pet_loss", "so8t_loss", "accuracy", "grad_norm", "tokens_seen"):
                assert row[name] == pytest.approx(other[name], rel=1e-9), (row["step"], name)
        assert same_tensors(resumed.run_dir / "final", whole.run_dir / "final")

    @staticmethod
    def _stopped_after_two(config: Config) -> JobResult:
        patch = pytest.MonkeyPatch()
        original = job.StopCallback.on_step_end

        def ask(self: Any, args: Any, state: TrainerState, control: Any, **more: Any) -> Any:
            if state.global_step == 2:
                self._request.reason = "SIGTERM"
            return original(self, args, state, control, **more)

        patch.setattr(job.StopCallback, "on_step_end", ask)
        try:
            return train(config)[0]
        finally:
            patch.undo()

    def test_a_new_run_sets_the_earlier_one_aside_whole(self, settings: Settings) -> None:
        first, _ = train(settings(training={"max_steps": 2}))
        old_id = report_of(first)["run_id"]
        (first.run_dir / "final" / "mark").write_text("of the first run", encoding="utf-8")
        second, said = train(settings(training={"max_steps": 3}))
        aside = first.run_dir / "earlier" / old_id
        assert str(aside) in said
        assert (aside / "final" / "mark").is_file()
        assert what_is_missing(aside / "checkpoints" / "checkpoint-2", gates=True) is None
        assert (first.run_dir / "metrics" / "earlier" / old_id / "metrics" / "journal.jsonl").is_file()
        checkpoints = {path.name for path in (second.run_dir / "checkpoints").iterdir()}
        assert checkpoints == {"checkpoint-2", "checkpoint-3"}
        assert not (second.run_dir / "final" / "mark").exists()
        assert len(report_of(second)["attempts"]) == 1

    def test_other_settings_are_refused_and_nothing_changes(self, run: Any, settings: Settings) -> None:
        run_dir = run[1].run_dir
        before = snapshot(run_dir)
        with pytest.raises(CheckpointError, match=r"training\.learning_rate: 0\.01 -> 0\.02"):
            train(settings(training={"output_dir": str(run_dir), "learning_rate": 2.0e-2}), "auto")
        assert snapshot(run_dir) == before

    def test_a_folder_that_is_in_use_is_refused_and_nothing_changes(self, settings: Settings, tmp_path: Path) -> None:
        (tmp_path / "run" / "checkpoints" / "checkpoint-2").mkdir(parents=True)
        lock = FileLock(tmp_path / "run" / "training.lock")
        assert lock.acquire()
        before = snapshot(tmp_path / "run")
        with pytest.raises(RunLocked, match="another process is training into this folder"):
            train(settings())
        assert snapshot(tmp_path / "run") == before
        lock.release()


class TestFailures:
    def test_an_error_in_training_is_one_line_and_leaves_report_and_traceback(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def out_of_memory(self: Any, *args: Any, **more: Any) -> Any:
            raise RuntimeError("CUDA out of memory\nsecond line")

        monkeypatch.setattr(job.SO8TPETTrainer, "compute_loss", out_of_memory)
        with pytest.raises(JobFailed) as failed:
            train(settings(data={"eval_data": None}))
        assert failed.value.exit_code == 1
        assert "after step 0 (RuntimeError: CUDA out of memory)" in str(failed.value)
        assert "\n" not in str(failed.value)
        log = (tmp_path / "run" / "training_error.log").read_text(encoding="utf-8")
        assert "Traceback" in log
        assert "second line" in log
        (report,) = (tmp_path / "run" / "poc_reports").glob("poc_report_*.json")
        assert json.loads(report.read_text(encoding="utf-8"))["status"] == "failed"
        session = json.loads((tmp_path / "run" / "training_session.json").read_text(encoding="utf-8"))
        assert session["status"] == "failed"

    @pytest.mark.parametrize(
        ("changes", "kind", "says"),
        [
            ({"model": {"model_type": "llama"}}, ModelError, "is a phi3 model, and model.model_type says llama"),
            ({"so8t": {"layer_indices": [0, 7]}}, ModelError, "the model has 2 decoder layers"),
            ({"qlora": {"target_modules": ["qkv_porj"]}}, ModelError, "the nearest is 'qkv_proj'"),
            ({"data": {"max_seq_length": 8}}, DataError, "none of 16 rows fits into max_seq_length 8"),
        ],
    )
    def test_what_only_the_loaded_model_shows_is_found_before_anything_is_written(
        self, settings: Settings, tmp_path: Path, changes: dict[str, Any], kind: type[So8tError], says: str
    ) -> None:
        with pytest.raises(kind, match=re.escape(says)):
            train(settings(**changes))
        assert not (tmp_path / "run").exists()

    def test_damaged_weights_are_no_model(self, settings: Settings, tmp_path: Path, model_folder: Path) -> None:
        damaged = tmp_path / "damaged"
        damaged.mkdir()
        for path in model_folder.iterdir():
            content = path.read_bytes()
            (damaged / path.name).write_bytes(content[:-100] if path.suffix == ".safetensors" else content)
        with pytest.raises(ModelError, match="cannot be loaded as a language model"):
            train(settings(model={"base_model": str(damaged)}))
        assert not (tmp_path / "run").exists()

    def test_an_unsupported_architecture_is_refused(
        self, settings: Settings, tmp_path: Path, model_folder: Path
    ) -> None:
        from transformers import GPT2Config, GPT2LMHeadModel

        other = tmp_path / "gpt2"
        GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=700)).save_pretrained(other)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            (other / name).write_bytes((model_folder / name).read_bytes())
        with pytest.raises(ModelError, match="model_type 'gpt2' is not supported"):
            train(settings(model={"base_model": str(other), "model_type": None}))
        assert not (tmp_path / "run").exists()

    def test_a_full_disk_is_found_before_anything_is_written(self, tmp_path: Path) -> None:
        with pytest.raises(So8tError, match="1 MiB of disk are free, and this run needs 64 MiB"):
            check_output_folder(tmp_path / "a" / "b", 64 << 20, free_bytes=lambda path: 1 << 20)
        check_output_folder(tmp_path / "a" / "b", 64 << 20, free_bytes=lambda path: 64 << 20)
        assert list(tmp_path.iterdir()) == []


class TestSettingsThatReachTheModel:
    def test_without_metrics_nothing_is_recorded_and_training_is_the_same(self, run: Any, settings: Settings) -> None:
        kept = run[1]
        result, said = train(settings(training={"save_metrics": False}))
        assert "save_metrics is false" in said
        assert (result.status, result.submission) == ("completed", None)
        for name in ("metrics", "plots", "poc_reports"):
            assert not (result.run_dir / name).exists()
        assert same_tensors(result.run_dir / "final", kept.run_dir / "final")

    def test_gates_alone_train_on_a_frozen_base_with_gradient_checkpointing(self, settings: Settings) -> None:
        config = settings(
            model={"freeze_base_model": True},
            qlora={"enabled": False},
            data={"eval_data": None},
            training={"max_steps": 2, "gradient_checkpointing": True},
        )
        result, _ = train(config)
        live = report_of(result)["live"]
        assert live["trainable_parameters"] == live["gate_parameters"] == 2 * 2 * 28
        gates = load_file(result.run_dir / "final" / "so8_gates.safetensors")
        assert all(theta.abs().max() > 0 for theta in gates.values())


class TestProgress:
    def callback(self, now: list[float], *, terminal: bool = False) -> tuple[ProgressCallback, io.StringIO]:
        said = io.StringIO()
        console = Console(file=said, force_terminal=terminal, width=120)
        return ProgressCallback(console, monotonic=lambda: now[0]), said

    def test_a_fast_run_does_not_flood_the_log(self, tmp_path: Path) -> None:
        now = [0.0]
        callback, said = self.callback(now)
        args, state = TrainingArguments(output_dir=str(tmp_path)), TrainerState(max_steps=1000)
        callback.on_train_begin(args, state, None)
        for step in range(1, 1001):
            now[0], state.global_step = step * 0.001, step
            callback.on_step_end(args, state, None)
            callback.on_log(args, state, None, logs={"loss": 1.0, "learning_rate": 1e-3})
        assert 2 <= said.getvalue().count("\n") <= 4
        assert "step 1000/1000  loss 1, learning rate 0.001, 0 s left" in said.getvalue()

    def test_time_left_is_judged_by_the_steps_of_this_attempt(self, tmp_path: Path) -> None:
        now = [100.0]
        callback, said = self.callback(now)
        args, state = TrainingArguments(output_dir=str(tmp_path)), TrainerState(max_steps=100, global_step=50)
        callback.on_train_begin(args, state, None)
        now[0] = 150.0  # an evaluation before the first step
        callback.on_step_begin(args, state, None)
        now[0], state.global_step = 160.0, 60
        callback.on_log(args, state, None, logs={"loss": 1.0})
        assert "step  60/100  loss 1, 40 s left" in said.getvalue()

    def test_a_terminal_gets_a_bar_and_gets_its_cursor_back(self, tmp_path: Path) -> None:
        callback, said = self.callback([0.0], terminal=True)
        args, state = TrainingArguments(output_dir=str(tmp_path)), TrainerState(max_steps=10)
        callback.on_train_begin(args, state, None)
        state.global_step = 3
        callback.on_step_end(args, state, None)
        callback.close()
        callback.close()
        assert "3/10" in said.getvalue()
        assert said.getvalue().rstrip().endswith(("\x1b[?25h", "\x1b[2K")) or "\x1b[?25h" in said.getvalue()

    @pytest.mark.parametrize("seconds", [0, 59.6, 3599.7, 86399.9])
    def test_durations_are_never_sixty_of_anything(self, seconds: float) -> None:
        assert "60" not in duration(seconds)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_tensors(folder: Path, other: Path) -> bool:
    """Whether gates and adapter are the same numbers; the order of safetensors' metadata changes from file to file."""
    for name in ("so8_gates.safetensors", "adapter_model.safetensors"):
        ours, theirs = load_file(folder / name), load_file(other / name)
        if ours.keys() != theirs.keys() or not all(torch.equal(ours[key], theirs[key]) for key in ours):
            return False
    return True
