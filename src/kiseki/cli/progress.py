"""How far a long command is, on standard error, once it has taken two seconds."""

import time

import click

_QUIET_SECONDS = 2.0


class Progress:
    """Called with bytes done and in all; says it in per cent, at most once a second.

    Args:
        what: what is being done, in both languages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._say_at = time.monotonic() + _QUIET_SECONDS

    def __call__(self, done: int, total: int) -> None:
        """So far it is."""
        now = time.monotonic()
        if now >= self._say_at:
            self._say_at = now + 1.0
            click.echo(f"{self._what} {100 * done // max(total, 1)} %", err=True)
