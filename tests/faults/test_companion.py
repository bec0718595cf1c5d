"""The companion under the same faults as the recorder: it may be slow, out of disk, stopped, killed, or too late."""

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from faults.harness import DELAY, FAIL, Fault, Server, history_if_any, rows_of_views, some
from faults.programs import loss_of
from kiseki import TrainingMetricsRecorder
from kiseki.companion.views import refresh_views
from kiseki.errors import RunFolderError
from kiseki.filesystem import FileLock
from kiseki.history import read_history
from kiseki.run_folder import RunFolder
from support import stop_and_wait, strict_json


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "the condition did not come true"
        time.sleep(0.02)
    return value


def companion_of(recorder: TrainingMetricsRecorder) -> psutil.Process:
    return next(p for p in psutil.Process().children() if str(recorder.folder.root) in p.cmdline())


def processes_of(root: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if str(root) in (process.info["cmdline"] or [])]


def record(recorder: TrainingMetricsRecorder, steps: range) -> None:
    for step in steps:
        assert recorder.record_step(step=step, epoch=step / 4, loss=loss_of(step), learning_rate=0.1)


def shown(folder: RunFolder) -> list[int]:
    return [len(rows) for rows in rows_of_views(folder)]


@pytest.fixture
def shimmed(shim: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Fault], None]:
    """Has the companion started next run under a fault; this process does not."""

    def arm(root: Path, fault: Fault) -> None:
        for name, value in {**fault.environment(root), "LD_PRELOAD": str(shim)}.items():
            monkeypatch.setenv(name, value)

    return arm


@pytest.mark.parametrize("error", some([errno.ENOSPC, errno.EIO, errno.EROFS], quickly=1))
@pytest.mark.parametrize("at", [1, 30])
def test_what_a_companion_out_of_disk_cannot_do_is_done_and_its_failures_are_in_the_report(
    tmp_path: Path, shimmed: Callable[[Path, Fault], None], error: int, at: int
) -> None:
    shimmed(tmp_path, Fault(FAIL, at=at, error=error))
    with TrainingMetricsRecorder(tmp_path, save_plots=False, save_interval=5) as recorder:
        companion = companion_of(recorder)
        record(recorder, range(1, 13))
        assert recorder.refresh(), "this process does what the companion cannot"
        assert shown(recorder.folder) == [12, 12]
        record(recorder, range(13, 25))
    assert shown(recorder.folder) == [24, 24]
    assert not psutil.pid_exists(companion.pid)
    notes = read_history(recorder.folder).notes_of("companion_failure")
    assert notes
    (report,) = recorder.folder.reports.glob("poc_report_*.json")
    failures = strict_json(report.read_bytes())["record_quality"]["companion_failures"]
    assert any(os.strerror(error) in failure for failure in failures)


def test_a_slow_disk_makes_the_companion_late_and_not_the_training(
    tmp_path: Path, shimmed: Callable[[Path, Fault], None]
) -> None:
    shimmed(tmp_path, Fault(DELAY, at=10))
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, save_interval=5)
    slowest = 0.0
    for step in range(1, 300):
        began = time.perf_counter()
        record(recorder, range(step, step + 1))
        slowest = max(slowest, time.perf_counter() - began)
        time.sleep(0.002)
    assert slowest < 0.5, "no row waited for the companion's calls of 10 ms each"
    began = time.monotonic()
    assert recorder.refresh()
    assert time.monotonic() - began > 0.5, "the companion was slow indeed"
    recorder.close()
    assert shown(recorder.folder) == [299, 299]
    assert read_history(recorder.folder).notes_of("companion_failure") == []


def test_a_lost_companion_is_replaced_so_that_views_go_on_following(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, save_interval=5)
    first = companion_of(recorder)
    first.kill()
    wait_for(lambda: first.status() == psutil.STATUS_ZOMBIE)
    step = 0

    def followed() -> bool:
        nonlocal step
        step += 1
        record(recorder, range(step, step + 1))
        return bool(shown(recorder.folder)) and shown(recorder.folder)[0] > 20

    wait_for(followed)
    second = companion_of(recorder)
    assert second.pid != first.pid
    recorder.close()
    assert shown(recorder.folder) == [step, step]
    assert not psutil.pid_exists(first.pid)
    assert not psutil.pid_exists(second.pid)
    (note,) = read_history(recorder.folder).notes_of("companion_failure")
    assert "ended before training did" in note["error"]


