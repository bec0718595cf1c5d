"""The way back: a journal read as attempts, the rows that count, evaluations, notes, and what is wrong with them.

(kind, step) identifies what counts: the latest attempt's latest line. When an attempt resumes at step N, rows of
earlier attempts beyond N are superseded: they stay in the journal and leave the views.
"""

from __future__ import annotations

import mmap
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from kiseki.errors import JournalDamaged, RunFolderError
from kiseki.filesystem import FileLock
from kiseki.record.line import CLOSE, EVAL, NOTE, OPEN, ROW
from kiseki.record.reader import Damage, JournalReader, Placed
from kiseki.run_folder import RunFolder

JsonObject = dict[str, Any]


class _RowKey(msgspec.Struct):
    step: int
    timestamp: str = ""


class _Opened(msgspec.Struct):
    """What an `open` line must hold."""

    run_id: str
    attempt: int
    timestamp: str
    resume_step: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One metric over the rows that count; a row in which it is missing is simply not there.

    Attributes:
        name: the metric.
        position: int64, index of the row among the rows that count; a jump of more than 1 is a gap.
        step: int64, optimizer step of each value.
        value: float64, NaN and infinities as they were recorded.
    """

    name: str
    position: array[int] = field(default_factory=lambda: array("q"))
    step: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.value)


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


class Rows:
    """The lines of one kind that count, in step order, as places in the journal.

    Payload bytes are read when asked for, so that a million rows cost 24 MB here and not 300.

    Attributes:
        repeated: lines whose step the same attempt had already recorded; the later one counts.
        out_of_order: lines whose step was below the line before them within one attempt.
        superseded: lines that a resumed attempt replaced.
    """

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content
        self._offset = array("Q")
        self._length = array("Q")
        self._attempt = array("q")
        self.steps = array("q")
        self.repeated = 0
        self.out_of_order = 0
        self.superseded = 0

    def __len__(self) -> int:
        return len(self.steps)

    def payload(self, position: int) -> bytes:
        """The JSON object of one row, byte for byte as it was recorded."""
        start = self._offset[position]
        return self._content[start : start + self._length[position]]

    def payloads(self) -> Iterator[bytes]:
        """All of them, in step order."""
        content = self._content
        for start, length in zip(self._offset, self._length, strict=True):
            yield content[start : start + length]

    def decoded(self) -> Iterator[JsonObject]:
        """The rows as objects; non-finite values are the strings they were recorded as."""
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        return (decode(payload) for payload in self.payloads())

    def attempt(self, position: int) -> int:
        """The number of the attempt that recorded a row, from 1."""
        return self._attempt[position] + 1

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Every numeric key, in order of first appearance."""
        columns: dict[str, Column] = {}
        for position, row in enumerate(self.decoded()):
            step = self.steps[position]
            for name, recorded in row.items():
                value = number(recorded)
                if value is None:
                    continue
                column = columns.get(name)
                if column is None:
                    column = columns[name] = Column(name)
                column.position.append(position)
                column.step.append(step)
                column.value.append(value)
        return columns

    def add(self, step: int, attempt: int, offset: int, length: int) -> int | None:
        """Take in the next line of the journal; returns the attempt whose line it replaces, if any."""
        place = bisect_left(self.steps, step)
        if place == len(self.steps):
            self.steps.append(step)
            self._offset.append(offset)
            self._length.append(length)
            self._attempt.append(attempt)
            return None
        replaced = None
        if self.steps[place] == step:
            replaced = self._attempt[place]
            if replaced == attempt:
                self.repeated += 1
            else:
                self.superseded += 1
            self._offset[place], self._length[place], self._attempt[place] = offset, length, attempt
        else:
            self.steps.insert(place, step)
            self._offset.insert(place, offset)
            self._length.insert(place, length)
            self._attempt.insert(place, attempt)
        return replaced

    def rewind(self, resume_step: int) -> list[int]:
        """Supersede everything beyond a step; returns the attempt of each line that leaves."""
        place = bisect_right(self.steps, resume_step)
        gone = list(self._attempt[place:])
        for column in (self.steps, self._offset, self._length, self._attempt):
            del column[place:]
        self.superseded += len(gone)
        return gone


