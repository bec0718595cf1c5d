"""A3, A4: whatever call on the run folder is the last one, or fails, training goes on and nothing kept is lost."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from faults import programs
from faults.harness import COUNT, FAIL, KILL, SHORT, Fault, Server, Told, check_what_is_left, resume_and_check
from faults.programs import ROWS
from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.run_folder import RunFolder

Sample = Callable[[Sequence[Any], int], Sequence[Any]]

FAULTS = {
    "killed": Fault(KILL),
    "EIO once": Fault(FAIL, error=errno.EIO, times=1),
    "EIO for good": Fault(FAIL, error=errno.EIO),
    "ENOSPC once": Fault(FAIL, error=errno.ENOSPC, times=1),
    "ENOSPC for good": Fault(FAIL, error=errno.ENOSPC),
    "EROFS once": Fault(FAIL, error=errno.EROFS, times=1),
    "EROFS for good": Fault(FAIL, error=errno.EROFS),
    "EINTR three times": Fault(FAIL, error=errno.EINTR, times=3),  # for good, a call would be repeated for good
    "half a write, then ENOSPC once": Fault(SHORT, error=errno.ENOSPC, times=1),
    "half a write, then ENOSPC for good": Fault(SHORT, error=errno.ENOSPC),
    "half a write, then ENOSPC for five calls": Fault(SHORT, error=errno.ENOSPC, times=5),
}


def calls_of(server: Server, root: Path, log: Path, **arguments: Any) -> list[str]:
    server.run("few_rows", root, Fault(COUNT, log=str(log)), **arguments)
    return log.read_text().splitlines()


def check_count(told: Told, steps: list[int]) -> None:
    """Of the rows that were given, those that are in no file are exactly those that the recorder counted."""
    if told.of("refused"):
        assert told.given == []
        return
    ((dropped, errors),) = told.of("closed")
    missing = [step for step in told.given if step not in steps]
    assert dropped == len(missing), f"{dropped} counted as dropped, missing are {missing}"
    assert errors > 0 or not missing


@pytest.mark.parametrize("name", FAULTS)
def test_a3_a4_every_call_on_the_run_folder_may_fail_or_be_the_last(
    server: Server, tmp_path: Path, sample: Sample, name: str
) -> None:
    calls = calls_of(server, tmp_path / "counted", tmp_path / "log")
    assert len(calls) > 100
    failures = []
    for at in sample(range(1, len(calls) + 1), 8):
        fault, root = Fault(**{**vars(FAULTS[name]), "at": at}), tmp_path / str(at)
        told = server.run("few_rows", root, fault)
        try:
            steps = check_what_is_left(root, told)
            if fault.mode == KILL:
                assert told.status == -signal.SIGKILL
                assert steps == list(range(1, len(steps) + 1))
            else:
                assert told.status == 0
                check_count(told, steps)
            resume_and_check(root, steps)
        except Exception as error:
            failures.append(f"call {at} of {len(calls)}, {calls[at - 1]}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight rows whose last line is cut."""
    root = tmp_path_factory.mktemp("torn")
    recorder = TrainingMetricsRecorder(
        root, companion=False, save_plots=False, config={"rank": 8}, run_id="torn", save_interval=4
    )
    for step in range(1, 9):
        recorder.record_step(step=step, epoch=step / 4, loss=programs.loss_of(step), learning_rate=0.1)
        if step == 7:
            recorder.refresh()
    copy = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(root, copy)
    recorder.close()
    journal = RunFolder(copy).journal
    os.truncate(journal, journal.stat().st_size - 20)
    return copy


