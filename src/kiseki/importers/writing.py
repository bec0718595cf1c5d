"""Writes an imported run into a folder of its own: whole, or not at all.

The record is written into a temporary folder beside the one that was asked for, read back, drawn, and only then given
its name. Rows carry no time: when they were logged the source does not say, and the time of the import is no
substitute. The `open` line's own timestamp is the time of the import, and its `imported` says so.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from kiseki.companion.views import refresh_views
from kiseki.errors import RunFolderError
from kiseki.filesystem import TEMPORARY_SUFFIX, sync_folder
from kiseki.history import History, read_history
from kiseki.importers.lines import Line
from kiseki.record.attempt import Intent, begin
from kiseki.record.clock import Clock, TimestampWriter
from kiseki.record.journal import Journal, NoJournal
from kiseki.record.line import CLOSE, EVAL, NOTE, ROW
from kiseki.record.row import encode_row
from kiseki.recorder import canonical_note
from kiseki.run_folder import RunFolder

_FIRST = {"row": ("epoch", "loss", "learning_rate"), "eval": ("epoch",)}


@dataclass(frozen=True)
class ImportedAttempt:
    """One attempt as the source tells it.

    Attributes:
        imported: what the `open` line says of the source; for everyone to see.
        lines: rows and evaluations in the order of the source.
        notes: what is worth keeping beside them; each has a `kind`.
        status: how it ended, `unknown` where the source does not say.
        last_step: the optimizer step it reached.
        resume_step: the step it went on from, None for a start from nothing.
    """

    imported: Mapping[str, Any]
    lines: Sequence[Line]
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


def write_run(root: Path, run: ImportedRun, *, model_name: str, language: str, clock: Clock) -> History:
    """Write journal, JSON, CSV and PNG of an imported run.

    Args:
        root: the folder, new or empty.
        run: what to write.
        model_name: as reports name the model.
        language: language of the curves and, unless told otherwise, of reports.
        clock: says when the import takes place.

    Returns:
        The record, read back from the journal.

    Raises:
        RunFolderError: the folder is not empty or cannot be written; nothing is left in it then.
    """
    require_room(root)
    printable = model_name.encode("utf-8", "backslashreplace").decode()
    with _taking_the_place_of(root) as folder:
        for attempt in run.attempts:
            public = {
                "language": language,
                "outputs": {"json": True, "csv": True, "plots": True},
                **({} if run.max_steps is None else {"max_steps": run.max_steps}),
                "imported": msgspec.json.decode(canonical_note(attempt.imported)),
            }
            intent = Intent(printable, public, resume_step=attempt.resume_step, run_id=run.run_id)
            begun = begin(folder, intent, clock, version("kiseki"))
            try:
                _write_attempt(_Writer(begun.journal, begun.number, clock), attempt)
            finally:
                begun.journal.close()
        _require_what_was_given(read_history(folder), run)
        refresh_views(folder)
    return read_history(RunFolder(root))


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


def _write_attempt(writer: _Writer, attempt: ImportedAttempt) -> None:
    for line in attempt.lines:
        writer.append_line(line)
    for note in attempt.notes:
        writer.append(NOTE, canonical_note({"kind": note["kind"], "timestamp": writer.now, **note}))
    closed = {
        "status": attempt.status,
        "timestamp": writer.now,
        "last_step": attempt.last_step,
        "rows": sum(line.kind == ROW for line in attempt.lines),
        "recorder_errors": 0,
        "dropped_rows": 0,
    }
    writer.append(CLOSE, canonical_note(closed))
    writer.journal.seal()
    if not writer.journal.sync():
        raise RunFolderError("the run cannot be made durable; check the disk and import again")


def _require_what_was_given(history: History, run: ImportedRun) -> None:
    """Count at the other end: the record that was read back holds every step that was given."""
    for kind, rows in ((ROW, history.rows), (EVAL, history.evaluations)):
        given: set[int] = set()
        for attempt in run.attempts:
            if attempt.resume_step is not None:
                given = {step for step in given if step <= attempt.resume_step}
            given.update(line.step for line in attempt.lines if line.kind == kind)
        if len(rows) != len(given) or history.damage or history.tail_bytes:
            raise RunFolderError(
                f"the record that was written reads back otherwise: {len(rows)} of {len(given)} lines of kind {kind}; "
                f"check the disk and import again"
            )


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
