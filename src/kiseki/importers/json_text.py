"""The text of a file, read block by block and JSON value by JSON value, as far as it goes."""

import codecs
import hashlib
import json
import re
from collections.abc import Callable
from typing import IO, Any

import msgspec

LONGEST_VALUE = 1 << 20
"""Characters of one item of an array, or of one other value."""

_BLOCK_BYTES = 1 << 20
_BLANK = re.compile("[ \t\n\r\ufeff]*")
_AFTER_A_VALUE = (",", ":", "]", "}")
_ENDS_EARLY = "the file ends too early"


class Stuck(Exception):
    """Reading cannot go on; the message says why."""


class Text:
    """The text of a file, block by block, and a place in it.

    Args:
        file: the file, open at its beginning.
        progress: told how many bytes were read.

    Attributes:
        bytes: bytes read so far.
        sha256: over them.
    """

    def __init__(self, file: IO[bytes], progress: Callable[[int], None]) -> None:
        self._file = file
        self._progress = progress
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._place, self._bytes_before = "", 0, 0
        self._ended = ""
        self._untried = False
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
            raise Stuck(f"{sign!r} was due here" if found else self._ended)
        self._place += 1

    def value(self) -> Any:
        """Read one JSON value."""
        if not self.peek():
            raise Stuck(self._ended)
        while True:
            try:
                value, end = self._decode(self._text, self._place)
            except RecursionError:
                raise Stuck("a value is nested too deeply") from None
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
                raise Stuck("no whole JSON value stands here" if self._ended == _ENDS_EARLY else self._ended)
            if len(self._text) - self._place > LONGEST_VALUE:
                raise Stuck(f"this is no JSON ({why[:80]}), or a value of more than {LONGEST_VALUE >> 20} MiB")
            self._more()

    def values(self) -> list[Any]:
        """Read at once those items of an array that the text read so far holds whole; none where that fails.

        The text is cut behind an object that a comma follows. Where that is not between two items of this array, but in
        a string, within an item, or behind the array's end, what was cut off is no array, and items are read singly.
        """
        end = self._text.rfind("},", self._place) + 1
        if not end or not self._untried:
            return []
        self._untried = False
        try:
            values = _decoded(f"[{self._text[self._place : end]}]")
        except (ValueError, RecursionError):
            return []
        self._place = end
        return values

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
        self._untried = True

    def _count(self, block: bytes) -> None:
        self.bytes += len(block)
        self.sha256.update(block)
        self._progress(self.bytes)


def _decoded(array: str) -> list[Any]:
    """The items of a JSON array that is text; its decoder for what is JSON, Python's for what Python writes besides."""
    try:
        items: list[Any] = msgspec.json.decode(array)
    except msgspec.DecodeError:
        items = json.loads(array)
    return items