@pytest.mark.parametrize("name", FAULTS)
def test_a3_a4_every_call_of_a_resumed_run_may_fail_or_be_the_last(
    server: Server, tmp_path: Path, sample: Sample, name: str, torn: Path
) -> None:
    def copied(name: str) -> Path:
        shutil.copytree(torn, tmp_path / name)
        return tmp_path / name

    calls = calls_of(server, copied("counted"), tmp_path / "log", first=8, resume_step=7)
    failures = []
    for at in sample(range(1, len(calls) + 1), 6):
        fault, root = Fault(**{**vars(FAULTS[name]), "at": at}), copied(str(at))
        told = server.run("few_rows", root, fault, first=8, resume_step=7)
        try:
            steps = check_what_is_left(root, told)
            assert steps[:7] == [1, 2, 3, 4, 5, 6, 7], "rows of the earlier attempt are lost"
            if fault.mode != KILL:
                assert told.status == 0
                check_count(told, steps)
            resume_and_check(root, steps)
        except Exception as error:
            failures.append(f"call {at} of {len(calls)}, {calls[at - 1]}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("name", ["killed", "EIO once", "ENOSPC for good"])
def test_a3_a4_an_earlier_record_is_set_aside_whole_whatever_fails_meanwhile(
    server: Server, tmp_path: Path, sample: Sample, name: str, torn: Path
) -> None:
    """Journal, views and side files of the earlier run stand together after the next undisturbed start."""

    def copied(name: str) -> Path:
        shutil.copytree(torn, tmp_path / name)
        return tmp_path / name

    calls = calls_of(server, copied("counted"), tmp_path / "log")
    opened = next(number for number, call in enumerate(calls) if "environment.json" in call and "open" in call)
    kept = ["config.json", "environment.json", "journal.jsonl", "training_metrics.csv", "training_metrics.json"]
    before = {name: (RunFolder(torn).metrics / name).read_bytes() for name in kept}
    failures = []
    for at in sample(range(1, opened + 1), 10):
        fault, root = Fault(**{**vars(FAULTS[name]), "at": at}), copied(str(at))
        told = server.run("few_rows", root, fault)
        try:
            assert told.of("raised") == [], told.of("raised")
            recorder = TrainingMetricsRecorder(root, companion=False, save_plots=False)
            recorder.close()
            # where the disturbed start got as far as a record of its own, that one was set aside too
            homes = [home.parent for home in root.glob("metrics/earlier/torn*/metrics/journal.jsonl")]
            assert len(homes) == 1
            assert {name: (homes[0] / name).read_bytes() for name in kept} == before
        except Exception as error:
            failures.append(f"call {at} of {len(calls)}, {calls[at - 1]}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


def test_a3_a_start_killed_between_two_moves_leaves_the_earlier_record_in_one_place(
    server: Server, tmp_path: Path, torn: Path
) -> None:
    shutil.copytree(torn, tmp_path / "counted")
    calls = calls_of(server, tmp_path / "counted", tmp_path / "log")
    shutil.copytree(torn, tmp_path / "run")
    halfway = calls.index("rename /metrics/training_metrics.json") + 1
    told = server.run("few_rows", tmp_path / "run", Fault(KILL, at=halfway))
    assert told.status == -signal.SIGKILL
    TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False).close()
    (home,) = (tmp_path / "run" / "metrics" / "earlier").iterdir()
    before = {path.name for path in RunFolder(torn).metrics.iterdir()} - {"journal.lock", "views.lock"}
    assert {path.name for path in RunFolder(home).metrics.iterdir()} == before


INJECTED = {"killed": "signal=KILL", "EIO once": "error=EIO"}


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run([found, "-e", "trace=none", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()[:200]}")
    return found


@pytest.mark.parametrize("name", INJECTED)
def test_a3_a4_the_same_at_the_kernels_door(strace: str, tmp_path: Path, sample: Sample, full: bool, name: str) -> None:
    """Calls that no shim sees (mmap, getdents, ioctl…): strace counts and breaks those that name the run's files."""

    def run(root: Path, *options: str) -> Told:
        # strace follows the paths that it is told, and their descriptors: the folders, the files with fixed names
        folder = RunFolder(root)
        paths = [
            folder.root, folder.metrics, folder.journal, folder.journal_lock, folder.views_lock, folder.training_json,
            folder.training_csv, folder.evaluation_json, folder.evaluation_csv, folder.metrics / "config.json",
            folder.metrics / "environment.json",
        ]  # fmt: skip
        followed = [argument for path in paths for argument in ("-P", str(path))]
        ended = subprocess.run(
            [strace, "-qq", *followed, *options, sys.executable, programs.__file__, "few_rows", str(root), "{}"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        told = Told([json.loads(line) for line in ended.stdout.splitlines()], status=ended.returncode)
        if "Traceback" in ended.stderr:
            told.lines.append(["raised", ended.stderr])
        return told

    log = tmp_path / "log"
    assert run(tmp_path / "counted", "-o", str(log)).status == 0
    calls = [line for line in log.read_text().splitlines() if "(" in line]
    assert len(calls) > 50
    names = [call.partition("(")[0] for call in calls]
    failures = []
    for at in sample(range(1, len(calls) + 1), 4):
        root = tmp_path / str(at)
        called = names[at - 1]  # strace counts each call by its name
        nth = names[:at].count(called)
        told = run(root, "-o", os.devnull, "-e", f"inject={called}:{INJECTED[name]}:when={nth}")
        try:
            steps = check_what_is_left(root, told)
            if name == "killed":
                assert told.status in (-signal.SIGKILL, 128 + signal.SIGKILL)
                assert steps == list(range(1, len(steps) + 1))
            else:
                assert told.status == 0
                check_count(told, steps)
            resume_and_check(root, steps)
        except Exception as error:
            failures.append(f"call {at} of {len(calls)}, {calls[at - 1]}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)
    assert len(read_history(RunFolder(tmp_path / "counted")).rows) == ROWS