def number(recorded: object) -> float | None:
    """The value of a recorded JSON value: non-finite strings and long integers come back as numbers.

    Example:
        >>> number("-Infinity"), number("9007199254740993"), number(True), number("2026-11-23T05:00:00Z")
        (-inf, 9007199254740992.0, None, None)
    """
    if isinstance(recorded, bool):
        return None
    if isinstance(recorded, (int, float)):
        return _as_float(recorded)
    if isinstance(recorded, str):
        if recorded in ("NaN", "Infinity", "-Infinity"):
            return float(recorded)
        if recorded.removeprefix("-").isdecimal():
            return _as_float(int(recorded)) if len(recorded) < 4000 else float("inf")
    return None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


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
    ended: str | None = None
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
            ended=self.ended,
            resume_step=self.opened.get("resume_step"),
            first_step=self.first_step,
            last_step=self.last_step,
            rows=self.rows,
            superseded=self.superseded,
            status=self.status,
        )


class _Reading:
    """Takes in the lines of a journal one after another."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self.rows, self.evaluations = Rows(content), Rows(content)
        self.attempts: list[_AttemptInReading] = []
        self.notes: list[JsonObject] = []
        self.closed: JsonObject | None = None
        self._decode = msgspec.json.Decoder(dict[str, Any]).decode
        self._decode_key = msgspec.json.Decoder(_RowKey).decode

    def take(self, placed: Placed) -> None:
        """One good line.

        Raises:
            msgspec.DecodeError: it does not hold what a line of its kind holds.
        """
        kind, payload, _ = placed.line
        if kind == OPEN:
            self._open(payload)
        elif not self.attempts:
            return
        elif kind == ROW:
            self._row(payload, placed.payload_offset)
        elif kind == EVAL:
            key = self._decode_key(payload)
            self.evaluations.add(key.step, len(self.attempts) - 1, placed.payload_offset, len(payload))
            self.attempts[-1].ended = key.timestamp or self.attempts[-1].ended
        elif kind == NOTE:
            self.notes.append({**self._decode(payload), "attempt": len(self.attempts)})
        elif kind == CLOSE:
            self.closed = self._decode(payload)
            self.attempts[-1].status = str(self.closed.get("status", "completed"))
            self.attempts[-1].ended = str(self.closed.get("timestamp", self.attempts[-1].ended))

    def _open(self, payload: bytes) -> None:
        opened = msgspec.json.decode(payload, type=_Opened)
        self.attempts.append(_AttemptInReading(self._decode(payload)))
        self.closed = None
        if opened.resume_step is not None:
            for gone in self.rows.rewind(opened.resume_step):
                self.attempts[gone].superseded += 1
            self.evaluations.rewind(opened.resume_step)

    def _row(self, payload: bytes, offset: int) -> None:
        key = self._decode_key(payload)
        index = len(self.attempts) - 1
        attempt = self.attempts[index]
        if attempt.last_step is not None and key.step < attempt.last_step:
            self.rows.out_of_order += 1
        replaced = self.rows.add(key.step, index, offset, len(payload))
        if replaced is not None and replaced != index:
            self.attempts[replaced].superseded += 1
        attempt.rows += 1
        attempt.first_step = key.step if attempt.first_step is None else attempt.first_step
        attempt.last_step = key.step
        attempt.ended = key.timestamp or attempt.ended


def read_history(folder: RunFolder) -> History:
    """Read a run's journal. Pure reading: nothing in the folder changes, and a recording run may go on.

    Raises:
        RunFolderError: there is no journal, or not one attempt in it.
        JournalDamaged: a line is whole but does not hold what a line of its kind holds.
    """
    content = _mapped(folder.journal)
    reader = JournalReader(folder.journal, limit=len(content))
    reading = _Reading(content)
    for placed in reader:
        try:
            reading.take(placed)
        except msgspec.DecodeError as error:
            raise JournalDamaged(
                f"{folder.journal}: line {reader.lines + 1} is whole but is no `{placed.line.kind}` line of "
                f"format 1: {error}"
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
        being_recorded=_is_held(folder.journal_lock),
    )


def _mapped(path: Path) -> bytes | mmap.mmap:
    try:
        with path.open("rb") as journal:
            return mmap.mmap(journal.fileno(), 0, access=mmap.ACCESS_READ)
    except (ValueError, OSError):  # an empty file cannot be mapped; a missing one is reported by the reader
        return b""


def _is_held(lock_path: Path) -> bool:
    if not lock_path.exists():
        return False
    lock = FileLock(lock_path)
    try:
        free = lock.acquire()
    except OSError:  # a read-only copy has no writer
        return False
    lock.release()
    return not free
