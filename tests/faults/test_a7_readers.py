"""A7: four kinds of reader race a writer of a thousand rows a second. None ever sees half a file, or fewer rows."""

import contextlib
import csv
import io
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.harness import Server, mounted, some
from kiseki.run_folder import RunFolder
from support import strict_json


def by_json_load(folder: RunFolder) -> int:
    with folder.training_json.open(encoding="utf-8") as table:
        return len(strict_json(table.read()))


def by_one_read(folder: RunFolder) -> int:
    descriptor = os.open(folder.training_json, os.O_RDONLY)
    try:
        return len(strict_json(os.read(descriptor, os.fstat(descriptor).st_size)))
    finally:
        os.close(descriptor)


def by_chunks(folder: RunFolder) -> int:
    read = b""
    with folder.training_json.open("rb", buffering=0) as table:
        while chunk := table.read(4096):
            read += chunk
    return len(strict_json(read))


def by_csv(folder: RunFolder) -> int:
    rows = list(csv.DictReader(io.StringIO(folder.training_csv.read_text("utf-8")), strict=True))
    assert all(None not in row and None not in row.values() for row in rows)
    return len(rows)


class Reader(threading.Thread):
    """Reads until told to stop; keeps the first thing that went wrong."""

    def __init__(self, read: Callable[[RunFolder], int], folder: RunFolder, stop: threading.Event) -> None:
        super().__init__(name=read.__name__)
        self._read, self._folder, self._stop_reading = read, folder, stop
        self.reads = self.rows = 0
        self.wrong = ""

    def run(self) -> None:
        try:
            while not self._stop_reading.is_set():
                rows = self._read(self._folder)
                assert rows >= self.rows, f"{rows} rows after {self.rows}"
                self.rows, self.reads = rows, self.reads + 1
                time.sleep(0.001)  # a reader that never rests would only race the interpreter's own lock
        except Exception as error:
            self.wrong = f"{self.name}, read {self.reads}: {error!r:.300}"


@contextlib.contextmanager
def a_run_folder_on(place: str, tmp_path: Path) -> Iterator[Path]:
    """Where a run folder can stand on the file system that is meant."""
    if place == "disk":
        yield tmp_path / "run"
    elif place == "memory":
        if not os.access("/dev/shm", os.W_OK):
            pytest.skip("there is no /dev/shm")
        root = Path("/dev/shm") / f"kiseki-a7-{os.getpid()}"
        try:
            yield root
        finally:
            shutil.rmtree(root, ignore_errors=True)
    else:
        if os.geteuid() != 0:
            pytest.skip("only root mounts an overlay")
        lower, upper, work = (tmp_path / name for name in ("lower", "upper", "work"))
        for folder in (lower, upper, work):
            folder.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        try:
            with mounted("overlay", tmp_path / "merged", "-t", "overlay", "-o", options) as merged:
                yield merged / "run"
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no overlay can be mounted here: {error.stderr.decode().strip()}")


@pytest.mark.parametrize("place", some(["disk", "memory", "overlay"], quickly=1))
def test_a7_no_reader_ever_sees_an_invalid_or_shrinking_table(
    plain_server: Server, tmp_path: Path, full: bool, place: str
) -> None:
    with a_run_folder_on(place, tmp_path) as root:
        race(plain_server, root, full, place)


def race(plain_server: Server, root: Path, full: bool, place: str) -> None:
    folder, stop = RunFolder(root), threading.Event()
    readers = [Reader(read, folder, stop) for read in (by_json_load, by_one_read, by_chunks, by_csv)]

    def start_when_there_is_something() -> None:
        while not folder.training_csv.exists():
            time.sleep(0.01)
        for reader in readers:
            reader.start()

    starting = threading.Thread(target=start_when_there_is_something)
    starting.start()
    try:
        # the table is kept short: what is raced for is the moment of replacing, and that comes every fifty rows
        told = plain_server.run("rows_at_a_rate", root, seconds=60 if full else 2.5, per_second=1000, rows=500)
    finally:
        starting.join()
        stop.set()
        for reader in readers:
            reader.join()
    ((rows, refreshes),) = told.of("recorded")
    reads = sum(reader.reads for reader in readers)
    print(
        f"{place}: {rows} rows, {refreshes} refreshes, {reads} reads, {[reader.rows for reader in readers]} rows seen"
    )
    assert [reader.wrong for reader in readers if reader.wrong] == []
    assert reads > (10_000 if full else 100)
    assert refreshes > 10
