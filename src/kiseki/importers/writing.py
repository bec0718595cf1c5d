"""Writes an imported run into a folder of its own: whole, or not at all.

The record is written into a temporary folder beside the one that was asked for, read back, drawn, and only then given
its name. Rows carry no time: when they were logged the source does not say, and the time of the import is no
substitute. The `open` line's own timestamp is the time of the import, and its `imported` says so.
"""

import os
import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from kiseki.companion.views import refresh_views
from kiseki.errors import RunFolderError
from kiseki.filesystem import TEMPORARY_SUFFIX, sync_folder
from kiseki.history import read_history
from kiseki.importers.lines import Line
from kiseki.importers.progress import Progress, untold
from kiseki.record.attempt import Intent, begin
from kiseki.record.clock import Clock, TimestampWriter
from kiseki.record.journal import Journal, NoJournal
from kiseki.record.line import CLOSE, EVAL, NOTE, ROW
from kiseki.record.row import encode_row
from kiseki.recorder import canonical_note
from kiseki.run_folder import RunFolder

_Steps = dict[str, "array[int]"]
"""Steps that were given and count, by kind of line; int objects of a million steps would hold memory of the lines."""

_FIRST = {"row": ("epoch", "loss", "learning_rate"), "eval": ("epoch",)}


@dataclass(frozen=True)
class ImportedAttempt:
    """One attempt as the source tells it.

    Attributes:
        imported: what the `open` line says of the source; for everyone to see.
        lines: rows and evaluations in the order of the source; taken once, so that each can be let go once written.
        notes: what is worth keeping beside them; each has a `kind`.
        status: how it ended, `unknown` where the source does not say.
        last_step: the optimizer step it reached.
        resume_step: the step it went on from, None for a start from nothing.
    """

    imported: Mapping[str, Any]
    lines: Iterable[Line]
    notes: Sequence[Mapping[str, Any]]
    status: str
    last_step: int
    resume_step: int | None = None


@dataclass(frozen=True)
class ImportedRun:
    """A run as the source tells it.

    Attributes:
        run_id: the same for the same source, so that importing twice does not make two runs.
        attempts: in order, at least one.
        max_steps: optimizer steps it was meant to take, None when the source does not say.
    """

    run_id: str
    attempts: Sequence[ImportedAttempt]
    max_steps: int | None = None


def require_room(root: Path) -> None:
    """Refuse a folder in which something stands already.

    Raises:
        RunFolderError: it is not empty, or no folder.
    """
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise RunFolderError(f"{root}: this is no folder; name a new folder for the imported run")
    if root.exists() and any(root.iterdir()):
        raise RunFolderError(f"{root}: something stands in this folder already; name a new or an empty one")


class ReadBack(NamedTuple):
    """What an imported run holds, by reading it back: rows and evaluations that count."""

    rows: int
    evaluations: int


def write_run(
    root: Path, run: ImportedRun, *, model_name: str, language: str, clock: Clock, progress: Progress = untold
) -> ReadBack:
    """Write journal, JSON, CSV and PNG of an imported run.

    Args:
        root: the folder, new or empty.
        run: what to write.
        model_name: as reports name the model.
        language: language of the curves and, unless told otherwise, of reports.
        clock: says when the import takes place.
        progress: told when the journal is written, when it is read back, and when all is done.

    Raises:
        RunFolderError: the folder is not empty or cannot be written; nothing is left in it then.
    """
    require_room(root)
    printable = model_name.encode("utf-8", "backslashreplace").decode()
    with _taking_the_place_of(root) as folder:
        given: _Steps = {ROW: array("q"), EVAL: array("q")}
        for attempt in run.attempts:
            public = {
                "language": language,
                "outputs": {"json": True, "csv": True, "plots": True},
                **({} if run.max_steps is None else {"max_steps": run.max_steps}),
                "imported": msgspec.json.decode(canonical_note(attempt.imported)),
            }
            intent = Intent(printable, public, resume_step=attempt.resume_step, run_id=run.run_id)
            begun = begin(folder, intent, clock, version("kiseki"))
            if attempt.resume_step is not None:
                given = {kind: _up_to(attempt.resume_step, steps) for kind, steps in given.items()}
            try:
                _write_attempt(_Writer(begun.journal, begun.number, clock), attempt, given)
            finally:
                begun.journal.close()
        progress(0, 100)
        read_back = _read_back(folder, given)
        progress(20, 100)
        refresh_views(folder)
    progress(100, 100)
    return read_back


class _Writer:
    """Appends to a journal, and raises where the recorder would go on without the line."""

    def __init__(self, journal: Journal | NoJournal, attempt: int, clock: Clock) -> None:
        self.journal = journal
        self.attempt = attempt
        self.now = TimestampWriter()(clock.wall_nanoseconds())

    def append(self, kind: str, payload: bytes) -> None:
        if not self.journal.append(kind, payload):
            raise RunFolderError(f"the run cannot be written ({self.journal.failing}); free some disk and import again")

    def append_line(self, line: Line) -> None:
        fields = line.fields
        first = {name: fields[name] for name in _FIRST[line.kind] if name in fields}
        self.append(line.kind, encode_row({"step": line.step, **first, "attempt": self.attempt, **fields}))


def _write_attempt(writer: _Writer, attempt: ImportedAttempt, given: _Steps) -> None:
    rows = 0
    for line in attempt.lines:
        writer.append_line(line)
        given[line.kind].append(line.step)
        rows += line.kind == ROW
    for note in attempt.notes:
        writer.append(NOTE, canonical_note({"kind": note["kind"], "timestamp": writer.now, **note}))
    closed = {
        "status": attempt.status,
        "timestamp": writer.now,
        "last_step": attempt.last_step,
        "rows": rows,
        "recorder_errors": 0,
        "dropped_rows": 0,
    }
    writer.append(CLOSE, canonical_note(closed))
    writer.journal.seal()
    if not writer.journal.sync():
        raise RunFolderError("the run cannot be made durable; check the disk and import again")


def _up_to(last: int, steps: "array[int]") -> "array[int]":
    return array("q", (step for step in steps if step <= last))


def _read_back(folder: RunFolder, given: _Steps) -> ReadBack:
    """Count at the other end: the record that was read back holds every step that was given."""
    history = read_history(folder)
    for kind, rows in ((ROW, history.rows), (EVAL, history.evaluations)):
        due = len(set(given[kind]))
        if len(rows) != due or history.damage or history.tail_bytes:
            raise RunFolderError(
                f"the record that was written reads back otherwise: {len(rows)} of {due} lines of kind {kind}; "
                f"check the disk and import again"
            )
    return ReadBack(len(history.rows), len(history.evaluations))


@contextmanager
def _taking_the_place_of(root: Path) -> Iterator[RunFolder]:
    """A new folder that is given the name `root` when the block ends well, and is removed when it does not."""
    root = root.absolute()
    temporary = root.with_name(f".{root.name[:60]}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
    try:
        temporary.mkdir(parents=True)
        yield RunFolder(temporary)
        if root.exists():
            root.rmdir()  # empty; Windows does not rename over a folder
        temporary.rename(root)
        sync_folder(root.parent)
    except OSError as error:
        raise RunFolderError(
            f"{root}: the run cannot be written ({error.strerror or error}); check free disk and permissions"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
