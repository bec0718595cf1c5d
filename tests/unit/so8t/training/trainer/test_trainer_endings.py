"""However training ends there is a closed record and a report that agrees with the files."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerCallback

from kiseki import TrainingMetricsRecorder
from kiseki.errors import RunFolderError


class RaiseAfter(TrainerCallback):
    def __init__(self, step: int, error: BaseException) -> None:
        self.step, self.error = step, error

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise self.error


def report_of(trainer: Any) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(trainer.report_path.read_text(encoding="utf-8"))
    return report


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("in /home/someone"), "failed"), (KeyboardInterrupt(), "interrupted"), (SystemExit(1), "interrupted")],
)
def test_r10_an_exception_leaves_every_finished_step_in_files_and_report(
    tmp_path: Path, make_trainer: Any, read_rows: Any, error: BaseException, status: str
) -> None:
    trainer = make_trainer(tmp_path, save_metrics_steps=3, callbacks=[RaiseAfter(5, error)])
    with pytest.raises(type(error)) as raised:
        trainer.train()
    assert raised.value is error
    rows = read_rows(tmp_path)
    assert [(row["step"], row["window_steps"]) for row in rows] == [(3, 3), (5, 2)]
    report = report_of(trainer)
    assert report["status"] == status
    assert [row["step"] for row in report["metrics"]["history"]] == [3, 5]
    with (tmp_path / "metrics/training_metrics.csv").open(encoding="utf-8", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["3", "5"]
    assert "someone" not in trainer.report_path.read_text(encoding="utf-8")


def test_a_failure_within_a_step_leaves_the_unfinished_step_out(
    tmp_path: Path, make_trainer: Any, make_model: Any, read_rows: Any
) -> None:
    """The second micro-batch of step 3 fails: its first one is in no row."""
    model = make_model()
    calls = iter(range(100))

    def fail_at_the_sixth(module: object, inputs: object) -> None:
        if next(calls) == 5:
            raise RuntimeError("out of memory")

    model.lm_head.register_forward_pre_hook(fail_at_the_sixth)
    with pytest.raises(RuntimeError, match="out of memory"):
        make_trainer(tmp_path, model=model, save_metrics_steps=10).train()
    (row,) = read_rows(tmp_path)
    assert (row["step"], row["window_steps"]) == (2, 2)


@pytest.mark.parametrize(("reason", "status"), [(None, "completed"), ("SIGTERM", "interrupted")])
def test_the_stop_requests_reason_decides_between_completed_and_interrupted(
    tmp_path: Path, make_trainer: Any, reason: str | None, status: str
) -> None:
    trainer = make_trainer(tmp_path, stop_request=SimpleNamespace(reason=reason))
    trainer.train()
    assert report_of(trainer)["status"] == status


def test_a_report_that_fails_is_counted_and_hides_nothing(
    tmp_path: Path, make_trainer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*args: object, **kwargs: object) -> Path:
        raise RunFolderError("the disk is full")

    monkeypatch.setattr(TrainingMetricsRecorder, "generate_poc_report", fails)
    trainer = make_trainer(tmp_path, callbacks=[RaiseAfter(2, ValueError("the real reason"))])
    with pytest.raises(ValueError, match="the real reason"):
        trainer.train()
    assert trainer.report_path is None
    assert trainer.recording_failures == 1
    assert "the disk is full" in caplog.text


def test_the_recorder_is_there_when_other_callbacks_are_told_that_training_begins(
    tmp_path: Path, make_trainer: Any
) -> None:
    seen = []

    class Look(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            seen.append(trainer.recorder)

    trainer = make_trainer(tmp_path, callbacks=[Look()], arguments={"max_steps": 1})
    assert trainer.recorder is None
    trainer.train()
    assert seen == [trainer.recorder]
    assert seen[0] is not None


def test_the_report_says_what_the_job_gives_or_what_model_and_trainer_have(tmp_path: Path, make_trainer: Any) -> None:
    default = make_trainer(tmp_path / "default", arguments={"max_steps": 1})
    default.train()
    report = report_of(default)
    assert report["model_info"]["name"] == "tiny"
    assert report["model_info"]["config"]["hidden_size"] == 64
    assert report["training_info"]["config"]["gradient_accumulation_steps"] == 2
    assert report["live"]["gate_layers"] == [0, 1]
    assert report["live"]["optimizer"] == "AdamW"

    given = make_trainer(
        tmp_path / "given",
        arguments={"max_steps": 1},
        report_inputs=lambda trainer: {"model_config": {"steps": trainer.state.global_step}},
    )
    given.train()
    assert report_of(given)["model_info"]["config"] == {"steps": 1}


def test_training_twice_makes_two_runs_of_which_the_first_is_kept(
    tmp_path: Path, make_trainer: Any, read_rows: Any
) -> None:
    trainer = make_trainer(tmp_path, arguments={"max_steps": 2})
    trainer.train()
    first = trainer.recorder.run_id
    trainer.train()
    assert trainer.recorder.run_id != first
    assert [row["step"] for row in read_rows(tmp_path)] == [1, 2]
    assert (tmp_path / "metrics/earlier" / first).is_dir()
