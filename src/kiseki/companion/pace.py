"""How often views may be rewritten: when enough steps have passed, and never so often that it costs."""

from dataclasses import dataclass

SHARE_OF_A_CORE = 0.01
"""Tables and figure keep a pace each, so that both together stay within 2 % of one core."""

BYTES_PER_SECOND = 500_000
"""Likewise within 1 MB/s of disk on average for both together."""

_LONGEST_STALE_SECONDS = 30.0


@dataclass
class Pace:
    """Decides when one kind of view is due. Times are seconds on any clock that does not run backwards.

    Args:
        interval_steps: how many optimizer steps may pass before the view is brought up to date.

    Example:
        >>> pace = Pace(interval_steps=10)
        >>> pace.due(now=0.0, step=9), pace.due(now=0.0, step=10)
        (False, True)
        >>> pace.done(now=1.0, step=10, cpu_seconds=0.5, written_bytes=1000)
        >>> pace.due(now=50.0, step=20), pace.due(now=51.0, step=20)
        (False, True)
    """

    interval_steps: int
    _shown_step: int = 0
    _shown_at: float = 0.0  # long ago on any running machine: the first row is shown at once, so that files are there
    _not_before: float = 0.0

    def due(self, now: float, step: int) -> bool:
        """Whether the view should be rewritten now, the latest recorded step being `step`."""
        if now < self._not_before or step == self._shown_step:
            return False
        passed = abs(step - self._shown_step)
        return passed >= self.interval_steps or now - self._shown_at >= _LONGEST_STALE_SECONDS

    def done(self, now: float, step: int, cpu_seconds: float, written_bytes: int) -> None:
        """Note what a rewrite has cost, which decides when the next one may be."""
        self._shown_step, self._shown_at = step, now
        self._not_before = now + max(1.0, cpu_seconds / SHARE_OF_A_CORE, written_bytes / BYTES_PER_SECOND)
