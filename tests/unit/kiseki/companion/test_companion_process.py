"""The process beside training: it follows, answers, outlives a killed trainer, and its failures are told."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.run_folder import RunFolder
from support import strict_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The condition's first true value; a test that waits for a time instead would be slow or wrong."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "the condition did not come true"
        time.sleep(0.05)
    return value


def companion_of(recorder: TrainingMetricsRecorder) -> psutil.Process:
    return next(p for p in psutil.Process().children() if str(recorder.folder.root) in p.cmdline())


def record(recorder: TrainingMetricsRecorder, steps: range) -> None:
    for step in steps:
        assert recorder.record_step(step=step, epoch=step / 10, loss=1 / step, learning_rate=0.1)


def test_views_follow_while_training_goes_on_and_are_valid_at_every_moment(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_interval=5, save_plots=False)
    path = recorder.folder.training_json
    seen = [0]

    def rows() -> int:
        count = len(strict_json(path.read_bytes())) if path.exists() else 0
        assert count >= seen[-1], "a view never loses rows"
        seen.append(count)
        return count

    record(recorder, range(1, 6))
    wait_for(lambda: rows() == 5)
    record(recorder, range(6, 8))
    time.sleep(1.5)
    assert rows() == 5, "two steps of an interval of five are no reason to rewrite"
    record(recorder, range(8, 400))
    wait_for(lambda: rows() == 399)
    recorder.close()
    assert rows() == 399


def test_r04_the_training_process_writes_the_journal_alone_and_never_loads_the_plotting_libraries(
    tmp_path: Path,
) -> None:
    program = """
        import os, sys
        from kiseki import TrainingMetricsRecorder
        written = set()
        def audit(event, arguments):
            if event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
                written.add(os.path.basename(os.fsdecode(arguments[0])))
        with TrainingMetricsRecorder(sys.argv[1], save_interval=1) as recorder:
            sys.addaudithook(audit)
            for step in range(1, 200):
                recorder.record_step(step=step, epoch=0.1, loss=1.0, learning_rate=0.1)
            recorder.refresh()
            print(sorted(written), [m for m in ("numpy", "matplotlib", "seaborn", "torch") if m in sys.modules])
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[] []\n"
    assert RunFolder(tmp_path).curves_png.read_bytes().startswith(b"\x89PNG")


def test_a_killed_trainer_leaves_complete_views_and_no_process(tmp_path: Path) -> None:
    program = """
        import os, sys, time
        from kiseki import TrainingMetricsRecorder
        recorder = TrainingMetricsRecorder(sys.argv[1], save_interval=1000)
        for step in range(1, 50):
            recorder.record_step(step=step, epoch=0.1, loss=1.0, learning_rate=0.1)
        os.write(1, b"%d\\n" % recorder._views.companion_pid)
        time.sleep(60)
    """
    trainer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert trainer.stdout is not None
    companion = psutil.Process(int(trainer.stdout.readline()))
    trainer.kill()
    trainer.communicate()
    companion.wait(60)
    folder = RunFolder(tmp_path)
    assert len(strict_json(folder.training_json.read_bytes())) == 49
    assert folder.curves_png.read_bytes().startswith(b"\x89PNG")
    assert read_history(folder).status == "interrupted"


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_companion_that_is_killed_or_stopped_costs_no_view_and_is_told(
    tmp_path: Path, sign: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kiseki.companion.keeper._REFRESH_SECONDS", 1.0)
    recorder = TrainingMetricsRecorder(tmp_path, save_interval=1000, save_plots=False)
    companion = companion_of(recorder)
    record(recorder, range(1, 10))
    companion.send_signal(sign)
    if sign == signal.SIGKILL:
        wait_for(lambda: companion.status() == psutil.STATUS_ZOMBIE)
    recorder.close()
    assert len(strict_json(recorder.folder.training_json.read_bytes())) == 9
    (note,) = read_history(recorder.folder).notes_of("companion_failure")
    assert "companion" in note["error"]
    assert not psutil.pid_exists(companion.pid), "neither a zombie nor a stopped process is left"


def test_what_the_companion_cannot_do_is_told_and_done_without_it(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_interval=1000, save_plots=False)
    record(recorder, range(1, 4))
    recorder.folder.training_csv.mkdir()  # nothing can be renamed over a folder that is not empty
    (recorder.folder.training_csv / "in the way").touch()
    assert recorder.refresh() is False
    assert len(strict_json(recorder.folder.training_json.read_bytes())) == 3
    (recorder.folder.training_csv / "in the way").unlink()
    recorder.folder.training_csv.rmdir()
    recorder.close()
    assert len(recorder.folder.training_csv.read_text().splitlines()) == 4
    notes = read_history(recorder.folder).notes_of("companion_failure")
    assert any("training_metrics.csv" in note["error"] for note in notes)


def test_ctrl_c_does_not_reach_the_companion_and_it_is_niced(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False)
    companion = companion_of(recorder)
    assert os.getsid(companion.pid) == companion.pid
    wait_for(lambda: companion.nice() >= 10)
    recorder.close()


def test_a_forked_worker_that_outlives_the_trainer_does_not_keep_the_companion(tmp_path: Path) -> None:
    program = """
        import os, sys, time
        from kiseki import TrainingMetricsRecorder
        recorder = TrainingMetricsRecorder(sys.argv[1], save_plots=False)
        recorder.record_step(step=1, epoch=0.1, loss=1.0, learning_rate=0.1)
        worker = os.fork()
        if worker == 0:
            for fd in (0, 1, 2):
                os.close(fd)
            time.sleep(60)
            os._exit(0)
        os.write(1, b"%d %d\\n" % (recorder._views.companion_pid, worker))
        time.sleep(60)
    """
    trainer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert trainer.stdout is not None
    companion, worker = (psutil.Process(int(pid)) for pid in trainer.stdout.readline().split())
    trainer.kill()
    trainer.communicate()
    companion.wait(60)
    assert worker.is_running()
    worker.kill()
    assert len(strict_json(RunFolder(tmp_path).training_json.read_bytes())) == 1


def test_temporary_files_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, companion=False)
    (recorder.folder.metrics / ".training_metrics.json.0badc0de.tmp").write_bytes(b"[")
    recorder.close()
    assert list(recorder.folder.metrics.glob(".*")) == []
