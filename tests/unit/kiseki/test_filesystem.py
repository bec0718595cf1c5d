"""The one platform module, Windows' behaviour included: through its seams, and with POSIX hidden."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiseki.filesystem import FileLock, replace, replacing, windows_lock_calls, write_new
from kiseki.history import read_history
from kiseki.run_folder import RunFolder


class Msvcrt:
    """Locks bytes as Windows does: for the open file that asked, refused to every other."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}

    def locking(self, descriptor: int, mode: int, length: int) -> None:
        file = os.fstat(descriptor).st_ino
        assert (os.lseek(descriptor, 0, os.SEEK_CUR), length) == (0, 1)
        if mode == self.LK_UNLCK:
            assert self._holders.pop(file) == descriptor
        elif self._holders.setdefault(file, descriptor) != descriptor:
            raise PermissionError(13, "Permission denied")


def test_the_lock_of_windows_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    calls = windows_lock_calls(Msvcrt())
    first, second = (FileLock(tmp_path / "x.lock", calls) for _ in range(2))
    assert first.acquire()
    assert not second.acquire(timeout=0.02)
    first.release()
    assert second.acquire()
    second.release()


def refusals(count: int) -> Iterator[bool]:
    yield from [True] * count
    while True:
        yield False


@pytest.mark.parametrize("times", [0, 1, 5])
def test_a_reader_that_holds_the_file_delays_its_replacement(tmp_path: Path, times: int) -> None:
    source, target = tmp_path / "new", tmp_path / "old"
    source.write_text("new")
    target.write_text("old")
    held, slept = refusals(times), list[float]()

    def rename(source: Path, target: Path) -> None:
        if next(held):
            raise PermissionError(13, "Access is denied")
        os.replace(source, target)

    replace(source, target, rename=rename, retry_seconds=2.0, sleep=slept.append)
    assert target.read_text() == "new"
    assert len(slept) == times


def test_a_reader_that_holds_the_file_for_more_than_two_seconds_wins_and_nothing_is_lost(tmp_path: Path) -> None:
    source, target = tmp_path / "new", tmp_path / "old"
    source.write_text("new")
    target.write_text("old")
    slept: list[float] = []

    def rename(source: Path, target: Path) -> None:
        raise PermissionError(13, "Access is denied")

    with pytest.raises(PermissionError):
        replace(source, target, rename=rename, retry_seconds=2.0, sleep=slept.append)
    assert sum(slept) == pytest.approx(2.0)
    assert (source.read_text(), target.read_text()) == ("new", "old")


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"[1]")
    with pytest.raises(ZeroDivisionError), replacing(target) as out:
        out.write(b"[")
        raise ZeroDivisionError
    assert target.read_bytes() == b"[1]"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_new(target, b"first")
    with pytest.raises(FileExistsError):
        write_new(target, b"second")
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def test_where_there_are_no_hard_links_a_new_file_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write_new(tmp_path / "a.json", b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a.json", b"second")
    assert (tmp_path / "a.json").read_bytes() == b"first"


def test_it_records_with_fcntl_resource_and_fork_hidden(tmp_path: Path) -> None:
    program = """
        import os, subprocess, sys, types  # the standard library itself asks for msvcrt to know where it is
        for name in ("fcntl", "resource", "pwd", "grp", "termios"):
            sys.modules[name] = None
        for name in ("fork", "register_at_fork", "fdatasync", "nice", "getuid", "geteuid", "O_DIRECTORY", "O_CLOEXEC"):
            delattr(os, name)
        held = {}
        def locking(descriptor, mode, length):
            file = os.fstat(descriptor).st_ino
            if mode == 0:
                del held[file]
            elif held.setdefault(file, descriptor) != descriptor:
                raise PermissionError(13, "Permission denied")
        sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, LK_UNLCK=0, locking=locking)

        from kiseki import TrainingMetricsRecorder
        with TrainingMetricsRecorder(sys.argv[1], companion=False, save_plots=False) as recorder:
            for step in range(1, 6):
                assert recorder.record_step(step, step / 5, 1 / step, 0.1)
        assert recorder.errors == 0 and not held
    """
    run = tmp_path / "学習 記録 (1)"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(run)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(read_history(RunFolder(run)).rows.steps) == [1, 2, 3, 4, 5]
    assert {path.suffix for path in (run / "poc_reports").iterdir()} == {".json", ".csv", ".html", ".pdf"}