def test_when_companions_keep_dying_the_views_are_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, save_interval=5)
    monkeypatch.setenv("PYTHONHOME", str(tmp_path / "nowhere"))  # those that are started from now on cannot even start
    companion_of(recorder).kill()
    step = 0

    def followed() -> bool:
        nonlocal step
        step += 1
        record(recorder, range(step, step + 1))
        return bool(shown(recorder.folder)) and shown(recorder.folder)[0] > 20

    wait_for(followed)
    recorder.close()
    assert shown(recorder.folder) == [step, step]
    notes = read_history(recorder.folder).notes_of("companion_failure")
    assert 2 <= len(notes) <= 5
    assert [child for child in psutil.Process().children() if str(tmp_path) in child.cmdline()] == []


def test_an_old_companion_that_wakes_up_late_never_puts_an_older_view_over_a_newer_one(
    plain_server: Server, tmp_path: Path
) -> None:
    """A fast restart: the trainer is killed, its companion stands still, another trainer records on and ends."""
    told = plain_server.run("rows_beside_a_stopped_companion", tmp_path)
    assert told.status == -signal.SIGKILL
    ((pid,),) = told.of("companion")
    old = psutil.Process(pid)
    assert old.status() == psutil.STATUS_STOPPED
    recorder = TrainingMetricsRecorder(tmp_path, resume_step=10, save_plots=False, save_interval=5, config={"rank": 8})
    record(recorder, range(11, 31))
    recorder.close()
    folder = recorder.folder
    assert shown(folder) == [30, 30]
    before = folder.training_json.read_bytes(), folder.training_csv.read_bytes()
    old.send_signal(signal.SIGCONT)
    wait_for(lambda: not old.is_running() or old.status() == psutil.STATUS_ZOMBIE)
    assert (folder.training_json.read_bytes(), folder.training_csv.read_bytes()) == before
    assert list(folder.metrics.glob(".*.tmp")) == []


@pytest.mark.parametrize("moment", some([0.4, 0.2, 0.9, 1.4], quickly=1))
def test_a_companion_killed_while_it_writes_leaves_whole_views_and_nothing_lying_about(
    tmp_path: Path, shimmed: Callable[[Path, Fault], None], moment: float
) -> None:
    shimmed(tmp_path, Fault(DELAY, at=20))
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, save_interval=1)
    record(recorder, range(1, 200))
    companion = companion_of(recorder)
    time.sleep(moment)
    stop_and_wait(companion.pid)
    companion.kill()
    assert all(steps == list(range(1, len(steps) + 1)) for steps in rows_of_views(recorder.folder))
    recorder.close()
    assert shown(recorder.folder) == [199, 199]
    assert list(recorder.folder.metrics.glob(".*.tmp")) == []
    assert not psutil.pid_exists(companion.pid)


def test_a_trainer_killed_at_any_instant_leaves_complete_views_and_no_process(
    plain_server: Server, tmp_path: Path, full: bool
) -> None:
    for trial in range(20 if full else 3):
        root = tmp_path / str(trial)
        told = plain_server.run(
            "rows_at_a_rate", root, kill_after=0.1 + 0.07 * trial, seconds=60, per_second=500, rows=10**6
        )
        assert told.status == -signal.SIGKILL
        while processes_of(root):
            time.sleep(0.02)
        history = history_if_any(RunFolder(root))
        if history is not None and len(history.rows):
            assert shown(RunFolder(root)) == [len(history.rows)] * 2


def test_views_are_left_alone_while_somebody_else_holds_their_lock(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, companion=False, save_interval=1000)
    record(recorder, range(1, 4))
    somebody = FileLock(recorder.folder.views_lock)
    assert somebody.acquire()
    with pytest.raises(RunFolderError, match="another process"):
        refresh_views(recorder.folder, plots=False, lock_timeout=0.05)
    assert shown(recorder.folder) == []
    somebody.release()
    recorder.close()
    assert shown(recorder.folder) == [3, 3]
