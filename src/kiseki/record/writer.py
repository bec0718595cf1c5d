"""Writes what one attempt records: dated, and counted for the line that closes it."""

from typing import Any

import msgspec

from kiseki.errors import RunFolderError
from kiseki.record.attempt import Begun
from kiseki.record.clock import Clock, TimestampWriter
from kiseki.record.line import CLOSE, ROW


class AttemptWriter:
    """Appends to the journal of an attempt that has begun.

    Recording one row is the training loop's own time, so the recorder does by itself what `append` does.

    Args:
        begun: the attempt.
        clock: for the times in its lines.

    Attributes:
        journal: where the lines go.
        timestamp: writes a moment of the wall clock.
        elapsed_zero: monotonic nanoseconds at which the run's recorded time began.
        rows: training rows so far; one that waits for the disk is among them.
        last_step: step of the last of them, None before the first.
    """

    def __init__(self, begun: Begun, clock: Clock) -> None:
        self.journal = begun.journal
        self.timestamp = TimestampWriter().__call__  # the method itself: calling the object costs more
        self.elapsed_zero = begun.began_monotonic_nanoseconds - round(begun.elapsed_before_seconds * 1_000_000_000)
        self.rows = 0
        self.last_step: int | None = None
        self._clock = clock

    def dated(self) -> dict[str, Any]:
        """The two times of a line that is written now."""
        elapsed = self._clock.monotonic_nanoseconds() - self.elapsed_zero
        return {
            "timestamp": self.timestamp(self._clock.wall_nanoseconds()),
            "elapsed_time_seconds": elapsed // 1000 / 1e6,
        }

    def append(self, kind: str, step: int, payload: bytes) -> bool:
        """Append a row or an evaluation; False while it waits for the disk.

        Raises:
            RunFolderError: the record is closed.
        """
        kept = self.journal.append(kind, payload)
        if not kept:
            self.require_open()
        if kind == ROW:
            self.rows += 1
            self.last_step = step
        return kept

    def require_open(self) -> None:
        """A line that waits for the disk still is one that was recorded; after `close` there is none.

        Raises:
            RunFolderError: the record is closed.
        """
        if not self.journal.is_open:
            raise RunFolderError("the record is closed; a row came after close()")

    def append_close(self, status: str, error: str | None, recorder_errors: int) -> None:
        """Append the line that says how the attempt ended, and what it could not keep."""
        closed: dict[str, Any] = {
            "status": status,
            **self.dated(),
            "last_step": self.last_step,
            "rows": self.rows,
            "recorder_errors": recorder_errors,
            "dropped_rows": self.journal.dropped_rows + self.journal.waiting_rows,
        }
        if error:
            # names of files come with lone surrogates, and how it ended must be known all the same
            closed["error"] = str(error).encode("utf-8", "backslashreplace").decode()
        self.journal.append(CLOSE, msgspec.json.encode(closed))
