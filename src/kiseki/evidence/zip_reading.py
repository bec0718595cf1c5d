"""Reads a pack that a stranger sent: nothing is extracted, nothing is believed, whatever is unusual is refused."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from kiseki.evidence.zip_layout import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    END,
    END_SIGNATURE,
    LARGEST_RATIO,
    LARGEST_TOTAL,
    LOCAL,
    LONGEST_NAME,
    MOST_ENTRIES,
    SMALL,
    STORED,
    Entry,
    Moment,
    is_safe_name,
)

_BLOCK = 1 << 20


class NotAPack(ValueError):
    """The file is no zip file of the one form that packs have.

    Attributes:
        file: the file inside it that is wrong, as far as one can be named.
    """

    def __init__(self, what: str, file: str = "") -> None:
        super().__init__(what)
        self.file = file


class ZipReader:
    """The files in a pack. The directory is checked on opening, a file's bytes when they are read.

    Args:
        path: the pack.

    Raises:
        NotAPack: it is no zip file in the form of a pack.
        OSError: it cannot be read.

    Attributes:
        entries: by name, in the order in which they stand.
        moment: the date of all files.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")
        try:
            self.entries = {entry.name: entry for entry in _directory(self._file)}
        except BaseException:
            self._file.close()
            raise
        self.moment = next((entry.moment for entry in self.entries.values()), Moment(0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def blocks(self, name: str) -> Iterator[bytes]:
        """The unpacked bytes of a file, at most its stated length.

        Raises:
            KeyError: there is no such file.
            NotAPack: its bytes are not what the directory says; what was given out before must be thrown away.
        """
        entry = self.entries[name]
        crc = size = 0
        for block in self._inflated(entry) if entry.method == DEFLATED else self._raw(entry):
            crc, size = zlib.crc32(block, crc), size + len(block)
            if size > entry.size:
                raise NotAPack("the file is longer than the zip file says", name)
            yield block
        if size != entry.size or crc != entry.crc:
            raise NotAPack("the file is not what the zip file's length and CRC say", name)

    def read(self, name: str, limit: int) -> bytes:
        """All bytes of a small file.

        Raises:
            KeyError, NotAPack: as `blocks`; also where it is longer than `limit`.
        """
        if self.entries[name].size > limit:
            raise NotAPack(f"the file is larger than {limit} bytes", name)
        return b"".join(self.blocks(name))

    def _raw(self, entry: Entry) -> Iterator[bytes]:
        self._file.seek(entry.content_offset)
        left = entry.packed
        while left and (block := self._file.read(min(left, _BLOCK))):
            left -= len(block)
            yield block

    def _inflated(self, entry: Entry) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for packed in self._raw(entry):
                while packed:
                    if block := inflate.decompress(packed, _BLOCK):
                        yield block
                    packed = inflate.unconsumed_tail
                    if inflate.eof:
                        break
                if inflate.unused_data:
                    raise NotAPack("bytes stand behind the end of the file", entry.name)
            while not inflate.eof and (block := inflate.decompress(b"", _BLOCK)):
                yield block  # what the limit on a block's length held back
        except zlib.error as error:
            raise NotAPack(f"the file cannot be unpacked: {error}", entry.name) from error
        if not inflate.eof:
            raise NotAPack("the file is cut off", entry.name)


def _directory(file: IO[bytes]) -> list[Entry]:
    length = file.seek(0, 2)
    if length < END.size:
        raise NotAPack("it is too short for a zip file")
    file.seek(length - END.size)
    signature, disk, first_disk, here, count, size, begins, comment = END.unpack(file.read(END.size))
    if signature != END_SIGNATURE:
        raise NotAPack("it does not end as a zip file of kiseki does")
    if disk or first_disk or comment or here != count or count > MOST_ENTRIES:
        raise NotAPack("its end record is not one of kiseki's")
    if begins + size != length - END.size or size > count * (CENTRAL.size + LONGEST_NAME):
        raise NotAPack("its directory does not stand where its end record says")
    file.seek(begins)
    entries = _entries(file.read(size), count)
    _check(file, entries, begins)
    return entries


def _entries(directory: bytes, count: int) -> list[Entry]:
    entries, position = [], 0
    for _ in range(count):
        if position + CENTRAL.size > len(directory):
            raise NotAPack("its directory is cut off")
        figures = CENTRAL.unpack_from(directory, position)
        method, time, date, crc, packed, size, name_length = figures[4:11]
        raw_name = directory[position + CENTRAL.size : position + CENTRAL.size + name_length]
        name = raw_name.decode("ascii", "replace")
        if figures[0] != CENTRAL_SIGNATURE or not is_safe_name(name):
            raise NotAPack("its directory names a file that no pack holds", name[:LONGEST_NAME])
        entry = Entry(name, method, Moment(time, date), crc, packed, size, figures[-1])
        header = entry.central_header()
        if directory[position : position + len(header)] != header or method not in (STORED, DEFLATED):
            raise NotAPack("its entry says something that kiseki never writes (mode, link, encryption, extra)", name)
        entries.append(entry)
        position += len(header)
    if position != len(directory):
        raise NotAPack("its directory holds more than it says")
    return entries


def _check(file: IO[bytes], entries: list[Entry], end: int) -> None:
    """Sizes before anything is unpacked, then that entries fill the file without gap or overlap."""
    seen: set[str] = set()
    total = position = 0
    for entry in entries:
        total += entry.size
        if total > LARGEST_TOTAL or (entry.size > SMALL and entry.size > LARGEST_RATIO * entry.packed):
            raise NotAPack("unpacked it would be larger than a pack can be", entry.name)
        if entry.name.lower() in seen:
            raise NotAPack("two files have this name", entry.name)
        seen.add(entry.name.lower())
        if entry.offset != position or entry.moment != entries[0].moment or entry.end > end:
            raise NotAPack("its entry does not stand where the one before it ends, or has another date", entry.name)
        file.seek(entry.offset)
        if file.read(LOCAL.size + len(entry.name)) != entry.local_header():
            raise NotAPack("its two entries in the zip file say different things", entry.name)
        position = entry.end
    if position != end:
        raise NotAPack("bytes stand between the last file and the directory")
