"""The two clocks of a record, as one thing that is passed in: what people read, and what never runs backwards."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the recorder gets its times from; tests pass their own."""

    def wall_nanoseconds(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may jump when somebody sets the clock."""

    def monotonic_nanoseconds(self) -> int:
        """Nanoseconds since some moment; never decreases."""


class SystemClock:
    """The clocks of the operating system."""

    wall_nanoseconds = staticmethod(time.time_ns)
    monotonic_nanoseconds = staticmethod(time.monotonic_ns)


_POINT_THREE_DIGITS = [f".{number:03d}" for number in range(1000)]
_THREE_DIGITS_ZULU = [f"{number:03d}Z" for number in range(1000)]


class TimestampWriter:
    """Writes times as RFC 3339 in UTC with microseconds; the text up to the second is kept for the next call.

    Example:
        >>> TimestampWriter()(1_763_874_000_123_456_789)
        '2025-11-23T05:00:00.123456Z'
    """

    def __init__(self) -> None:
        self._second_began = -1 << 62
        self._text = ""

    def __call__(self, wall_nanoseconds: int) -> str:
        """The text of one moment, given in nanoseconds since 1970-01-01 UTC."""
        # The difference is a small number, and small numbers divide several times faster than nanoseconds since 1970.
        nanoseconds = wall_nanoseconds - self._second_began
        if not 0 <= nanoseconds < 1_000_000_000:
            second, nanoseconds = divmod(wall_nanoseconds, 1_000_000_000)
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second_began = second * 1_000_000_000
        microseconds = nanoseconds // 1000
        return self._text + _POINT_THREE_DIGITS[microseconds // 1000] + _THREE_DIGITS_ZULU[microseconds % 1000]
