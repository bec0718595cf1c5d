"""Once a second: a seal, what the disk does not take, a clock that was set, and each minute the energy."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiseki.history import read_history
from kiseki.provenance.energy import EnergyMeter
from kiseki.record.arguments import checked_intent
from kiseki.record.attempt import begin
from kiseki.record.line import NOTE, SEAL
from kiseki.record.reader import JournalReader
from kiseki.record.upkeep import Meter, Upkeep
from kiseki.record.writer import AttemptWriter
from kiseki.recorder import canonical_note
from kiseki.run_folder import RunFolder
from support import ToldClock

Kept = tuple[AttemptWriter, Upkeep]


@pytest.fixture
def keep(tmp_path: Path, clock: ToldClock) -> Iterator[Callable[[Meter | None], Kept]]:
    writers = []

    def start(meter: Meter | None) -> Kept:
        intent = checked_intent(
            rank=0,
            model_name="m",
            language="en",
            save_interval=10,
            outputs={},
            max_steps=None,
            nonce=None,
            criteria=None,
            config=None,
            environment=dict,
            resume_step=None,
            run_id=None,
            allow_config_change=False,
        )
        writer = AttemptWriter(begin(RunFolder(tmp_path), intent, clock, "0"), clock)
        writers.append(writer)

        def mark(kind: str, **fields: object) -> None:
            writer.journal.append(NOTE, canonical_note({"kind": kind, **writer.dated(), **fields}))

        return writer, Upkeep(writer, clock, mark, pytest.fail, meter)

    yield start
    for writer in writers:
        writer.journal.close()


def test_energy_is_noted_once_a_minute_as_used_since_the_attempt_began(
    tmp_path: Path, clock: ToldClock, keep: Callable[[Meter | None], Kept]
) -> None:
    counted = iter(
        [[1000.0]]
        + [
            [
                1000.0 + 50.0 * minute,
            ]
            for minute in range(1, 10)
        ]
    )
    _, upkeep = keep(EnergyMeter(lambda: next(counted)))
    for _ in range(150):
        clock.pass_seconds(1)
        upkeep.attend(clock.monotonic)
    notes = read_history(RunFolder(tmp_path)).notes_of("energy")
    assert [(note["joules"], note["elapsed_time_seconds"]) for note in notes] == [(50.0, 60.0), (100.0, 120.0)]
    assert {note["source"] for note in notes} == {"nvml"}


@pytest.mark.parametrize("meter", [None, EnergyMeter(lambda: None)])
def test_energy_that_nobody_counts_is_not_noted(
    tmp_path: Path, clock: ToldClock, keep: Callable[[Meter | None], Kept], meter: Meter | None
) -> None:
    _, upkeep = keep(meter)
    clock.pass_seconds(61)
    upkeep.attend(clock.monotonic)
    assert read_history(RunFolder(tmp_path)).notes_of("energy") == []


def test_a_seal_comes_only_after_something_that_is_not_sealed(
    tmp_path: Path, clock: ToldClock, keep: Callable[[Meter | None], Kept]
) -> None:
    writer, upkeep = keep(None)
    for step in (None, 1, None, 2, None):
        if step is not None:
            writer.append("row", step, b'{"step":%d}' % step)
        upkeep.attend(clock.monotonic)
    reader = JournalReader(RunFolder(tmp_path).journal)
    assert [line.kind for line, _ in reader] == ["open", SEAL, "row", SEAL, "row", SEAL]
    assert reader.damage == []
    assert (writer.rows, writer.last_step) == (2, 2)
