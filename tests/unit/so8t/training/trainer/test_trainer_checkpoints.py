"""What travels in a checkpoint, and that a run that was cut off goes on as if it had not been."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from so8t.errors import CheckpointError
from so8t.model.attach import find_gates, load_gates
from so8t.training.window import read_window

TIMES = ("timestamp", "elapsed_time_seconds", "tokens_per_second", "peak_memory_bytes", "attempt")


class FailAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise RuntimeError("the machine is gone")


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def resumed(make_trainer: Any, make_model: Any, run: Path, settings: dict[str, Any], *, killed: bool) -> Any:
    """A run cut off after optimizer step 7 and gone on from the checkpoint of step 6."""
    model = {"dropout": 0.2, "lora": settings.pop("lora")}
    first = make_trainer(run, model=make_model(**model), callbacks=[FailAfter(7)], **settings)
    if killed:  # nothing of what follows an exception happens
        first._end = lambda *args, **kwargs: None
    with pytest.raises(RuntimeError, match="gone"):
        first.train()
    second = make_trainer(run, model=make_model(**model), **settings)
    second.train(resume_from_checkpoint=True)
    assert second.recording_failures == second.recorder.errors == 0
    return second


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("killed", [True, False])
def test_a_resumed_run_writes_the_rows_of_an_uninterrupted_one(
    tmp_path: Path, make_trainer: Any, make_model: Any, read_rows: Any, lora: bool, killed: bool
) -> None:
    """Rows are due at 4, 8 and 11; the checkpoint of step 6 holds half a window. Dropout is on; epochs have 4 steps."""
    settings = {
        "save_metrics_steps": 4,
        "arguments": {"max_steps": 11, "save_strategy": "steps", "save_steps": 3, "dataloader_num_workers": 0},
    }
    whole = make_trainer(tmp_path / "whole", model=make_model(dropout=0.2, lora=lora), **settings)
    whole.train()
    second = resumed(make_trainer, make_model, tmp_path / "cut", {**settings, "lora": lora}, killed=killed)

    rows = read_rows(tmp_path / "cut")
    assert without_times(rows) == without_times(read_rows(tmp_path / "whole"))
    assert [row["attempt"] for row in rows] == [1, 2, 2]
    weights, expected = second.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert all(gate.theta.requires_grad for gate in find_gates(second.model).values())
    report = json.loads(second.report_path.read_text(encoding="utf-8"))
    assert report["status"] == "completed"
    assert len(report["attempts"]) == 2


def test_a_checkpoint_holds_the_window_as_it_stood(tmp_path: Path, make_trainer: Any, read_rows: Any) -> None:
    """The row of a step is kept before its checkpoint is written: the window of checkpoint 4 is empty."""
    make_trainer(
        tmp_path, save_metrics_steps=4, arguments={"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    ).train()
    windows = {n: read_window(tmp_path / f"checkpoints/checkpoint-{n}/recording_window.json") for n in (2, 4)}
    (half, seen_at_2), (empty, seen_at_4) = windows[2], windows[4]
    first = read_rows(tmp_path)[0]
    assert (half.steps, seen_at_2) == (2, 0)
    assert half.input_tokens > half.tokens > 0
    assert (empty.steps, empty.tokens) == (0, 0.0)
    assert seen_at_4 == first["tokens_seen"]


@pytest.mark.parametrize("failing_step", [6, 7])
def test_no_step_is_in_two_rows_when_an_attempt_left_a_last_row_at_the_checkpoint(
    tmp_path: Path, make_trainer: Any, read_rows: Any, failing_step: int
) -> None:
    settings: dict[str, Any] = {
        "save_metrics_steps": 4,
        "arguments": {"max_steps": 8, "save_strategy": "steps", "save_steps": 3},
    }
    with pytest.raises(RuntimeError, match="gone"):
        make_trainer(tmp_path, callbacks=[FailAfter(failing_step)], **settings).train()
    make_trainer(tmp_path, **settings).train(resume_from_checkpoint=str(tmp_path / "checkpoints/checkpoint-6"))
    rows = read_rows(tmp_path)
    assert sum(row["window_steps"] for row in rows) == 8
    assert rows[-1]["tokens_seen"] == 2 * (9 + 5 + 14 + 6 + 11 + 7 + 8 + 12)


def test_a_checkpoint_written_without_recording_is_resumed_from_and_said_so(
    tmp_path: Path, make_trainer: Any, read_rows: Any
) -> None:
    settings = {"arguments": {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}}
    make_trainer(tmp_path, save_metrics=False, **settings).train()
    trainer = make_trainer(tmp_path, **settings)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoints/checkpoint-2"))
    rows = read_rows(tmp_path)
    assert [row["step"] for row in rows] == [3, 4]
    assert all("tokens_seen" not in row for row in rows)
    report = json.loads(trainer.report_path.read_text(encoding="utf-8"))
    assert any("no recording window" in text for text in report["record_quality"]["warnings"])


def test_an_unreadable_window_is_refused_before_the_record_is_touched(tmp_path: Path, make_trainer: Any) -> None:
    settings = {"arguments": {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}}
    make_trainer(tmp_path, **settings).train()
    before = (tmp_path / "metrics/journal.jsonl").read_bytes()
    checkpoint = tmp_path / "checkpoints/checkpoint-2"
    (checkpoint / "recording_window.json").write_text('{"window": ', encoding="utf-8")
    with pytest.raises(CheckpointError, match="recording_window"):
        make_trainer(tmp_path, **settings).train(resume_from_checkpoint=str(checkpoint))
    assert (tmp_path / "metrics/journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("gates_saved", [True, False])
def test_a_checkpoint_with_other_gates_than_the_model_is_refused(
    tmp_path: Path, make_trainer: Any, make_model: Any, gates_saved: bool
) -> None:
    settings = {"arguments": {"max_steps": 2, "save_strategy": "steps", "save_steps": 2}}
    make_trainer(tmp_path, model=make_model(gates=gates_saved, lora=True), **settings).train()
    other = make_trainer(tmp_path, model=make_model(gates=not gates_saved, lora=True), **settings)
    with pytest.raises(CheckpointError, match="SO\\(8\\) gates"):
        other.train(resume_from_checkpoint=True)


def test_a_checkpoint_that_survives_a_power_cut_has_its_rows_on_the_disk_before_it(
    tmp_path: Path, make_trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []
    flush = TrainingMetricsRecorder.flush

    def flushed(self: TrainingMetricsRecorder) -> bool:
        kept = flush(self)
        events.append(("rows", read_history(self.folder).rows.steps[-1]))
        return kept

    monkeypatch.setattr(TrainingMetricsRecorder, "flush", flushed)
    make_trainer(
        tmp_path,
        arguments={"max_steps": 4, "save_strategy": "steps", "save_steps": 2},
        checkpoint_written=lambda folder: events.append(("checkpoint", int(folder.name.split("-")[1]))),
    ).train()
    assert events[:4] == [("rows", 2), ("checkpoint", 2), ("rows", 4), ("checkpoint", 4)]


def test_a_checkpoint_is_closed_although_the_disk_does_not_take_the_record(
    tmp_path: Path, make_trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are safe are worth more than rows."""
    closed: list[str] = []
    monkeypatch.setattr(TrainingMetricsRecorder, "flush", lambda self: False)
    make_trainer(
        tmp_path,
        arguments={"max_steps": 4, "save_strategy": "steps", "save_steps": 2},
        checkpoint_written=lambda folder: closed.append(folder.name),
    ).train()
    assert closed == ["checkpoint-2", "checkpoint-4"]


