"""One line of the journal: `{KIND:PAYLOAD,"seq":N,"crc":"xxxxxxxx"}` and a newline. docs/format.md shows the bytes.

The CRC-32 covers the line's bytes before `,"crc"`. It finds accidents, not tampering: that is what seals are for.
"""

import zlib
from typing import NamedTuple

OPEN, ROW, EVAL, NOTE, SEAL, CLOSE = "open", "row", "eval", "note", "seal", "close"

_TAIL_LENGTH = len(b',"crc":"00000000"}')
_MAX_SEQ_DIGITS = 20


class Line(NamedTuple):
    """A line that was read back and whose CRC is right."""

    kind: str
    payload: bytes
    seq: int


def frame(kind: str, payload: bytes, seq: int) -> bytes:
    """The bytes of one line, newline included.

    Args:
        kind: what the line carries, one of the constants above.
        payload: one JSON object, UTF-8, without newlines.
        seq: the line's number in the journal, from 0.

    Example:
        >>> frame("note", b'{"kind":"phase"}', 7)
        b'{"note":{"kind":"phase"},"seq":7,"crc":"f540ef5d"}\\n'
    """
    body = b'{"%b":%b,"seq":%d' % (kind.encode("ascii"), payload, seq)
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def parse(raw: bytes) -> Line | None:
    """Read one line, without its newline; None when it is not whole or its CRC is wrong.

    Example:
        >>> parse(frame("row", b'{"step":1}', 3)[:-1])
        Line(kind='row', payload=b'{"step":1}', seq=3)
        >>> parse(b'{"row":{"step":1},"seq":3,"crc":"00000000"}') is None
        True
    """
    body = raw[:-_TAIL_LENGTH]
    if raw[len(body) :] != b',"crc":"%08x"}' % zlib.crc32(body):
        return None
    kind_end = body.find(b'":', 2)
    seq_start = body.rfind(b',"seq":', -_MAX_SEQ_DIGITS - len(b',"seq":'))
    if body[:2] != b'{"' or kind_end < 0 or seq_start < kind_end:
        return None
    digits = body[seq_start + len(b',"seq":') :]
    if not digits.isdigit():
        return None
    return Line(body[2:kind_end].decode("ascii", "replace"), body[kind_end + 2 : seq_start], int(digits))
