"""Ctrl-C and handlers of signals come between any two steps of a call; the journal is what was written all the same."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.run_folder import RunFolder
from support import ToldClock

Call = Callable[[TrainingMetricsRecorder, int], bool]


def usual_row(recorder: TrainingMetricsRecorder, step: int) -> bool:
    return recorder.record_step(step, 0.1, 1.0, 0.1)


def row_with_more(recorder: TrainingMetricsRecorder, step: int) -> bool:
    return recorder.record_step(step, 0.1, 1.0, 0.1, lm_loss=1)


def row_and_seal(recorder: TrainingMetricsRecorder, step: int) -> bool:
    return recorder.record_step(step, 0.1, 1.0, 0.1) and recorder.flush()


def at_each_moment(recorder: TrainingMetricsRecorder, call: Call, handler: Callable[[], None]) -> list[int]:
    """Make the call again and again, with the handler run one moment later each time, until it has none left to run in.

    Python runs handlers of signals when a function is entered and when one written in C has returned; these are the
    moments that a profiler is told of. Returns the steps of the calls that returned True.
    """
    kept, step, came = [], 0, True
    while came:
        step, came, left = step + 1, False, step

        def profiler(frame: Any, event: str, argument: object) -> None:
            nonlocal came, left
            if event not in ("call", "c_return") or argument is sys.setprofile:
                return
            if left == 0:
                came = True
                sys.setprofile(None)
                handler()
            left -= 1

        try:
            sys.setprofile(profiler)
            if call(recorder, step):
                kept.append(step)
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
    assert step > 10, "the handler has run in none of the moments of a call"
    return kept


# a file that was opened a moment before is closed by the garbage collector, which says so
@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", [usual_row, row_with_more, row_and_seal])
def test_ctrl_c_at_any_moment_of_a_call_damages_nothing(tmp_path: Path, clock: ToldClock, call: Call) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, companion=False, clock=clock)
    kept = at_each_moment(recorder, call, interrupt)
    recorder.close("interrupted")
    history = read_history(recorder.folder)
    assert history.damage == ()
    assert history.tail_bytes == 0
    assert set(kept) <= set(history.rows.steps)
    assert history.rows.repeated == 0


@pytest.mark.parametrize("call", [usual_row, row_with_more, row_and_seal])
def test_a_handler_that_records_may_come_at_any_moment_of_a_call(tmp_path: Path, clock: ToldClock, call: Call) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, companion=False, clock=clock)

    def note_and_flush() -> None:
        assert recorder.mark("signal")
        assert recorder.flush()

    kept = at_each_moment(recorder, call, note_and_flush)
    recorder.close()
    history = read_history(recorder.folder)
    assert history.damage == ()
    assert kept == list(history.rows.steps) == list(range(1, len(kept) + 1))
    assert len(history.notes_of("signal")) == len(kept) - 1


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send Ctrl-C to another one there")
def test_a_process_that_gets_ctrl_c_again_and_again_keeps_an_undamaged_journal(tmp_path: Path) -> None:
    program = """
import signal, sys
from kiseki import TrainingMetricsRecorder

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
recorder = TrainingMetricsRecorder(sys.argv[1], save_plots=False, companion=False, save_interval=10**9)
step = interrupted = 0
print("records", flush=True)
while interrupted < 40:
    try:
        for step in range(step + 1, step + 10**6):  # not for ever, should no Ctrl-C come
            recorder.record_step(step, 0.1, 1.0, 0.1)
        raise SystemExit("no Ctrl-C came")
    except KeyboardInterrupt:
        interrupted += 1
        print(interrupted, flush=True)
recorder.close("interrupted")
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "records\n"
    for number in range(1, 41):
        time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == f"{number}\n"
    process.stdout.close()
    assert process.wait(60) == 0
    assert read_history(RunFolder(tmp_path)).damage == ()
