"""The recorder's handle on its companion: start it, ask it, end it. Nothing here raises into training."""

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import msgspec

from kiseki.companion.protocol import REFRESH, Reply
from kiseki.filesystem import WINDOWS
from kiseki.record.forked import drop_in_children
from kiseki.run_folder import RunFolder

_EXIT_SECONDS = 5.0


class CompanionProcess:
    """A running companion.

    Args:
        folder: the run.
        interval_steps: how many steps may pass before the views are brought up to date.

    Raises:
        OSError: no process could be started.
    """

    def __init__(self, folder: RunFolder, interval_steps: int) -> None:
        environment = dict(os.environ)
        # A script may have found kiseki through sys.path; the child must find the same one.
        source = str(Path(__file__).parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, environment.get("PYTHONPATH", "")]))
        environment["OMP_NUM_THREADS"] = environment["OPENBLAS_NUM_THREADS"] = "1"
        # Hugging Face libraries and coverage tools read these; the companion is none of the training processes.
        environment.pop("PYTHONWARNINGS", None)
        with folder.companion_log.open("ab") as log:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-m", "kiseki.companion", os.fspath(folder.root.absolute()), str(interval_steps)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                **_OF_ITS_OWN,  # type: ignore[call-overload]
            )
        drop_in_children(self)

    @property
    def alive(self) -> bool:
        """Whether the process is there; reaps it when it is not."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self._process.pid)

    def refresh(self, timeout: float) -> Reply | None:
        """Have every view brought up to date and wait for it; None when no answer came in time."""
        replies: list[bytes] = []

        def ask() -> None:
            with contextlib.suppress(OSError, ValueError):
                self._stdin.write(REFRESH + b"\n")
                self._stdin.flush()
                replies.append(self._stdout.readline())

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(timeout)
        if not replies or not replies[0]:
            return None
        return msgspec.json.decode(replies[0], type=Reply)

    def end(self) -> None:
        """Close the pipe, which makes the companion finish and leave; kill it when it does not."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._stdout.close()

    def kill(self) -> None:
        """End it at once; the views it was writing stay as they were."""
        self._process.kill()
        self._process.wait()

    def drop_in_child(self) -> None:
        """In a forked child: close the pipe's copy, or the companion would think that training lives on."""
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.returncode = 0  # the child must neither wait for it nor warn about it

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout


if WINDOWS:
    _OF_ITS_OWN: dict[str, object] = {"creationflags": 0x00000200 | 0x00004000}  # new process group, below normal
else:
    _OF_ITS_OWN = {"start_new_session": True}
