"""Starts the programs of `programs.py` under faults and looks at what they left."""

import contextlib
import csv
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from faults import programs
from faults.programs import ROWS, loss_of
from kiseki import TrainingMetricsRecorder
from kiseki.errors import RunFolderError
from kiseki.history import History, read_history
from kiseki.run_folder import RunFolder
from support import strict_json

T = TypeVar("T")

OFF, COUNT, CUT, KILL, FAIL, SHORT, DELAY = range(7)
"""As in shim.c."""

FULL = os.environ.get("KISEKI_FAULTS") == "full"
"""Every point of every case, instead of a sample that fits into the ordinary run."""

_TRIAL_SECONDS = 180.0

HUNG = -1000
"""The exit status that `run_group` gives to what had to be ended."""

csv.field_size_limit(1 << 24)  # a metric whose name is a megabyte long is one of the trials


def some(cases: Sequence[T], quickly: int) -> Sequence[T]:
    """All parameters of a test in the full run, the first so many otherwise."""
    return cases if FULL else cases[:quickly]


@dataclass(frozen=True)
class Fault:
    """What the shim does.

    Attributes:
        mode: CUT at byte `at`, KILL before call `at`, FAIL from call `at` on, SHORT: call `at`, when it is a write,
            writes half, and the calls after it fail. DELAY: every call takes `at` milliseconds longer.
        at: from 1.
        error: errno of failing calls.
        times: how many calls fail; 0 is for good.
        log: a file that is told the name of each call.
    """

    mode: int
    at: int = 0
    error: int = 0
    times: int = 0
    log: str = ""

    def environment(self, folder: Path) -> dict[str, str]:
        """Arms the shim in a process that is started by exec."""
        return {
            "KISEKI_SHIM_FOLDER": str(folder),
            "KISEKI_SHIM_MODE": str(self.mode),
            "KISEKI_SHIM_AT": str(self.at),
            "KISEKI_SHIM_ERRNO": str(self.error),
            "KISEKI_SHIM_TIMES": str(self.times),
        }


@dataclass
class Told:
    """What one process told before it ended."""

    lines: list[list[Any]] = field(default_factory=list)
    status: int | None = None
    pid: int = 0

    def of(self, kind: str) -> list[list[Any]]:
        return [line[1:] for line in self.lines if line[0] == kind]

    @property
    def given(self) -> list[int]:
        return [step for step, _ in self.of("row")]

    @property
    def acknowledged(self) -> list[int]:
        return [step for step, kept in self.of("row") if kept]


