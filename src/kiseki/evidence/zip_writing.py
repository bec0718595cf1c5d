"""Writes a pack: the same bytes for the same files, in the order in which they are given."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import IO

from kiseki.errors import RunFolderError
from kiseki.evidence.zip_layout import (
    DEFLATED,
    END,
    END_SIGNATURE,
    LARGEST_RATIO,
    LARGEST_TOTAL,
    LONGEST_NAME,
    MOST_ENTRIES,
    SMALL,
    STORED,
    Entry,
    Moment,
    is_safe_name,
)

_LEVEL = 4
"""Half the time of the usual 6, and two per cent larger for a journal."""
_SAMPLE_RATIO = LARGEST_RATIO // 3


class ZipWriter:
    """Adds files one after the other to an open file; `finish` writes the directory.

    Args:
        out: open for writing, seekable, empty.
        moment: the date all files get.
    """

    def __init__(self, out: IO[bytes], moment: Moment) -> None:
        self._out = out
        self._moment = moment
        self._entries: list[Entry] = []
        self._names: set[str] = set()
        self._total = 0

    def add(self, name: str, blocks: Iterable[bytes]) -> None:
        """Add a file.

        Raises:
            RunFolderError: more or larger files than a pack may hold.
            OSError: the disk refused.
        """
        if not is_safe_name(name) or name.lower() in self._names:
            raise RunFolderError(
                f"{name[:LONGEST_NAME]}: no pack holds a file of this name, or it holds one already; rename the file"
            )
        self._names.add(name.lower())
        sample, blocks = _sample(blocks)
        method = STORED if len(zlib.compress(sample, 1)) * _SAMPLE_RATIO < len(sample) else DEFLATED
        draft = Entry(name, method, self._moment, 0, 0, 0, self._out.tell())
        self._out.write(draft.local_header())
        entry = self._write_content(draft, blocks)
        self._out.seek(entry.offset)
        self._out.write(entry.local_header())
        self._out.seek(entry.end)
        self._entries.append(entry)
        if len(self._entries) > MOST_ENTRIES:
            raise RunFolderError(f"{name}: a pack holds at most {MOST_ENTRIES} files")

    def finish(self) -> None:
        """Write the directory; nothing can be added any more."""
        begins = self._out.tell()
        for entry in self._entries:
            self._out.write(entry.central_header())
        size, count = self._out.tell() - begins, len(self._entries)
        self._out.write(END.pack(END_SIGNATURE, 0, 0, count, count, size, begins, 0))

    def _write_content(self, draft: Entry, blocks: Iterable[bytes]) -> Entry:
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS) if draft.method == DEFLATED else None
        crc = size = packed = 0
        for block in blocks:
            crc, size = zlib.crc32(block, crc), size + len(block)
            if self._total + size > LARGEST_TOTAL:
                raise RunFolderError(
                    f"{draft.name}: the files of this run are larger than {LARGEST_TOTAL >> 30} GiB together, which is "
                    f"more than a pack holds; hand over the run folder with a line from `kiseki checkpoint` instead"
                )
            packed += self._out.write(deflate.compress(block) if deflate else block)
        if deflate:
            packed += self._out.write(deflate.flush())
        if size > SMALL and size > LARGEST_RATIO * packed:
            raise RunFolderError(f"{draft.name}: this file repeats itself so much that no reader would unpack it")
        self._total += size
        return draft._replace(crc=crc, packed=packed, size=size)


def _sample(blocks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first block, and all of them."""
    iterator = iter(blocks)
    first = list(islice(iterator, 1))
    return b"".join(first)[:SMALL], chain(first, iterator)
