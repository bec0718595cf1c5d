"""The companion's loop: `python -m kiseki.companion RUN INTERVAL`, started by the recorder, not by people.

It reads requests from its standard input and ends when that closes, which is also how it learns that training died:
then it brings everything up to date one last time. It runs in a session of its own (Ctrl-C does not reach it), niced.
"""

import contextlib
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from kiseki.companion.follow import JournalFollower
from kiseki.companion.pace import Pace
from kiseki.companion.protocol import REFRESH, Reply
from kiseki.companion.views import refresh_views
from kiseki.run_folder import RunFolder

_TICK_SECONDS = 0.25
_SYNC_SECONDS = 1.0


class Companion:
    """Keeps one run's views up to date.

    Args:
        folder: the run.
        interval_steps: the run's `save_interval`.
    """

    def __init__(self, folder: RunFolder, interval_steps: int) -> None:
        self._folder = folder
        self._follower = JournalFollower(folder)
        self._tables = Pace(interval_steps)
        self._figure = Pace(interval_steps)
        self._synced_at = 0.0
        self._shown_bytes = -1
        self.reply = Reply()

    def tick(self) -> None:
        """Look once at the journal: sync it when a second has passed, rewrite what is due."""
        now = time.monotonic()
        self._attempt(self._follower.look)
        if now - self._synced_at >= _SYNC_SECONDS:
            self._synced_at = now
            self._attempt(self._follower.sync)
        if self._tables.due(now, self._follower.step):
            self._refresh(self._tables, tables=True, plots=False)
        if self._figure.due(now, self._follower.step):
            self._refresh(self._figure, tables=False, plots=True)

    def bring_up_to_date(self) -> None:
        """Rewrite every view unless nothing was recorded since they were written together."""
        self._attempt(self._follower.look)
        self._attempt(self._follower.sync)
        if self._follower.size != self._shown_bytes:
            self._refresh(self._tables, tables=True, plots=True)

    def _refresh(self, pace: Pace, *, tables: bool, plots: bool) -> None:
        step, began = self._follower.step, time.process_time()
        written = 0

        def work() -> None:
            nonlocal written
            refreshed = refresh_views(self._folder, tables=tables, plots=plots)
            written = refreshed.written_bytes
            if tables and plots:
                self._shown_bytes = refreshed.journal_bytes
                self.reply.journal_bytes = refreshed.journal_bytes

        self._attempt(work)
        pace.done(time.monotonic(), step, time.process_time() - began, written)

    def _attempt(self, work: Callable[[], object]) -> None:
        """The boundary of this process: whatever fails is counted, told at the next reply, and tried again."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a figure that cannot be drawn must not end the tables
            self.reply.failures += 1
            self.reply.last_failure = f"{type(error).__name__}: {error}"[:500]
            with contextlib.suppress(OSError):  # the log stands on the same disk, which may be full
                traceback.print_exc()


def _read_requests(source: IO[bytes], requests: "queue.Queue[bytes | None]") -> None:
    for line in source:
        requests.put(line.strip())
    requests.put(None)


def main() -> int:
    """Run until standard input closes."""
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(10)
    companion = Companion(RunFolder(Path(sys.argv[1])), int(sys.argv[2]))
    requests: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_read_requests, args=(sys.stdin.buffer, requests), daemon=True).start()
    while True:
        try:
            request = requests.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            companion.tick()
            continue
        if request is None:
            companion.bring_up_to_date()
            return 0
        if request == REFRESH:
            companion.bring_up_to_date()
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.buffer.write(msgspec.json.encode(companion.reply) + b"\n")
                sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
