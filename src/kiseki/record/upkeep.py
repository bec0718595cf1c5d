"""What a record needs once a second besides its rows: a seal, and a note of whatever happened around it."""

from collections.abc import Callable
from typing import Protocol

from kiseki.record.clock import Clock
from kiseki.record.writer import AttemptWriter

_SECOND = 1_000_000_000
_CLOCK_JUMP = 2 * _SECOND
_ENERGY_EVERY = 60 * _SECOND


class Meter(Protocol):
    """Counts what the accelerators use."""

    def used(self) -> float | None:
        """Joules since the attempt began, None when unknown."""


class Upkeep:
    """Looks after the record of one attempt while rows come.

    Args:
        writer: the attempt's.
        clock: the one that its rows are dated by.
        mark: writes a note: kind and fields.
        warn: tells the user.
        meter: of the energy used; None where nobody counts it.
    """

    def __init__(
        self,
        writer: AttemptWriter,
        clock: Clock,
        mark: Callable[..., object],
        warn: Callable[[str], None],
        meter: Meter | None,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._mark = mark
        self._warn = warn
        self._meter = meter
        self._energy_at = clock.monotonic_nanoseconds()
        self._wall_minus_monotonic = self._clock_difference()

    def attend(self, monotonic_nanoseconds: int) -> None:
        """Seal what was recorded, tell when the disk does not take it, note a clock that was set and the energy."""
        journal = self._writer.journal
        journal.seal()
        if journal.failing:
            self._warn(
                f"rows cannot be written ({journal.failing}): {journal.waiting_rows} wait in memory, "
                f"{journal.dropped_rows} are lost; training goes on"
            )
        self._look_at_the_clock()
        if monotonic_nanoseconds - self._energy_at >= _ENERGY_EVERY:
            self._energy_at = monotonic_nanoseconds
            self.note_energy()

    def note_energy(self) -> None:
        """Energy of this attempt so far: noted every minute, so that a crash loses no more than that."""
        joules = self._meter.used() if self._meter is not None else None
        if joules is not None:
            elapsed = (self._clock.monotonic_nanoseconds() - self._writer.elapsed_zero) / _SECOND
            self._mark("energy", joules=round(joules, 3), source="nvml", elapsed_time_seconds=round(elapsed, 3))

    def _clock_difference(self) -> int:
        return self._clock.wall_nanoseconds() - self._clock.monotonic_nanoseconds()

    def _look_at_the_clock(self) -> None:
        """Note when the wall clock was set: rows stay in order, but their timestamps jump."""
        jump = self._clock_difference() - self._wall_minus_monotonic
        if abs(jump) >= _CLOCK_JUMP:
            self._wall_minus_monotonic += jump
            self._mark("clock_jump", seconds=round(jump / _SECOND, 3), step=self._writer.last_step)
