"""What the tested processes do: small training loops that tell, through a pipe, what the recorder promised them.

Run as a program this is a server that forks one child a request, so that a thousand trials need not import kiseki a
thousand times. A child is a process of its own: it can be killed, and only it is shimmed.
"""

import ctypes
import functools
import itertools
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kiseki.recorder
from kiseki import TrainingMetricsRecorder
from kiseki.companion.views import refresh_views
from kiseki.errors import KisekiError
from kiseki.run_folder import RunFolder
from support import ToldClock, stop_and_wait

Tell = Callable[..., None]

ROWS = 12


def loss_of(step: int) -> float:
    return 1.0 / (step + 1)


def record(recorder: TrainingMetricsRecorder, step: int, tell: Tell, **more: float) -> None:
    kept = recorder.record_step(step=step, epoch=step / 4, loss=loss_of(step), learning_rate=0.1, **more)
    tell("row", step, kept)


def open_recorder(root: str, tell: Tell, **arguments: Any) -> TrainingMetricsRecorder | None:
    settings: dict[str, Any] = {"companion": False, "save_plots": False, "save_interval": 5, "config": {"rank": 8}}
    try:
        recorder = TrainingMetricsRecorder(root, **{**settings, **arguments})
    except KisekiError as error:
        tell("refused", type(error).__name__, str(error))
        return None
    tell("opened", recorder.attempt)
    return recorder


def few_rows(root: str, tell: Tell, first: int = 1, **arguments: Any) -> None:
    """Twelve rows, a flush in the middle, the views before the end and at it, an orderly end."""
    recorder = open_recorder(root, tell, **arguments)
    if recorder is None:
        return
    for step in range(first, ROWS + 1):
        record(recorder, step, tell)
        if step == ROWS // 2:
            tell("flushed", step, recorder.flush())
        if step == ROWS - 2:
            tell("refreshed", step, recorder.refresh())
    recorder.close()
    tell("closed", recorder.dropped_rows, recorder.errors)


def few_rows_in_no_time(root: str, tell: Tell) -> None:
    """The same by a clock that stands still: what is done once a second is never due, on a slow machine either."""
    few_rows(root, tell, clock=ToldClock())


def rows_until_killed(
    root: str, tell: Tell, padding: int, refresh_every: int = 0, flush_every: int = 0, pause: float = 0.0
) -> None:
    """Rows with a long name in them, as fast as they go or with a pause, views and durability at every so many."""
    recorder = open_recorder(root, tell)
    assert recorder is not None
    name = "x" * padding
    for step in itertools.count(1):
        if pause:
            time.sleep(pause)
            tell("at", step, time.time())
        record(recorder, step, tell, **{name: 0.5})
        if refresh_every and step % refresh_every == 0:
            tell("refreshed", step, recorder.refresh())
        if flush_every and step % flush_every == 0:
            tell("flushed", step, recorder.flush())


def rows_at_a_rate(root: str, tell: Tell, seconds: float, per_second: int, rows: int) -> None:
    """So many rows a second with a companion, and a save point every fifty; the last ones again and again."""
    recorder = open_recorder(root, tell, companion=True)
    assert recorder is not None
    began = time.monotonic()
    recorded = refreshes = 0
    while (passed := time.monotonic() - began) < seconds:
        if recorded >= passed * per_second:
            time.sleep(0.0005)
            continue
        recorded += 1
        step = min(recorded, rows)
        assert recorder.record_step(step=step, epoch=0.1, loss=loss_of(step), learning_rate=0.1)
        if recorded % 50 == 0:
            refreshes += recorder.refresh()
    recorder.close()
    tell("recorded", recorded, refreshes)


def rows_in_a_folder_that_closes(root: str, tell: Tell) -> None:
    """Ten minutes of a row a second, by a clock of its own; after the first row the folder may not be written."""
    warnings: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("kiseki").addHandler(handler)
    clock = ToldClock()
    recorder = open_recorder(root, tell, clock=clock)
    assert recorder is not None
    for step in range(1, 601):
        clock.pass_seconds(1)
        record(recorder, step, tell)
        if step == 1:
            recorder.folder.metrics.chmod(0o555)
        if step % 10 == 0:
            recorder.refresh()
    recorder.close()
    tell("told", recorder.errors, len(warnings), 10)


def rows_beside_a_stopped_companion(root: str, tell: Tell) -> None:
    """Ten rows, then the companion is stopped and this process killed."""
    recorder = open_recorder(root, tell, companion=True)
    assert recorder is not None
    for step in range(1, 11):
        record(recorder, step, tell)
    pid = recorder._views.companion_pid
    assert pid is not None
    recorder.refresh()
    stop_and_wait(pid)
    tell("companion", pid)
    os.kill(os.getpid(), signal.SIGKILL)


def views_of_a_journal_that_may_only_be_read(root: str, tell: Tell) -> None:
    """Someone archives the journal by making it read-only, and has the views made again."""
    few_rows(root, tell)
    folder = RunFolder(Path(root))
    folder.journal.chmod(0o444)
    folder.training_json.unlink()
    refresh_views(folder, plots=False)


PROGRAMS: dict[str, Callable[..., None]] = {
    "few_rows": few_rows,
    "few_rows_in_no_time": few_rows_in_no_time,
    "rows_until_killed": rows_until_killed,
    "rows_at_a_rate": rows_at_a_rate,
    "rows_beside_a_stopped_companion": rows_beside_a_stopped_companion,
    "rows_in_a_folder_that_closes": rows_in_a_folder_that_closes,
    "views_of_a_journal_that_may_only_be_read": views_of_a_journal_that_may_only_be_read,
}


def teller(descriptor: int) -> Tell:
    """Writes one JSON line in one write, so that nothing told is lost with the process."""

    def tell(*told: Any) -> None:
        os.write(descriptor, json.dumps(told).encode() + b"\n")

    return tell


def serve() -> None:
    """Fork a child for each request on standard input; everything told goes to standard output."""
    # the machine's description is asked once, and honestly; a thousand trials would spend their time on it
    kiseki.recorder._describe_environment = functools.cache(kiseki.recorder._describe_environment)
    kiseki.recorder._describe_environment()
    kiseki.recorder._energy_meter()  # a child without root's rights may not be able to read the checkout
    tell = teller(1)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(run(request, tell))
        tell("pid", child)
        _, status = os.waitpid(child, 0)
        tell("ended", os.waitstatus_to_exitcode(status))


def run(request: dict[str, Any], tell: Tell) -> int:
    library: Any = ctypes.CDLL(None)
    if request["user"] is not None:
        os.setgroups([])
        os.setresgid(*[request["user"]] * 3)
        os.setresuid(*[request["user"]] * 3)
    if fault := request["fault"]:
        library.shim_arm(
            os.fsencode(request["root"]),
            fault["mode"],
            ctypes.c_long(fault["at"]),
            fault["error"],
            ctypes.c_long(fault["times"]),
            os.open(fault["log"], os.O_WRONLY | os.O_CREAT) if fault["log"] else -1,
        )
    try:
        PROGRAMS[request["program"]](request["root"], tell, **request["arguments"])
    except BaseException:  # whatever reaches the training loop is what is being looked for
        tell("raised", traceback.format_exc())
        return 1
    if fault:
        library.shim_disarm()
        tell("calls", library.shim_calls(), library.shim_bytes())
    return 0


if __name__ == "__main__":
    if Path(sys.argv[1]).name == "serve":
        serve()
    else:
        PROGRAMS[sys.argv[1]](sys.argv[2], teller(1), **json.loads(sys.argv[3]))
