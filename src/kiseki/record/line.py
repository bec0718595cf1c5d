"""One line of the journal: `{KIND:PAYLOAD,"seq":N,"crc":"xxxxxxxx"}` and a newline. docs/format.md shows the bytes.

The CRC-32 covers the line's bytes before `,"crc"`. It finds accidents, not tampering: that is what seals are for.
"""

from binascii import hexlify
from typing import NamedTuple
from zlib import crc32

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
    prefix, prefix_crc = _PREFIXES.get(kind) or _prefix(kind)
    numbered = b',"seq":%d' % seq
    crc = crc32(numbered, crc32(payload, prefix_crc))  # of the three in a row, without copying them together first
    return b"".join((prefix, payload, numbered, b',"crc":"', hexlify(crc.to_bytes(4, "big")), b'"}\n'))


def _prefix(kind: str) -> tuple[bytes, int]:
    prefix = b'{"%b":' % kind.encode("ascii")
    return prefix, crc32(prefix)


_PREFIXES = {kind: _prefix(kind) for kind in (OPEN, ROW, EVAL, NOTE, SEAL, CLOSE)}


def parse(raw: bytes, due: int = -1) -> Line | None:
    """Read one line, without its newline; None when it is not whole or its CRC is wrong.

    Args:
        raw: the line's bytes.
        due: the sequence number it should have; a line that has it is read more quickly.

    Example:
        >>> parse(frame("row", b'{"step":1}', 3)[:-1])
        Line(kind='row', payload=b'{"step":1}', seq=3)
        >>> parse(b'{"row":{"step":1},"seq":3,"crc":"00000000"}') is None
        True
    """
    body = raw[:-_TAIL_LENGTH]
    if raw[-_TAIL_LENGTH:] != b',"crc":"%08x"}' % crc32(body):
        return None
    numbered = b',"seq":%d' % due
    if body.endswith(numbered) and body.startswith(b'{"row":'):
        return Line(ROW, body[7 : -len(numbered)], due)
    seq_start = body.rfind(b',"seq":', -_MAX_SEQ_DIGITS - len(b',"seq":'))
    digits = body[seq_start + len(b',"seq":') :]
    kind_end = body.find(b'":', 2)
    if body[:2] != b'{"' or kind_end < 0 or seq_start <= kind_end or not digits.isdigit():
        return None
    return Line(body[2:kind_end].decode("ascii", "replace"), body[kind_end + 2 : seq_start], int(digits))
