"""Reads one JSON object whose bulk is one array, item by item, in bounded memory and as far as it goes.

A log is read as Python's `json` writes it, bare `NaN` and `Infinity` included. Where the text ends too early, or is no
JSON from some place on, everything before that place is kept and the place is told: a checkpoint that was cut off by a
full disk still holds most of its log. No single value may be longer than `LONGEST_VALUE`, so a file cannot make us
allocate more than its honest content needs.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kiseki.errors import KisekiError
from kiseki.importers.json_text import Stuck, Text
from kiseki.importers.progress import Progress, untold

LARGEST_FILE = 512 << 20
"""Bytes; a million logged steps are about 130 MB."""


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


def read_pieces(path: Path, array: str, progress: Progress = untold) -> Pieces:
    """Read a file.

    Args:
        path: the file.
        array: name of the member that holds the bulk.
        progress: told how many bytes were read, of how many.

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
            return _read(Text(file, lambda done: progress(done, size)), path, array)
    except OSError as error:
        raise SourceError(f"{path}: it cannot be read ({error.strerror or error}); check its permissions") from error


def _read(text: Text, path: Path, array: str) -> Pieces:
    if text.peek() != "{":
        raise SourceError(f"{path}: this is no JSON object; name a trainer_state.json or a folder that holds one")
    pieces = Pieces()
    try:
        _read_object(text, pieces, array)
    except Stuck as stuck:
        pieces.unread = Unread(text.byte, str(stuck))
    text.drain()
    pieces.bytes, pieces.sha256 = text.bytes, text.sha256.hexdigest()
    return pieces


def _read_object(text: Text, pieces: Pieces, array: str) -> None:
    text.take("{")
    while text.peek() != "}":
        name = text.value()
        if not isinstance(name, str):
            raise Stuck("a name was due here")
        text.take(":")
        if name == array:
            pieces.items = None
        if name == array and text.peek() == "[":
            pieces.items = []
            _read_array(text, pieces.items)
        else:
            pieces.fields[name] = text.value()
        if text.peek() != "}":
            text.take(",")
    text.take("}")
    if text.peek():
        raise Stuck("something follows the end of the JSON object")


def _read_array(text: Text, items: list[Any]) -> None:
    text.take("[")
    while text.peek() != "]":
        if several := text.values():
            items += several
        else:
            items.append(text.value())
        if text.peek() != "]":
            text.take(",")
    text.take("]")
