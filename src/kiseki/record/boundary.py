"""The training boundary: what fails behind it is counted and told, and never reaches the training loop."""

import threading
from types import TracebackType

from kiseki.record.clock import Clock
from kiseki.record.forked import drop_in_children
from kiseki.telling import warn

_WARN_EVERY_NANOSECONDS = 60 * 1_000_000_000


class TrainingBoundary:
    """Runs one caller at a time, and swallows every `Exception` of a `with` block after counting it.

    KeyboardInterrupt and SystemExit pass: they are not failures of the recorder.

    Args:
        clock: decides when a minute has passed since the last warning.

    Attributes:
        mutex: held while a block runs; the hot path takes it by itself.
        errors: how often something failed.

    Example:
        >>> from kiseki.record.clock import SystemClock
        >>> boundary = TrainingBoundary(SystemClock())
        >>> with boundary:
        ...     _ = 1 / 0
        >>> boundary.errors
        1
    """

    def __init__(self, clock: Clock) -> None:
        self.mutex = threading.RLock()
        self.errors = 0
        self._clock = clock
        self._warned_at = -_WARN_EVERY_NANOSECONDS
        drop_in_children(self)

    def drop_in_child(self) -> None:
        """In a forked child: a mutex of its own, for the thread that holds this one was not forked."""
        self.mutex = threading.RLock()

    def __enter__(self) -> None:
        self.mutex.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.mutex.release()
        if not isinstance(error, Exception):
            return False
        self.count(error)
        return True

    def count(self, error: Exception) -> None:
        """Count a failure and say so."""
        self.errors += 1
        self.warn(
            "recording failed (%s: %s); training goes on, errors so far: %d", type(error).__name__, error, self.errors
        )

    def warn(self, message: str, *values: object) -> None:
        """Say it on the `kiseki` logger, at most once a minute: the counts are in the report anyway."""
        now = self._clock.monotonic_nanoseconds()
        if now - self._warned_at >= _WARN_EVERY_NANOSECONDS:
            self._warned_at = now
            try:
                warn(message, *values)
            except Exception:  # noqa: BLE001 - a handler of the program's own, or an exception that has no text
                self.errors += 1
