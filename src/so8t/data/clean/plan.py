"""Which part of the input each task reads.

The plan is made once and kept with the results: a task that has been done stays done whatever number of workers takes
the rest, and a restart on other input or with other settings is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from kiseki.filesystem import replacing
from so8t.data.clean.settings import Settings
from so8t.errors import DataError

LISTING = "pages.jsonl"
"""The file in which `so8t collect` lists its pages; where it stands, nothing else in the folder is read."""

_LINES = frozenset({".jsonl", ".ndjson"})
_WHOLE = frozenset({".html", ".htm", ".xhtml", ".txt"})
_RANGE_BYTES = 1 << 20
_LISTING_BYTES = 32 << 10  # a line of a listing stands for a page of a hundred times its size
_FILES_PER_TASK = 64
_MOST_TASKS = 4_096


class Input(msgspec.Struct, frozen=True):
    """One input file, as it was when the plan was made.

    Attributes:
        path: relative to the input folder, with forward slashes.
        bytes: its size.
        modified_ns: when it was last changed.
    """

    path: str
    bytes: int
    modified_ns: int


class Part(msgspec.Struct, frozen=True):
    """A file, or the lines of a JSONL file that begin in a range of bytes.

    Attributes:
        path: relative to the input folder.
        start: first byte.
        end: byte after the last; None for a file that is one document.
    """

    path: str
    start: int = 0
    end: int | None = None


class Plan(msgspec.Struct, frozen=True):
    """What is read by which task.

    Attributes:
        settings: how to clean.
        inputs: the files.
        tasks: parts by task.
    """

    settings: Settings
    inputs: list[Input]
    tasks: list[list[Part]]


def input_folder(source: Path) -> Path:
    """The folder that paths in the plan are relative to."""
    return source if source.is_dir() else source.parent


def make_plan(source: Path, settings: Settings) -> Plan:
    """Divide the input into tasks.

    Args:
        source: a collection of `so8t collect`, another folder, or one file.
        settings: how to clean.

    Raises:
        DataError: there is no such file or folder, or nothing in it that can be read.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist: name a folder of so8t collect, or JSONL, HTML or text files")
    folder = input_folder(source)
    inputs = [
        Input(path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns)
        for path in _files(source)
        for status in (path.stat(),)
    ]
    parts = [part for file in inputs for part in _parts(file)]
    if not parts:
        endings = ", ".join(sorted(_LINES | _WHOLE))
        raise DataError(f"{source} holds nothing to clean: files that end in {endings} are read")
    per_task = max(1, -(-len(parts) // _MOST_TASKS))
    return Plan(settings, inputs, list(_tasks(parts, per_task)))


def settle(plan: Plan, file: Path) -> None:
    """Keep the plan, or see that the one kept is the same.

    Raises:
        DataError: another cleaning was begun there.
    """
    encoded = msgspec.json.format(msgspec.json.encode(plan, order="sorted"))
    try:
        kept = file.read_bytes()
    except FileNotFoundError:
        with replacing(file) as out:
            out.write(encoded)
        return
    if kept != encoded:
        try:
            what = "the input" if read_plan(file).settings == plan.settings else "the settings or the safety classifier"
        except DataError:
            what = "the plan"
        raise DataError(
            f"{file.parent.parent} holds a cleaning begun before, and {what} changed since: choose another folder "
            f"with --out"
        )


def read_plan(file: Path) -> Plan:
    """Read the plan that was kept.

    Raises:
        DataError: it is not there or damaged.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{file} cannot be read ({error}): remove its folder and clean again") from None


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    listing = source / LISTING
    if listing.is_file():
        return [listing]
    return sorted(path for path in source.rglob("*") if path.is_file() and path.suffix.lower() in _LINES | _WHOLE)


def _parts(file: Input) -> Iterator[Part]:
    suffix = Path(file.path).suffix.lower()
    if suffix in _WHOLE:
        yield Part(file.path)
        return
    size = _LISTING_BYTES if Path(file.path).name == LISTING else _RANGE_BYTES
    for start in range(0, file.bytes, size):
        yield Part(file.path, start, min(start + size, file.bytes))


def _tasks(parts: list[Part], per_task: int) -> Iterator[list[Part]]:
    waiting: list[Part] = []
    for part in parts:
        room = per_task if part.end is not None else per_task * _FILES_PER_TASK
        if waiting and (len(waiting) >= room or (part.end is None) != (waiting[-1].end is None)):
            yield waiting
            waiting = []
        waiting.append(part)
    yield waiting
