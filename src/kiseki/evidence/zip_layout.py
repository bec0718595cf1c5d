"""The one form of zip file that a pack has, as the writer makes it and the reader demands it.

A zip file says most things twice, in a local header and in the central directory, and programs differ in which they
believe. In a pack both say the same, entries follow each other without gap or overlap, and nothing stands before,
between or behind them. So there is one reading of a pack, and no place in it for anything the reader does not see.
No zip64, no encryption, no comments, no extra fields, no folders, no links.
"""

import re
import struct
from typing import NamedTuple

STORED, DEFLATED = 0, 8
LARGEST_TOTAL = 2 << 30
"""Bytes of all files together, unpacked."""
MOST_ENTRIES = 10_000
LARGEST_RATIO = 100
"""Unpacked bytes for each packed byte, where a file is larger than `SMALL`."""
SMALL = 1 << 20
LONGEST_NAME = 150

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
LOCAL_SIGNATURE, CENTRAL_SIGNATURE, END_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

_MADE_BY = 3 << 8 | 20  # Unix, so that the mode below is read
_NEEDS = 20
_MODE = 0o100644 << 16

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?:\..*)?", re.IGNORECASE)


class Moment(NamedTuple):
    """A moment as a zip file holds it, in two 16-bit numbers, to two seconds."""

    time: int
    date: int


class Entry(NamedTuple):
    """One file in a pack.

    Attributes:
        name: relative path, forward slashes.
        method: `STORED` or `DEFLATED`.
        moment: as recorded; the same for all files of a pack.
        crc: CRC-32 of the unpacked bytes.
        packed: bytes in the zip file.
        size: bytes unpacked.
        offset: where its local header begins.
    """

    name: str
    method: int
    moment: Moment
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def content_offset(self) -> int:
        """Where its packed bytes begin."""
        return self.offset + LOCAL.size + len(self.name)

    @property
    def end(self) -> int:
        """Where the next entry begins."""
        return self.content_offset + self.packed

    def local_header(self) -> bytes:
        """What stands before the packed bytes."""
        name = self.name.encode("ascii")
        return LOCAL.pack(LOCAL_SIGNATURE, _NEEDS, 0, self.method, *self._figures(), len(name), 0) + name

    def central_header(self) -> bytes:
        """What stands in the directory at the end."""
        name = self.name.encode("ascii")
        fixed = (CENTRAL_SIGNATURE, _MADE_BY, _NEEDS, 0, self.method, *self._figures(), len(name), 0, 0, 0, 0, _MODE)
        return CENTRAL.pack(*fixed, self.offset) + name

    def _figures(self) -> tuple[int, int, int, int, int]:
        return (*self.moment, self.crc, self.packed, self.size)


def is_safe_name(name: str) -> bool:
    """Whether a file of this name can be unpacked anywhere without surprise, on Windows too.

    Example:
        >>> is_safe_name("metrics/journal.jsonl")
        True
        >>> [is_safe_name(name) for name in ("../x", "/x", "a//b", "C:x", ".git", "a.", "nul.txt", "a\\\\b")]
        [False, False, False, False, False, False, False, False]
    """
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        return False
    return not any(_DEVICE.fullmatch(part) for part in name.split("/"))


def moment_of(timestamp: str) -> Moment:
    """The moment of an RFC 3339 timestamp in UTC; the earliest one a zip file knows where it is no such.

    Example:
        >>> moment_of("2026-11-23T05:00:31.123456Z")
        Moment(time=10255, date=23927)
    """
    digits = re.match(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)", timestamp)
    year, month, day, hour, minute, second = map(int, digits.groups()) if digits else (1980, 1, 1, 0, 0, 0)
    if not 1980 <= year <= 2107:
        year, month, day, hour, minute, second = 1980, 1, 1, 0, 0, 0
    return Moment(hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day)
