"""Reads a journal from its first byte, checking CRC, sequence and seals on the way.

Two kinds of trouble are told apart. Bytes after the last good line are a *torn tail*: what a kill or a power cut
leaves, and nothing that was ever acknowledged as durable. Anything wrong before a good line is *damage*.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kiseki.errors import RunFolderError
from kiseki.record.line import SEAL, Line, parse


@dataclass(frozen=True, slots=True)
class Damage:
    """One place where the journal is not what its writer wrote."""

    line: int
    """Line number from 1, as `sed -n LINEp` counts."""
    offset: int
    """Byte offset of that line."""
    what: str


class Seal(msgspec.Struct):
    """Length and SHA-256 of everything in the file before the seal's line."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A good line and where its payload stands in the file."""

    line: Line
    payload_offset: int


class JournalReader:
    """Iterates over the good lines of a journal; afterwards its attributes describe what was read.

    Args:
        path: the journal.
        limit: read at most so many bytes; by default the length the file has when reading starts, so that a
            growing journal is read to one point in time.

    Raises:
        RunFolderError: there is no journal, or it cannot be read.

    Attributes:
        lines: good lines read.
        good_bytes: length of the file up to the end of the last good line.
        tail_bytes: bytes after that, the torn tail.
        sealed_bytes: length covered by the last right seal.
        damage: everything wrong before a good line, in file order.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self._path = path
        self._limit = limit
        self._digest = hashlib.sha256()
        self._digest_at_last_good = self._digest
        self._due = 0
        self.lines = 0
        self.good_bytes = 0
        self.tail_bytes = 0
        self.sealed_bytes = 0
        self.damage: list[Damage] = []

    @property
    def digest(self) -> "hashlib._Hash":
        """Running SHA-256 over the good bytes, ready to be continued."""
        return self._digest_at_last_good.copy()

    def __iter__(self) -> Iterator[Placed]:
        offset, suspects = 0, list[Damage]()
        for number, raw in enumerate(self._raw_lines(), start=1):
            whole = raw.endswith(b"\n")
            line = parse(raw[:-1]) if whole else None
            if line is None:
                if not suspects:
                    self._digest_at_last_good = self._digest.copy()
                suspects.append(Damage(number, offset, "the line is broken or its CRC is wrong"))
            else:
                self.damage += suspects
                self._due += len(suspects)
                suspects.clear()
                self._check(line, number, offset)
                yield Placed(line, offset + len(line.kind) + 4)
            self._digest.update(raw)
            offset += len(raw)
            if line is not None:
                self._digest_at_last_good = self._digest
                self.lines += 1
                self.good_bytes = offset
        self.tail_bytes = offset - self.good_bytes

    def _raw_lines(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as journal:
                left = os.fstat(journal.fileno()).st_size if self._limit is None else self._limit
                for raw in journal:
                    if len(raw) > left:
                        raw = raw[:left]
                    if not raw:
                        return
                    left -= len(raw)
                    yield raw
        except FileNotFoundError:
            raise RunFolderError(
                f"{self._path}: there is no journal here; name the output folder of a recorded run"
            ) from None
        except OSError as error:
            raise RunFolderError(f"{self._path}: the journal cannot be read: {error.strerror}") from error

    def _check(self, line: Line, number: int, offset: int) -> None:
        if line.seq != self._due:
            self.damage.append(Damage(number, offset, f"sequence number {line.seq} where {self._due} was due"))
        self._due = line.seq + 1
        if line.kind == SEAL:
            try:
                seal = msgspec.json.decode(line.payload, type=Seal)
            except msgspec.DecodeError:
                self.damage.append(Damage(number, offset, "the seal cannot be read"))
                return
            if seal.bytes == offset and seal.sha256 == self._digest.hexdigest():
                self.sealed_bytes = offset
            else:
                self.damage.append(Damage(number, offset, "the seal does not match what stands before it"))