class Server:
    """Forks children that run a program of `programs.py`, one at a time.

    Args:
        shim: the shim to preload; without it no `Fault` can be asked for.
    """

    def __init__(self, shim: Path | None) -> None:
        environment = {**os.environ, **({"LD_PRELOAD": str(shim)} if shim else {})}
        self._process = subprocess.Popen(
            [sys.executable, programs.__file__, "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path]))},
        )
        self._left = b""
        self.child: int | None = None

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def run(
        self,
        program: str,
        root: Path,
        fault: Fault | None = None,
        kill_after: float | None = None,
        user: int | None = None,
        **arguments: Any,
    ) -> Told:
        """Run a program to its end, or kill it after so many seconds."""
        request = {
            "program": program,
            "root": str(root),
            "arguments": arguments,
            "fault": vars(fault) if fault else None,
            "user": user,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        told, until = Told(), time.monotonic() + _TRIAL_SECONDS
        kill_at = math.inf
        while True:
            line = self._next_line(min(kill_at, until))
            if line is None:
                assert time.monotonic() < until, "a trial hangs"
                os.kill(told.pid, signal.SIGKILL)
                kill_at = math.inf
            elif line[0] == "pid":
                told.pid = self.child = line[1]
                kill_at = math.inf if kill_after is None else time.monotonic() + kill_after
            elif line[0] == "ended":
                told.status, self.child = line[1], None
                return told
            else:
                told.lines.append(line)

    def _next_line(self, until: float) -> list[Any] | None:
        """The next thing told; None when nothing was until then."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._left:
            wait = max(0.0, until - time.monotonic())
            if wait == 0.0 or not select.select([descriptor], [], [], wait)[0]:
                return None
            read = os.read(descriptor, 1 << 16)
            assert read, "the server has died"
            self._left += read
        line, self._left = self._left.split(b"\n", 1)
        return list(json.loads(line))


def run_group(command: list[str], timeout: float, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; when it hangs, end it with all that it started, and return `HUNG`."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **how
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            status = HUNG
    return subprocess.CompletedProcess(command, status, output, errors)


def rows_of_views(folder: RunFolder) -> list[list[int]]:
    """The steps in each table that stands there; every one must parse whole."""
    found = []
    if folder.training_json.exists():
        rows = strict_json(folder.training_json.read_bytes())
        assert all(row["loss"] == loss_of(row["step"]) for row in rows)
        found.append([row["step"] for row in rows])
    if folder.training_csv.exists():
        with folder.training_csv.open(encoding="utf-8", newline="") as table:
            read = list(csv.DictReader(table, strict=True))
        assert all(None not in row and None not in row.values() for row in read), "a row is cut"
        assert all(float(row["loss"]) == loss_of(int(row["step"])) for row in read)
        found.append([int(row["step"]) for row in read])
    return found


def check_what_is_left(root: Path, told: Told) -> list[int]:
    """Every promise that does not depend on the fault; returns the steps in the journal."""
    assert told.of("raised") == [], f"training code saw {told.of('raised')[0][0][-400:]}"
    folder = RunFolder(root)
    history = history_if_any(folder)
    if history is None:
        assert told.acknowledged == [], "acknowledged rows are lost"
        return []
    assert history.damage == ()
    steps = list(history.rows.steps)
    assert set(told.acknowledged) <= set(steps), "acknowledged rows are lost"
    for row in history.rows.decoded():
        assert row["loss"] == loss_of(row["step"])
    for shown in rows_of_views(folder):
        assert shown == steps[: len(shown)], "a view shows what the journal does not hold"
    return steps


def history_if_any(folder: RunFolder) -> History | None:
    try:
        return read_history(folder)
    except RunFolderError:
        return None


def resume_and_check(root: Path, steps: list[int]) -> None:
    """A later attempt goes on after the last row, and everything is there, once, in journal and views."""
    last = steps[-1] if steps else 0
    recorder = TrainingMetricsRecorder(
        root, resume_step=last, companion=False, save_plots=False, config={"rank": 8}, save_interval=100
    )
    due = range(last + 1, max(ROWS, last) + 1)
    for step in due:
        assert recorder.record_step(step=step, epoch=step / 4, loss=loss_of(step), learning_rate=0.1)
    recorder.close()
    assert (recorder.errors, recorder.dropped_rows) == (0, 0)
    history = read_history(recorder.folder)
    assert (history.damage, history.tail_bytes) == ((), 0)
    assert history.rows.steps.tolist() == [*steps, *due]
    assert rows_of_views(recorder.folder) == [[*steps, *due]] * 2
    assert [path.name for path in recorder.folder.metrics.glob(".training*.tmp")] == []


@contextlib.contextmanager
def mounted(source: Path | str, at: Path, *options: str) -> Iterator[Path]:
    """Something mounted for as long as the block lasts."""
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", *options, str(source), str(at)], check=True, capture_output=True)
    try:
        yield at
    finally:
        # never lazily: what is still open would come back as it was, broken, at the next mount
        until = time.monotonic() + 10
        while subprocess.run(["umount", str(at)], check=False, capture_output=True).returncode and at.is_mount():
            if time.monotonic() > until:
                subprocess.run(["umount", "-l", str(at)], check=False)
                raise AssertionError(f"{at} is still in use")
            time.sleep(0.05)