def test_a_run_that_goes_on_beyond_the_end_of_its_record_says_which_steps_are_missing(
    tmp_path: Path, make_trainer: Any, read_rows: Any
) -> None:
    """As a disk leaves it that took the checkpoint and not the rows before it."""
    settings: dict[str, Any] = {
        "save_metrics_steps": 2,
        "arguments": {"max_steps": 9, "save_strategy": "steps", "save_steps": 7},
    }
    make_trainer(tmp_path, **settings).train()
    journal = tmp_path / "metrics" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith(b'{"row"') and json.loads(line)["row"]["step"] == 4)
    journal.write_bytes(b"".join(lines[:at]))
    trainer = make_trainer(tmp_path, **settings)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoints/checkpoint-7"))
    assert [row["step"] for row in read_rows(tmp_path)] == [2, 8, 9]
    quality = json.loads(trainer.report_path.read_text(encoding="utf-8"))["record_quality"]
    assert quality["warnings"] == [
        "the record had ended at step 2, and training goes on after step 7: the rows of the steps 3 to 6 were lost"
    ]


def test_older_checkpoints_are_deleted_only_when_the_new_one_is_closed(tmp_path: Path, make_trainer: Any) -> None:
    """With a limit of one, a kill at any moment leaves a closed checkpoint."""
    stood: list[tuple[str, set[str], bool]] = []
    trainer = make_trainer(
        tmp_path,
        arguments={"max_steps": 6, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 1},
        checkpoint_written=lambda folder: stood.append(
            (
                folder.name,
                {path.name for path in folder.parent.iterdir()},
                {"trainer_state.json", "recording_window.json"} <= {path.name for path in folder.iterdir()},
            )
        ),
    )
    trainer.train()
    assert stood == [
        ("checkpoint-2", {"checkpoint-2"}, True),
        ("checkpoint-4", {"checkpoint-2", "checkpoint-4"}, True),
        ("checkpoint-6", {"checkpoint-4", "checkpoint-6"}, True),
    ]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-6"]
    assert trainer.args.save_total_limit == 1


def test_the_best_model_comes_back_with_its_gates(
    tmp_path: Path, make_trainer: Any, make_model: Any, make_rows: Any
) -> None:
    """The "best" is the largest loss here, which is the first: the gates of the last step must not stay."""
    trainer = make_trainer(
        tmp_path,
        model=make_model(lora=True),
        rows=make_rows([30, 20]),
        eval_dataset=make_rows([30, 20]),
        arguments={
            "max_steps": 4,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": True,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "constant",
            "save_strategy": "steps",
            "save_steps": 1,
            "eval_strategy": "steps",
            "eval_steps": 1,
            "load_best_model_at_end": True,
        },
    )
    trainer.train()
    assert trainer.state.best_global_step < 4
    best = make_model(lora=True)
    load_gates(best, Path(trainer.state.best_model_checkpoint) / "so8_gates.safetensors")
    for index, gate in find_gates(trainer.model).items():
        assert torch.equal(gate.theta, find_gates(best)[index].theta)
