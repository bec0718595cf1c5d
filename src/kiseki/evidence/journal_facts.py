"""What a journal says about itself, read line by line once: seals, clocks, attempts, weights."""

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kiseki.errors import JournalDamaged
from kiseki.record.line import CLOSE, EVAL, NOTE, OPEN, ROW, SEAL
from kiseki.record.reader import Damage, JournalReader

_COUNTING = (OPEN, ROW, EVAL)
_AFTER_SEQ = len(b',"crc":"00000000"}\n')
_LISTED = 10


class _Dated(msgspec.Struct):
    timestamp: str = ""
    elapsed_time_seconds: float | None = None


@dataclass
class JournalFacts:
    """A journal, looked through.

    Attributes:
        opened: the `open` objects, in order.
        closed: the last attempt wrote how it ended.
        status: how it ended, as it says itself; `interrupted` where it says nothing.
        weights: objects of the notes of kind `weights`, in order.
        side_files: digests of the files beside the journal, by name, as the journal gives them last.
        jumps: number of noted jumps of the wall clock.
        backwards: lines whose monotonic time is before that of an earlier line: (line, what).
        set_back: lines whose wall clock is before that of an earlier line.
        unreadable: whole lines that do not hold what such a line holds.
        line_ends: uint64, byte offset behind each good line.
        counting_end: offset behind the last line that views and statistics depend on.
        last_timestamp: of the last dated line.
        ends_sealed: the last good line is a right seal.
        seal_sha256: digest in the last right seal, None without one.
        lines, good_bytes, tail_bytes, sealed_bytes, damage: as `JournalReader` counts them.
        sha256: of the good bytes.
    """

    opened: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False
    status: str = "interrupted"
    weights: list[Mapping[str, Any]] = field(default_factory=list)
    side_files: dict[str, str] = field(default_factory=dict)
    jumps: int = 0
    backwards: list[tuple[int, str]] = field(default_factory=list)
    set_back: list[int] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    line_ends: "array[int]" = field(default_factory=lambda: array("Q"))
    counting_end: int = 0
    last_timestamp: str = ""
    ends_sealed: bool = False
    seal_sha256: str | None = None
    lines: int = 0
    good_bytes: int = 0
    tail_bytes: int = 0
    sealed_bytes: int = 0
    damage: tuple[Damage, ...] = ()
    sha256: str = ""

    @property
    def run_id(self) -> str:
        """The run's name; empty where the journal has no readable `open` line."""
        return str(self.opened[0].get("run_id", "")) if self.opened else ""

    @property
    def language(self) -> str:
        """The run's own."""
        return "ja" if self.opened and self.opened[-1].get("language") == "ja" else "en"

    def line_at(self, offset: int) -> int:
        """The number, from 1, of the good line that holds a byte."""
        return bisect_right(self.line_ends, offset) + 1


def read_facts(journal: Path, limit: int | None = None) -> JournalFacts:
    """Look a journal through.

    Args:
        journal: the file.
        limit: only so many bytes of it.

    Raises:
        RunFolderError: it is not there or cannot be read.
        JournalDamaged: a line is nested so deeply that nothing can read it.
    """
    facts = JournalFacts()
    reader = JournalReader(journal, limit)
    reading = _Reading(facts)
    last_kind = ""
    try:
        for (kind, payload, seq), offset in reader:
            end = offset + len(payload) + len(b',"seq":%d' % seq) + _AFTER_SEQ
            facts.line_ends.append(end)
            last_kind = kind
            reading.take(kind, payload, len(facts.line_ends))
            if kind in _COUNTING:
                facts.counting_end = end
    except RecursionError as error:
        raise JournalDamaged(
            f"{journal.name}: line {len(facts.line_ends) + 1} or the one before it is nested too deeply to be read"
        ) from error
    facts.lines, facts.good_bytes, facts.tail_bytes = reader.lines, reader.good_bytes, reader.tail_bytes
    facts.sealed_bytes, facts.damage = reader.sealed_bytes, tuple(reader.damage)
    facts.sha256 = reader.digest.hexdigest()
    seal = reading.last_seal
    facts.seal_sha256 = str(seal.get("sha256")) if seal and seal.get("bytes") == reader.sealed_bytes else None
    facts.ends_sealed = last_kind == SEAL and facts.seal_sha256 is not None
    return facts


class _Reading:
    def __init__(self, facts: JournalFacts) -> None:
        self._facts = facts
        self._elapsed = 0.0
        self._dated = msgspec.json.Decoder(_Dated).decode
        self._object = msgspec.json.Decoder(dict[str, Any]).decode
        self.last_seal: dict[str, Any] | None = None

    def take(self, kind: str, payload: bytes, line: int) -> None:
        try:
            if kind in (ROW, EVAL, CLOSE):
                self._look_at_clocks(self._dated(payload), line)
            if kind in (OPEN, CLOSE):
                self._facts.closed = kind == CLOSE
            if kind == CLOSE:
                self._facts.status = str(self._object(payload).get("status", "completed"))
            elif kind == OPEN:
                opened = self._object(payload)
                self._facts.status = "interrupted"
                self._facts.opened.append(opened)
                if isinstance(side_files := opened.get("side_files"), dict):
                    self._facts.side_files |= {name: str(digest) for name, digest in side_files.items()}
            elif kind == SEAL:
                self.last_seal = self._object(payload)
            elif kind == NOTE:
                self._note(self._object(payload))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._facts.unreadable.append((line, str(error)))

    def _note(self, note: dict[str, Any]) -> None:
        if note.get("kind") == "weights":
            self._facts.weights.append(note)
        elif note.get("kind") == "report_inputs" and isinstance(name := note.get("file"), str):
            self._facts.side_files[name] = str(note.get("sha256"))
        elif note.get("kind") == "clock_jump":
            self._facts.jumps += 1

    def _look_at_clocks(self, dated: _Dated, line: int) -> None:
        facts = self._facts
        if dated.elapsed_time_seconds is not None:
            if dated.elapsed_time_seconds < self._elapsed and len(facts.backwards) < _LISTED:
                facts.backwards.append((line, f"{dated.elapsed_time_seconds} s after {self._elapsed} s"))
            self._elapsed = max(self._elapsed, dated.elapsed_time_seconds)
        if dated.timestamp:
            if dated.timestamp < facts.last_timestamp and len(facts.set_back) < _LISTED:
                facts.set_back.append(line)
            facts.last_timestamp = dated.timestamp
