"""The event file, read back by TensorBoard itself."""

import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from kiseki.exporters.tensorboard import events_name, write_events
from kiseki.exporters.tfrecord import masked_crcs
from kiseki.history import read_history
from kiseki.record.line import EVAL, ROW
from support import opened, write_journal

STARTED = 1_795_410_000  # 2026-11-23T05:00:00Z


def row(step: int, **metrics: Any) -> tuple[str, dict[str, Any]]:
    return ROW, {"step": step, "epoch": step / 10, "timestamp": f"2026-11-23T05:00:{step:02d}.250000Z", **metrics}


def evaluation(step: int, **metrics: Any) -> tuple[str, dict[str, Any]]:
    return EVAL, row(step, **metrics)[1]


def scalars(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Step, wall time and value by tag, as TensorBoard reads them, none left out."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.wall_time, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def exported(tmp_path: Path, *lines: tuple[str, dict[str, Any]]) -> dict[str, list[tuple[int, float, float]]]:
    history = read_history(write_journal(tmp_path / "run", [opened(), *lines]))
    write_events(history, tmp_path / "events" / events_name(history))
    return scalars(tmp_path / "events")


def test_tensorboard_reads_every_value_at_its_step_and_wall_time(tmp_path: Path) -> None:
    read = exported(
        tmp_path,
        evaluation(0, eval_loss=8.5),
        row(1, loss=2.5, learning_rate=2e-4),
        row(2, loss=1.25, learning_rate=1e-4),
        evaluation(2, eval_loss=1.5, eval_accuracy=0.5),
    )
    assert read["train/loss"] == [(1, STARTED + 1.25, 2.5), (2, STARTED + 2.25, 1.25)]
    assert read["eval/loss"] == [(0, STARTED + 0.25, 8.5), (2, STARTED + 2.25, 1.5)]
    assert read["eval/accuracy"] == [(2, STARTED + 2.25, 0.5)]
    assert [value for _, _, value in read["train/learning_rate"]] == [np.float32(2e-4), np.float32(1e-4)]
    assert set(read) == {"train/loss", "train/learning_rate", "train/epoch", "eval/loss", "eval/accuracy"}


def test_nan_and_infinities_stay_what_they_are(tmp_path: Path) -> None:
    read = exported(tmp_path, row(1, loss="NaN"), row(2, loss="Infinity"), row(3, loss="-Infinity"), row(4, loss=1e300))
    values = [value for _, _, value in read["train/loss"]]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, math.inf]


def test_a_step_below_zero_in_a_strange_journal_stays_what_it_is(tmp_path: Path) -> None:
    assert exported(tmp_path, (ROW, {"step": -1, "loss": 1.0}))["train/loss"] == [(-1, STARTED, 1.0)]


def test_the_name_is_that_of_the_run_and_of_no_machine(tmp_path: Path) -> None:
    history = read_history(write_journal(tmp_path, [opened(run_id="層/run 1"), row(1, loss=1.0)]))
    assert events_name(history) == f"events.out.tfevents.{STARTED}.__run_1"


def test_the_same_record_makes_the_same_bytes(tmp_path: Path) -> None:
    history = read_history(write_journal(tmp_path / "run", [opened(), *(row(step, loss=0.5) for step in range(1, 50))]))
    for name in ("first", "second"):
        write_events(history, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_rows_that_a_resumed_attempt_replaced_are_not_exported(tmp_path: Path) -> None:
    read = exported(tmp_path, row(1, loss=1.0), row(2, loss=99.0), opened(2, resume_step=1), row(2, loss=0.5))
    assert [(step, value) for step, _, value in read["train/loss"]] == [(1, 1.0), (2, 0.5)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=12))
def test_checksums_are_those_of_tensorboard(messages: list[bytes]) -> None:
    assert masked_crcs(messages) == [masked_crc32c(message) for message in messages]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.text(min_size=1, max_size=12), st.floats(width=32, allow_nan=False, allow_infinity=False)),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_the_metrics_are_called_their_numbers_come_back(rows: list[dict[str, float]]) -> None:
    reserved = {"step", "timestamp", "attempt", "elapsed_time_seconds", "window_steps", "epoch"}
    rows = [{name: value for name, value in one.items() if name not in reserved} for one in rows]
    with tempfile.TemporaryDirectory() as folder:
        read = exported(Path(folder), *(row(step, **one) for step, one in enumerate(rows, start=1)))
    for step, one in enumerate(rows, start=1):
        for name, value in one.items():
            tag = f"eval/{name[5:]}" if name.startswith("eval_") else f"train/{name}"
            assert [struct.pack("<f", found) for at, _, found in read[tag] if at == step] == [struct.pack("<f", value)]


def test_a_folder_that_cannot_be_made_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    history = read_history(write_journal(tmp_path / "run", [opened(), row(1, loss=1.0)]))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_events(history, tmp_path / "file" / "events.tfevents")
