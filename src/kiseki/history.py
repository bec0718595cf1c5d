"""The way back: a journal read as attempts, the rows that count, evaluations, notes, and what is wrong with them.

(kind, step) identifies what counts: the latest attempt's latest line. When an attempt resumes at step N, rows of
earlier attempts beyond N are superseded: they stay in the journal and leave the views.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kiseki.errors import JournalDamaged, RunFolderError
from kiseki.filesystem import FileLock
from kiseki.record.line import CLOSE, EVAL, NOTE, OPEN, ROW
from kiseki.record.reader import Damage, JournalReader
from kiseki.record.row import step_of
from kiseki.rows import Column, JsonObject, Rows, number
from kiseki.run_folder import RunFolder

__all__ = ["Attempt", "Column", "History", "JsonObject", "Rows", "is_recorded", "number", "read_history"]


class _Opened(msgspec.Struct):
    """What an `open` line must hold."""

    run_id: str
    attempt: int
    timestamp: str
    resume_step: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One process that recorded into this run.

    Attributes:
        number: from 1.
        opened: the `open` line's object.
        started: wall clock at its opening, RFC 3339, UTC.
        ended: wall clock of its last dated line, None when it wrote none after the opening.
        resume_step: the step it continued from, None for a start from nothing.
        first_step: first optimizer step it recorded, None without rows.
        last_step: last one.
        rows: rows it recorded, whatever became of them.
        superseded: rows of it that a later attempt replaced.
        status: `completed`, `interrupted` or `failed` as it closed itself; `unfinished` without a close line.
    """

    number: int
    opened: Mapping[str, Any]
    started: str
    ended: str | None
    resume_step: int | None
    first_step: int | None
    last_step: int | None
    rows: int
    superseded: int
    status: str


@dataclass(frozen=True)
class History:
    """Everything a journal says, read once.

    Attributes:
        folder: where the run stands.
        attempts: in order; at least one.
        rows: training rows that count.
        evaluations: evaluations that count.
        notes: the `note` objects, in order.
        closed: the last attempt's `close` object, None when it has none.
        lines, good_bytes, tail_bytes, sealed_bytes: as `JournalReader` counts them.
        damage: places where the journal is not what was written.
        being_recorded: a process holds the journal now.
    """

    folder: RunFolder
    attempts: tuple[Attempt, ...]
    rows: Rows
    evaluations: Rows
    notes: tuple[JsonObject, ...]
    closed: JsonObject | None
    lines: int
    good_bytes: int
    tail_bytes: int
    sealed_bytes: int
    damage: tuple[Damage, ...]
    being_recorded: bool

    @property
    def run_id(self) -> str:
        """The run's name, the same over all attempts."""
        return str(self.attempts[0].opened["run_id"])

    @property
    def opened(self) -> Mapping[str, Any]:
        """The latest attempt's `open` object."""
        return self.attempts[-1].opened

    @property
    def status(self) -> str:
        """`running` while a process holds the journal, else how the last attempt ended.

        An attempt that wrote no close line was cut off: `interrupted`.
        """
        if self.being_recorded and self.closed is None:
            return "running"
        return "interrupted" if self.attempts[-1].status == "unfinished" else self.attempts[-1].status

    def notes_of(self, kind: str) -> list[JsonObject]:
        """The notes of one kind, in order."""
        return [note for note in self.notes if note.get("kind") == kind]


@dataclass
class _AttemptInReading:
    opened: JsonObject
    last_dated: bytes = b"{}"
    first_step: int | None = None
    last_step: int | None = None
    rows: int = 0
    superseded: int = 0
    status: str = "unfinished"

    def frozen(self) -> Attempt:
        return Attempt(
            number=int(self.opened["attempt"]),
            opened=self.opened,
            started=str(self.opened["timestamp"]),
            ended=msgspec.json.decode(self.last_dated, type=_Dated).timestamp or None,
            resume_step=self.opened.get("resume_step"),
            first_step=self.first_step,
            last_step=self.last_step,
            rows=self.rows,
            superseded=self.superseded,
            status=self.status,
        )


class _Dated(msgspec.Struct):
    timestamp: str = ""


