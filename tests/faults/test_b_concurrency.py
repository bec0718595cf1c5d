"""B1, B2, B3, B5: two recorders, stale locks, worker processes of every kind, forks at any moment, threads."""

import ast
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from faults import workers
from faults.harness import FULL, Server, check_what_is_left, resume_and_check, rows_of_views, run_group, some
from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.record.reader import JournalReader
from kiseki.run_folder import RunFolder

TWO_AT_ONCE = """
import sys, time
from kiseki import RunLocked, TrainingMetricsRecorder
while time.time() < float(sys.argv[2]):
    pass
try:
    recorder = TrainingMetricsRecorder(sys.argv[1], save_plots=False, companion=False, run_id="run-" + sys.argv[3])
except RunLocked:
    print("refused")
    sys.exit()
for step in range(1, 200):
    recorder.record_step(step, 0.1, float(sys.argv[3]), 0.1)
print("recorded", flush=True)
time.sleep(3)
recorder.close()
"""


def test_b1_of_two_recorders_started_at_once_one_records_and_no_row_is_mixed(tmp_path: Path, full: bool) -> None:
    for trial in range(20 if full else 2):
        root = tmp_path / str(trial)
        start = str(time.time() + 1.0)
        both = [
            subprocess.Popen(
                [sys.executable, "-c", TWO_AT_ONCE, str(root), start, name], stdout=subprocess.PIPE, text=True
            )
            for name in "12"
        ]
        said = [process.communicate(timeout=60)[0].strip() for process in both]
        assert sorted(said) == ["recorded", "refused"]
        history = read_history(RunFolder(root))
        assert history.damage == ()
        winner = float(said.index("recorded") + 1)
        assert history.run_id == f"run-{winner:.0f}"
        assert set(history.rows.columns["loss"].value) == {winner}
        assert len(history.rows) == 199
        assert not RunFolder(root).earlier.exists()


def test_b2_after_kill_minus_9_the_run_is_open_again_within_a_second(
    plain_server: Server, tmp_path: Path, full: bool
) -> None:
    slowest = 0.0
    for trial in range(20 if full else 3):
        root = tmp_path / str(trial)
        told = plain_server.run("rows_until_killed", root, kill_after=0.15 + trial / 100, padding=10)
        assert told.status == -signal.SIGKILL
        assert RunFolder(root).journal_lock.exists(), "the stale lock file is still there"
        steps = check_what_is_left(root, told)
        began = time.monotonic()
        recorder = TrainingMetricsRecorder(
            root, resume_step=steps[-1], config={"rank": 8}, save_plots=False, companion=False
        )
        slowest = max(slowest, time.monotonic() - began)
        recorder.close()
    print(f"slowest opening {slowest * 1000:.0f} ms")
    assert slowest < 1.0


def run_workers(*arguments: object) -> subprocess.CompletedProcess[str]:
    timeout = 1200 if FULL else 90
    return run_group([sys.executable, workers.__file__, *map(str, arguments)], timeout=timeout)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_b3_eight_workers_neither_write_nor_hold_nor_hang(tmp_path: Path, full: bool, method: str) -> None:
    ended = run_workers(method, tmp_path, 50 if full else 1, "live")
    assert ended.returncode == 0, ended.stderr
    steps, errors, told = ended.stdout.split(" ", 2)
    assert ast.literal_eval(told) == [(method == "fork", False, True)], "inherited, wrote, refused a second recorder"
    assert errors == "0"
    history = read_history(RunFolder(tmp_path))
    assert history.rows.steps.tolist() == list(range(1, int(steps) + 1))
    assert (history.rows.repeated, history.damage) == (0, ())
    assert rows_of_views(RunFolder(tmp_path)) == [history.rows.steps.tolist()] * 2


@pytest.mark.parametrize("method", some(["fork", "spawn", "forkserver"], quickly=1))
def test_b3_workers_that_outlive_a_killed_trainer_hold_neither_lock_nor_companion(tmp_path: Path, method: str) -> None:
    trainer = subprocess.Popen(
        [sys.executable, workers.__file__, method, str(tmp_path), "1", "die"], stdout=subprocess.PIPE, text=True
    )
    assert trainer.stdout is not None
    steps, companion, *pids = map(int, trainer.stdout.readline().split())
    alive = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    trainer.wait(30)
    try:
        assert alive, "the workers outlive the trainer"
        began = time.monotonic()
        while psutil.pid_exists(companion):
            assert time.monotonic() - began < 30, "the companion thinks that training lives on"
            time.sleep(0.02)
        assert rows_of_views(RunFolder(tmp_path)) == [list(range(1, steps + 1))] * 2
        began = time.monotonic()
        resume_and_check(tmp_path, list(range(1, steps + 1)))
        assert time.monotonic() - began < 1.0
    finally:
        for worker in alive:
            if worker.is_running():
                worker.kill()
        trainer.stdout.close()


@pytest.mark.parametrize("child_does", ["touch", "leave_the_block"])
def test_b3_children_forked_while_threads_record_neither_hang_nor_write(
    tmp_path: Path, full: bool, child_does: str
) -> None:
    forks = 2 if child_does == "leave_the_block" else 200 if full else 30
    ended = run_workers("fork_while_recording", tmp_path, forks, child_does)
    assert ended.returncode == 0, ended.stderr
    assert "hangs" not in ended.stdout, "a child waits for a lock that a thread of its parent held at the fork"
    steps, errors = map(int, ended.stdout.split())
    history = read_history(RunFolder(tmp_path))
    assert history.rows.steps.tolist() == list(range(1, steps + 1))
    assert errors == 0
    assert history.attempts[0].status == "completed"
    assert list(tmp_path.glob("poc_reports/*")) == [], "only the process that records makes its report"


@pytest.mark.parametrize("companion", some([False, True], quickly=1))
def test_b5_sixteen_threads_lose_and_mix_nothing(tmp_path: Path, full: bool, companion: bool) -> None:
    rows_each = 10_000 if full else 500
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, companion=companion, save_interval=100)
    kept = [0] * 16

    def record(thread: int) -> None:
        for number in range(rows_each):
            step = thread * rows_each + number
            kept[thread] += recorder.record_step(
                step=step, epoch=0.5, loss=1.0 / (step + 1), learning_rate=0.1, thread=float(thread)
            )
            if number % 200 == 199:
                assert recorder.flush()

    threads = [threading.Thread(target=record, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    assert kept == [rows_each] * 16
    reader = JournalReader(recorder.folder.journal)
    assert [line.seq for line, _ in reader] == list(range(reader.lines))
    assert (reader.damage, reader.tail_bytes) == ([], 0)
    history = read_history(recorder.folder)
    assert history.rows.steps.tolist() == list(range(16 * rows_each))
    assert all(row["thread"] == row["step"] // rows_each for row in history.rows.decoded())
