"""The lines of one kind that count, and their numbers as columns."""

from __future__ import annotations

import mmap
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress, islice
from operator import attrgetter
from typing import Any

import msgspec

JsonObject = dict[str, Any]

_CHUNK_ROWS = 4096
_TEXT = "timestamp"
"""The one key that the recorder fills with text: skipped, not tried as a number a million times."""
_LET_GO_BYTES = 1 << 25
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')


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


def _let_go(content: bytes | mmap.mmap, end: int) -> int:
    """Give memory back that only mirrors the journal up to `end`: whoever needs it again reads it again."""
    end -= end % mmap.PAGESIZE
    if isinstance(content, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        content.madvise(mmap.MADV_DONTNEED, 0, end)
    return end


class Rows:
    """The lines of one kind that count, in step order, as places in the journal.

    Payload bytes are read when asked for, so that a million rows cost 32 MB here and not 300.

    Args:
        content: the journal's bytes, of which only good lines are ever touched.

    Attributes:
        steps: int64, the optimizer step of each row.
        repeated: lines whose step the same attempt had already recorded; the later one counts.
        out_of_order: lines whose step was below the line before them within one attempt.
        superseded: lines that a resumed attempt replaced.
    """

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content
        self._offset = array("Q")
        self._length = array("Q")
        self._attempt = array("q")
        self._last = -1
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
        content, let_go = self._content, 0
        for start, length in zip(self._offset, self._length, strict=True):
            yield content[start : start + length]
            if start - let_go > _LET_GO_BYTES:
                let_go = _let_go(content, start)

    def decoded(self) -> Iterator[JsonObject]:
        """The rows as objects; non-finite values are the strings they were recorded as."""
        decode = msgspec.json.Decoder(JsonObject).decode
        return (decode(payload) for payload in self.payloads())

    def attempt(self, position: int) -> int:
        """The number of the attempt that recorded a row, from 1."""
        return self._attempt[position] + 1

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Every numeric key, in order of first appearance."""
        reading = _ColumnReading(self.steps)
        payloads = self.payloads()
        while chunk := list(islice(payloads, _CHUNK_ROWS)):
            reading.take(chunk)
        return {name: column for name, column in reading.columns.items() if len(column)}

    def add(self, step: int, attempt: int, offset: int, length: int) -> int | None:
        """Take in the next line of the journal; returns the attempt whose line it replaces, if any."""
        if step > self._last:
            self._last = step
            self.steps.append(step)
            self._offset.append(offset)
            self._length.append(length)
            self._attempt.append(attempt)
            return None
        place = bisect_left(self.steps, step)
        if place == len(self.steps) or self.steps[place] != step:
            for column, value in (
                (self.steps, step),
                (self._offset, offset),
                (self._length, length),
                (self._attempt, attempt),
            ):
                column.insert(place, value)
            return None
        replaced = self._attempt[place]
        if replaced == attempt:
            self.repeated += 1
        else:
            self.superseded += 1
        self._offset[place], self._length[place], self._attempt[place] = offset, length, attempt
        return replaced

    def rewind(self, resume_step: int) -> list[int]:
        """Supersede everything beyond a step; returns the attempt of each line that leaves."""
        place = bisect_right(self.steps, resume_step)
        gone = list(self._attempt[place:])
        for column in (self.steps, self._offset, self._length, self._attempt):
            del column[place:]
        self._last = self.steps[-1] if self.steps else -1
        self.superseded += len(gone)
        return gone


class _ColumnReading:
    """Decodes rows into columns, many at a time.

    The keys seen so far become a struct type, so that a chunk of rows is decoded and turned on its side without a
    Python loop over values. A row with another key, or with a value that is no number, is read singly.
    """

    def __init__(self, steps: Sequence[int]) -> None:
        self._steps = steps
        self._taken = 0
        self.columns: dict[str, Column] = {}
        self._quick: list[Column] = []
        self._decode, self._values = _decoder_of([])

    def take(self, payloads: Sequence[bytes]) -> None:
        """The next rows."""
        known: list[tuple[Any, ...]] = []
        for payload in payloads:
            try:
                known.append(self._values(self._decode(payload)))
            except msgspec.DecodeError:
                self._flush(known)
                self._take_one(payload)
        self._flush(known)

    def _flush(self, rows: list[tuple[Any, ...]]) -> None:
        if not rows:
            return
        first, count = self._taken, len(rows)
        positions = array("q", range(first, first + count))
        steps = self._steps[first : first + count]
        for column, values in zip(self._quick, zip(*rows, strict=True), strict=True):
            try:
                column.value.extend(array("d", values))  # the usual case: every value a float
                column.position.extend(positions)
                column.step.extend(steps)
            except TypeError:
                numbers = [number(value) for value in values]
                present = [value is not None for value in numbers]
                column.value.extend(value for value in numbers if value is not None)
                column.position.extend(compress(positions, present))
                column.step.extend(compress(steps, present))
        self._taken += count
        rows.clear()

    def _take_one(self, payload: bytes) -> None:
        row = msgspec.json.decode(payload, type=JsonObject)
        new = [name for name in row if name not in self.columns]
        for name in new:
            self.columns[name] = Column(name)
        for name, recorded in row.items():
            value = number(recorded)
            if value is not None:
                column = self.columns[name]
                column.value.append(value)
                column.position.append(self._taken)
                column.step.append(self._steps[self._taken])
        if new:
            # msgspec refuses field names that JSON would have to escape; rows that have one are always read singly
            named = [name for name in self.columns if not _ESCAPED.search(name)]
            self._quick = [self.columns[name] for name in named if name != _TEXT]
            self._decode, self._values = _decoder_of(named)
        self._taken += 1


def _decoder_of(names: Sequence[str]) -> tuple[Any, Any]:
    """A decoder of rows with these keys and no others, and what turns its result into the tuple of their numbers."""
    fields = {f"column_{place}": name for place, name in enumerate(names)}
    row_type = msgspec.defstruct(
        "Row",
        [(field, msgspec.Raw if name == _TEXT else float | str | None, None) for field, name in fields.items()],
        rename=fields,
        forbid_unknown_fields=True,
    )
    numeric = [field for field, name in fields.items() if name != _TEXT]
    values = attrgetter(*numeric) if len(numeric) > 1 else lambda row: tuple(getattr(row, field) for field in numeric)
    return msgspec.json.Decoder(row_type).decode, values


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
