"""The lines of a data file, which must be plain UTF-8; what is not is refused by name and place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from so8t.errors import DataError

__all__ = ["numbered_lines"]

_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def numbered_lines(path: Path, digest: hashlib._Hash) -> Iterator[tuple[int, bytes]]:
    """Read a file line by line, leaving blank ones out.

    Args:
        path: the file.
        digest: fed every byte of it, those of blank lines too.

    Yields:
        Number, counted from 1 over all lines, and bytes of each line.

    Raises:
        DataError: there is no such file, it is a folder, cannot be read, or is not UTF-8 without a byte order mark.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                digest.update(line)
                _check_encoding(path, number, line)
                if line.strip():
                    yield number, line
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: check the path") from error
    except OSError as error:
        if path.is_dir():
            raise DataError(f"{path} is a folder; name the .jsonl file in it") from error
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _check_encoding(path: Path, number: int, line: bytes) -> None:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if number == 1 and line.startswith(mark):
            raise DataError(f"{path} begins with a {encoding} byte order mark; save it as UTF-8 without BOM")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number} is not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start + 1}); "
            "convert the file, for example: iconv -f CP932 -t UTF-8 old.jsonl > new.jsonl"
        ) from error
