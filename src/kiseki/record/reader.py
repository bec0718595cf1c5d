"""Reads a journal from its first byte, checking CRC, sequence and seals on the way.

Two kinds of trouble are told apart. Bytes after the last good line are a *torn tail*: what a kill or a power cut
leaves, and nothing that was ever acknowledged as durable. Anything wrong before a good line is *damage*.

The file is read in blocks and not mapped: a writer that moves a torn tail aside makes it shorter, and touching the
lost end of a mapping would kill the reader.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kiseki.errors import RunFolderError
from kiseki.record.line import SEAL, Line, parse

_BLOCK_BYTES = 1 << 20


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


class JournalReader:
    """Iterates over the good lines of a journal; afterwards its attributes describe what was read.

    Args:
        path: the journal.
        limit: read at most so many bytes; by default the length the file has when reading starts, so that a
            growing journal is read to one point in time.

    Yields:
        Each good line, and the offset of its payload in the file.

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
        self._hashed = _PrefixDigest()
        self._digest_at_last_good = self._hashed.sha256
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

    def __iter__(self) -> Iterator[tuple[Line, int]]:
        number, suspects = 0, list[Damage]()
        for offset, block in self._blocks():
            self._hashed.hold(offset, block)
            *raw_lines, torn = block.split(b"\n")
            for raw in raw_lines:
                number += 1
                line = parse(raw, self._due)
                if line is None:
                    if not suspects:
                        self._hashed.advance(offset)
                        self._digest_at_last_good = self._hashed.sha256.copy()
                    suspects.append(Damage(number, offset, "the line is broken or its CRC is wrong"))
                    offset += len(raw) + 1
                    continue
                if suspects:
                    self.damage += suspects
                    self._due += len(suspects)
                    suspects.clear()
                if line.seq != self._due:
                    self.damage.append(Damage(number, offset, f"sequence number {line.seq} where {self._due} was due"))
                if line.kind == SEAL:
                    self._check_seal(line, number, offset)
                self._due = line.seq + 1
                self.lines += 1
                yield line, offset + len(line.kind) + 4
                offset += len(raw) + 1
                self.good_bytes = offset
            self._hashed.advance(offset)
            if not suspects:
                self._digest_at_last_good = self._hashed.sha256
            self.tail_bytes = offset + len(torn) - self.good_bytes

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of successive blocks, each beginning with a line."""
        try:
            with self._path.open("rb", buffering=0) as journal:
                left = os.fstat(journal.fileno()).st_size if self._limit is None else self._limit
                offset, torn = 0, b""
                while left and (read := journal.read(min(left, max(_BLOCK_BYTES, len(torn))))):
                    left -= len(read)
                    block = torn + read
                    yield offset, block
                    torn = block[block.rfind(b"\n") + 1 :]
                    offset += len(block) - len(torn)
        except FileNotFoundError:
            raise RunFolderError(
                f"{self._path}: there is no journal here; name the output folder of a recorded run"
            ) from None
        except OSError as error:
            raise RunFolderError(f"{self._path}: the journal cannot be read: {error.strerror}") from error

    def _check_seal(self, line: Line, number: int, offset: int) -> None:
        try:
            seal = msgspec.json.decode(line.payload, type=Seal)
        except msgspec.DecodeError:
            self.damage.append(Damage(number, offset, "the seal cannot be read"))
            return
        self._hashed.advance(offset)
        if seal.bytes == offset and seal.sha256 == self._hashed.sha256.hexdigest():
            self.sealed_bytes = offset
        else:
            self.damage.append(Damage(number, offset, "the seal does not match what stands before it"))


class _PrefixDigest:
    """SHA-256 over a file's beginning, brought forward only where somebody asks: at seals and at the end of a block."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self._position = 0
        self._block, self._block_offset = b"", 0

    def hold(self, offset: int, block: bytes) -> None:
        """The bytes from `offset` on, which the next `advance` may need."""
        self._block, self._block_offset = block, offset

    def advance(self, position: int) -> None:
        """Take in everything up to `position`."""
        view = memoryview(self._block)
        self.sha256.update(view[self._position - self._block_offset : position - self._block_offset])
        self._position = position
