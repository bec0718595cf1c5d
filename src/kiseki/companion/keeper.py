"""Keeps the views of a recording run up to date: through a companion process, or in this process without one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kiseki.companion.pace import Pace
from kiseki.run_folder import RunFolder

if TYPE_CHECKING:
    from kiseki.companion.launch import CompanionProcess

_REFRESH_SECONDS = 60.0
_REFRESH_BYTES_PER_SECOND = 5e6
_RESTARTS = 3


class ViewKeeper:
    """The recorder's side of the views.

    A companion that is lost is replaced by another within a second or two; at `refresh()` and at the end, and when
    companions keep getting lost, this process does their work.

    Args:
        folder: the run.
        interval_steps: how many optimizer steps may pass before the views are brought up to date.
        plots: whether the run draws curves.
        companion: start a companion process; False makes the views in this process from the start.
        tell: called with what failed, in words, each time something new did.

    Attributes:
        here: views are made in this process, so that `recorded` must be called.
    """

    def __init__(
        self, folder: RunFolder, interval_steps: int, *, plots: bool, companion: bool, tell: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._plots = plots
        self._tell = tell
        self._failures_told = 0
        self._tables, self._figure = Pace(interval_steps), Pace(interval_steps)
        self._interval_steps = interval_steps
        self._restarts_left = _RESTARTS
        self._companion: CompanionProcess | None = None
        self.here = not companion
        if companion:
            self._start()

    @property
    def companion_pid(self) -> int | None:
        """Process id of the companion, None when there is none."""
        return None if self._companion is None else self._companion.pid

    @property
    def syncs(self) -> bool:
        """Whether somebody else makes the journal durable once a second; replaces a companion that has died."""
        if self._companion is not None and not self._companion.alive:
            self._lose("the companion ended before training did")
        if self._companion is None and not self.here:
            self._restart()
        return self._companion is not None

    def recorded(self, step: int) -> None:
        """A row was recorded, and views are made here: rewrite what is due."""
        now = time.monotonic()
        for pace, tables in ((self._tables, True), (self._figure, False)):
            if (tables or self._plots) and pace.due(now, step):
                began = time.thread_time()
                self._refresh_here(tables=tables, plots=not tables)
                pace.done(time.monotonic(), step, time.thread_time() - began, 0)

    def refresh(self) -> bool:
        """Bring every view up to date now; True when all of them show the journal as it stands."""
        if self._companion is not None:
            journal_bytes = self._folder.journal.stat().st_size
            reply = self._companion.refresh(_REFRESH_SECONDS + journal_bytes / _REFRESH_BYTES_PER_SECOND)
            if reply is None:
                self._lose("the companion did not answer")
            else:
                if reply.failures > self._failures_told:
                    self._failures_told = reply.failures
                    self._tell(f"the companion failed {reply.failures} time(s), the last time: {reply.last_failure}")
                if reply.journal_bytes >= journal_bytes:
                    return True
        return self._refresh_here(tables=True, plots=self._plots)

    def end(self) -> None:
        """Let the companion finish and leave; no child process is left."""
        if self._companion is not None:
            self._companion.end()
            self._companion = None

    def _refresh_here(self, *, tables: bool, plots: bool) -> bool:
        from kiseki.companion.views import refresh_views  # not needed where a companion does it

        try:
            refresh_views(self._folder, tables=tables, plots=plots)
        except Exception as error:  # noqa: BLE001 - a view that cannot be made says nothing about the row just kept
            self._tell(f"the views could not be written: {error}")
            return False
        return True

    def _start(self) -> None:
        from kiseki.companion.launch import CompanionProcess  # needs subprocess, which importing kiseki does not

        try:
            self._companion = CompanionProcess(self._folder, self._interval_steps)
        except OSError as error:
            self.here = True
            self._tell(f"the companion could not be started ({error}); views are made in the training process")

    def _restart(self) -> None:
        if self._restarts_left == 0:
            self.here = True
            return
        self._restarts_left -= 1
        self._failures_told = 0
        self._start()

    def _lose(self, why: str) -> None:
        if self._companion is not None:
            self._companion.kill()
            self._companion.end()
            self._companion = None
        log = self._folder.companion_log
        self._tell(f"{why}; what it printed last: {_last_line(log) or 'nothing'}")


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


class NoViews:
    """What a rank other than world process zero does for the views: nothing, they are that process's."""

    here = False
    syncs = False
    companion_pid = None

    def recorded(self, step: int) -> None:
        """Nothing is made here."""

    def refresh(self) -> bool:
        """The views are another process's."""
        return True

    def end(self) -> None:
        """Nobody has to leave."""
