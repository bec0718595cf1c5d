"""Where errors of recording end, so that none of them stops training."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kiseki import TrainingMetricsRecorder

logger = logging.getLogger("so8t")


class Boundary:
    """The one place where an error of recording ends: counted, told once for each kind, noted in the record.

    Attributes:
        failures: how many there were.
        recorder: where they are noted; None: nowhere.

    Example:
        >>> boundary = Boundary()
        >>> with boundary.guarded("dividing"):
        ...     1 / 0
        >>> boundary.failures
        1
    """

    def __init__(self) -> None:
        self.failures = 0
        self.recorder: TrainingMetricsRecorder | None = None
        self._told: set[tuple[str, type[Exception]]] = set()

    @contextmanager
    def guarded(self, doing: str) -> Iterator[None]:
        """Let no error out.

        Args:
            doing: what is done inside, for the message.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the training boundary: counted and reported, never raised
            self.failures += 1
            if (doing, type(error)) in self._told:
                return
            self._told.add((doing, type(error)))
            logger.warning("%s failed (%s: %s); training goes on", doing, type(error).__name__, error)
            if self.recorder is not None:
                # only the kind of error: a message may hold paths, and partners see the record
                self.recorder.mark("warning", text=f"{doing} failed: {type(error).__name__}; training went on")