class _Reading:
    """Takes in the lines of a journal one after another."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self.rows, self.evaluations = Rows(content), Rows(content)
        self.attempts: list[_AttemptInReading] = []
        self.notes: list[JsonObject] = []
        self.closed: JsonObject | None = None
        self._decode = msgspec.json.Decoder(JsonObject).decode

    def take(self, kind: str, payload: bytes, offset: int) -> None:
        """One good line.

        Raises:
            msgspec.DecodeError: it does not hold what a line of its kind holds.
        """
        if kind == ROW and self.attempts:
            self._row(payload, offset)
        elif kind == OPEN:
            self._open(payload)
        elif not self.attempts:
            return
        elif kind == EVAL:
            self.evaluations.add(step_of(payload), len(self.attempts) - 1, offset, len(payload))
            self.attempts[-1].last_dated = payload
        elif kind == NOTE:
            self.notes.append({**self._decode(payload), "attempt": len(self.attempts)})
        elif kind == CLOSE:
            self.closed = self._decode(payload)
            self.attempts[-1].status = str(self.closed.get("status", "completed"))
            self.attempts[-1].last_dated = payload

    def _open(self, payload: bytes) -> None:
        opened = msgspec.json.decode(payload, type=_Opened)
        self.attempts.append(_AttemptInReading(self._decode(payload)))
        self.closed = None
        if opened.resume_step is not None:
            for gone in self.rows.rewind(opened.resume_step):
                self.attempts[gone].superseded += 1
            self.evaluations.rewind(opened.resume_step)

    def _row(self, payload: bytes, offset: int) -> None:
        step = step_of(payload)
        index = len(self.attempts) - 1
        attempt = self.attempts[index]
        if attempt.last_step is None:
            attempt.first_step = step
        elif step < attempt.last_step:
            self.rows.out_of_order += 1
        replaced = self.rows.add(step, index, offset, len(payload))
        if replaced is not None and replaced != index:
            self.attempts[replaced].superseded += 1
        attempt.rows += 1
        attempt.last_step = step
        attempt.last_dated = payload


def read_history(folder: RunFolder) -> History:
    """Read a run's journal. Pure reading: nothing in the folder changes, and a recording run may go on.

    Raises:
        RunFolderError: there is no journal, or not one attempt in it.
        JournalDamaged: a line is whole but does not hold what a line of its kind holds.
    """
    content = _mapped(folder.journal)
    reader = JournalReader(folder.journal, limit=len(content))
    reading = _Reading(content)
    for (kind, payload, _), offset in reader:
        try:
            reading.take(kind, payload, offset)
        except (msgspec.DecodeError, OverflowError) as error:  # also a step that no counter holds
            raise JournalDamaged(
                f"{folder.journal}: line {reader.lines} is whole but is no `{kind}` line of format 1: {error}"
            ) from error
    if not reading.attempts:
        raise RunFolderError(f"{folder.journal}: the journal holds no whole `open` line, so nothing was recorded")
    return History(
        folder=folder,
        attempts=tuple(attempt.frozen() for attempt in reading.attempts),
        rows=reading.rows,
        evaluations=reading.evaluations,
        notes=tuple(reading.notes),
        closed=reading.closed,
        lines=reader.lines,
        good_bytes=reader.good_bytes,
        tail_bytes=reader.tail_bytes,
        sealed_bytes=reader.sealed_bytes,
        damage=tuple(reader.damage),
        being_recorded=is_recorded(folder),
    )


def _mapped(path: Path) -> bytes | mmap.mmap:
    try:
        with path.open("rb") as journal:
            return mmap.mmap(journal.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        return b""  # the reader says so
    except (ValueError, OSError):  # an empty file, or a file system that maps nothing
        return path.read_bytes() if path.is_file() else b""


def is_recorded(folder: RunFolder) -> bool:
    """Whether a process holds the journal now."""
    if not folder.journal_lock.exists():
        return False
    lock = FileLock(folder.journal_lock)
    try:
        free = lock.acquire()
    except OSError:  # a read-only copy has no writer
        return False
    lock.release()
    return not free
