"""Reads one JSON object whose bulk is one array, item by item, in bounded memory and as far as it goes.

A log is read as Python's `json` writes it, bare `NaN` and `Infinity` included. Where the text ends too early, or is no
JSON from some place on, everything before that place is kept and the place is told: a checkpoint that was cut off by a
full disk still holds most of its log. No single value may be longer than `LONGEST_VALUE`, so a file cannot make us
allocate more than its honest content needs.
"""

import codecs
import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from kiseki.errors import KisekiError

LARGEST_FILE = 512 << 20
"""Bytes; a million logged steps are about 130 MB."""

LONGEST_VALUE = 1 << 20
"""Characters of one item of the array, or of one other value."""

_BLOCK_BYTES = 1 << 20
_BLANK = re.compile("[ \t\n\r\ufeff]*")
_AFTER_A_VALUE = (",", ":", "]", "}")
_ENDS_EARLY = "the file ends too early"


class SourceError(KisekiError):
    """What should be imported is not what the importer reads."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Where reading had to stop.

    Attributes:
        byte: offset in the file.
        why: what stands there.
    """

    byte: int
    why: str


@dataclass(slots=True)
class Pieces:
    """What of a file could be read.

    Attributes:
        fields: the object's members, without the array; of two with one name the later one.
        items: the array's items, None when the object has no such array.
        bytes: length of the file.
        sha256: of the whole file, 64 hexadecimal digits.
        unread: where reading had to stop, None when everything was read.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    items: list[Any] | None = None
    bytes: int = 0
    sha256: str = ""
    unread: Unread | None = None


def read_pieces(path: Path, array: str) -> Pieces:
    """Read a file.

    Args:
        path: the file.
        array: name of the member that holds the bulk.

    Raises:
        SourceError: it cannot be read, is larger than `LARGEST_FILE`, or is no JSON object from the start.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "state.json"
        >>> _ = path.write_text('{"epoch": 1.0, "log": [{"loss": NaN}, {"lo', encoding="utf-8")
        >>> pieces = read_pieces(path, "log")
        >>> pieces.fields, pieces.items, pieces.unread
        ({'epoch': 1.0}, [{'loss': nan}], Unread(byte=38, why='no whole JSON value stands here'))
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_FILE:
                raise SourceError(
                    f"{path}: {size >> 20} MiB; logs of up to {LARGEST_FILE >> 20} MiB are read. "
                    f"Is this the file you meant?"
                )
            return _read(_Text(file), path, array)
    except OSError as error:
        raise SourceError(f"{path}: it cannot be read ({error.strerror or error}); check its permissions") from error


def _read(text: "_Text", path: Path, array: str) -> Pieces:
    if text.peek() != "{":
        raise SourceError(f"{path}: this is no JSON object; name a trainer_state.json or a folder that holds one")
    pieces = Pieces()
    try:
        _read_object(text, pieces, array)
    except _Stuck as stuck:
        pieces.unread = Unread(text.byte, str(stuck))
    text.drain()
    pieces.bytes, pieces.sha256 = text.bytes, text.sha256.hexdigest()
    return pieces


def _read_object(text: "_Text", pieces: Pieces, array: str) -> None:
    text.take("{")
    while text.peek() != "}":
        name = text.value()
        if not isinstance(name, str):
            raise _Stuck("a name was due here")
        text.take(":")
        if name == array and text.peek() == "[":
            pieces.items = []
            _read_array(text, pieces.items)
        else:
            pieces.fields[name] = text.value()
        if text.peek() != "}":
            text.take(",")
    text.take("}")
    if text.peek():
        raise _Stuck("something follows the end of the JSON object")


def _read_array(text: "_Text", items: list[Any]) -> None:
    text.take("[")
    while text.peek() != "]":
        item = text.value()
        # The decoder makes new strings for the names of every item; a million items then are mostly names.
        items.append({sys.intern(name): value for name, value in item.items()} if isinstance(item, dict) else item)
        if text.peek() != "]":
            text.take(",")
    text.take("]")


class _Stuck(Exception):
    """Reading cannot go on; the message says why."""


class _Text:
    """The text of a file, block by block, and a place in it.

    Attributes:
        bytes: bytes read so far.
        sha256: over them.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._place, self._bytes_before = "", 0, 0
        self._ended = ""
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    @property
    def byte(self) -> int:
        """Offset of the present place in the file."""
        return self._bytes_before + len(self._text[: self._place].encode())

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            self._place = self._after_blanks(self._place)
            if self._place < len(self._text):
                return self._text[self._place]
            if self._ended:
                return ""
            self._more()

    def take(self, sign: str) -> None:
        """Go past the next character, which must be this one."""
        found = self.peek()
        if found != sign:
            raise _Stuck(f"{sign!r} was due here" if found else self._ended)
        self._place += 1

    def value(self) -> Any:
        """Read one JSON value."""
        if not self.peek():
            raise _Stuck(self._ended)
        while True:
            try:
                value, end = self._decode(self._text, self._place)
            except RecursionError:
                raise _Stuck("a value is nested too deeply") from None
            except ValueError as error:  # JSON errors, and integers of more digits than Python reads
                why = getattr(error, "msg", "an integer has too many digits")
            else:
                # A number may go on beyond the text that was read so far; only what follows tells that it is whole.
                following = self._after_blanks(end)
                if self._text[following : following + 1] in _AFTER_A_VALUE:
                    self._place = end
                    return value
                why = "something that is no JSON follows a value"
            if self._ended:
                raise _Stuck("no whole JSON value stands here" if self._ended == _ENDS_EARLY else self._ended)
            if len(self._text) - self._place > LONGEST_VALUE:
                raise _Stuck(f"this is no JSON ({why[:80]}), or a value of more than {LONGEST_VALUE >> 20} MiB")
            self._more()

    def drain(self) -> None:
        """Read to the end of the file, for its digest only."""
        while block := self._file.read(_BLOCK_BYTES):
            self._count(block)

    def _after_blanks(self, place: int) -> int:
        blanks = _BLANK.match(self._text, place)
        return blanks.end() if blanks else place

    def _more(self) -> None:
        self._bytes_before = self.byte
        block = self._file.read(_BLOCK_BYTES)
        self._count(block)
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            text = error.object[: error.start].decode("utf-8")
            self._ended = "the bytes are not UTF-8"
        else:
            self._ended = "" if block else _ENDS_EARLY
        self._text, self._place = self._text[self._place :] + text, 0

    def _count(self, block: bytes) -> None:
        self.bytes += len(block)
        self.sha256.update(block)
