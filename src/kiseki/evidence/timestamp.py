"""RFC 3161 time stamps in two offline steps: make a request, keep the token that an authority gave for it.

A token says that a digest existed no later than a moment. Nothing is sent from here; the authority's signature is
checked with `openssl ts -verify` and the authority's certificate, which whoever checks must get from the authority.
The few pieces of DER that are needed are written and read here (ITU-T X.690; RFC 3161, section 2.4).
"""

from collections.abc import Iterator
from typing import NamedTuple

LARGEST_TOKEN = 1 << 18

_INTEGER, _BOOLEAN, _OCTETS, _OID, _SEQUENCE, _TIME = 0x02, 0x01, 0x04, 0x06, 0x30, 0x18
_CONTEXT_0 = 0xA0
_SHA256 = bytes.fromhex("608648016503040201")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_TST_INFO = bytes.fromhex("2a864886f70d0109100104")
_GRANTED = (0, 1)


class NotAToken(ValueError):
    """The bytes are no RFC 3161 response with a token over a SHA-256; the text says why."""


class Token(NamedTuple):
    """What a time-stamp token says.

    Attributes:
        sha256: the digest that was stamped, hexadecimal.
        moment: `YYYY-MM-DDTHH:MM:SS[.fff]Z`, as the authority says.
    """

    sha256: str
    moment: str


def request(sha256: str) -> bytes:
    """A time-stamp request over a digest, for `curl --data-binary` or the authority's own way in.

    It asks for the authority's certificate in the answer, and holds no nonce: the answer is recognised by the digest.

    Example:
        >>> len(request("00" * 32))
        59
    """
    algorithm = _der(_SEQUENCE, _der(_OID, _SHA256), b"\x05\x00")
    imprint = _der(_SEQUENCE, algorithm, _der(_OCTETS, bytes.fromhex(sha256)))
    return _der(_SEQUENCE, _der(_INTEGER, b"\x01"), imprint, _der(_BOOLEAN, b"\xff"))


def read_response(response: bytes) -> Token:
    """What the authority's answer (a `.tsr` file) says. Its signature is not checked here.

    Raises:
        NotAToken: it was refused, is over another kind of digest, or cannot be read.
    """
    if len(response) > LARGEST_TOKEN:
        raise NotAToken(f"it is larger than {LARGEST_TOKEN} bytes")
    if response[:1] != bytes((_SEQUENCE,)):
        raise NotAToken("it does not begin as one")
    try:
        status, *tokens = _items(_one(response, _SEQUENCE))
        if status.tag == _INTEGER:  # a request begins with its version
            raise NotAToken("it is a request, which is for the authority to answer")
        granted = int.from_bytes(next(_items(status.content)).content, "big")
        if granted not in _GRANTED:
            raise NotAToken(f"the authority refused (status {granted})")
        (token,) = tokens
        return _token_info(token)
    except NotAToken:
        raise
    except (StopIteration, IndexError, ValueError) as error:
        raise NotAToken("it is cut off, or built otherwise than RFC 3161 says") from error


class _Item(NamedTuple):
    tag: int
    content: bytes


def _token_info(token: _Item) -> Token:
    kind, signed = _pair(token.content)
    if kind.content != _SIGNED_DATA:
        raise NotAToken("it holds no signed data")
    _, _, encapsulated, *_ = _items(_one(signed.content, _SEQUENCE))
    kind, wrapped = _pair(encapsulated.content)
    if kind.content != _TST_INFO:
        raise NotAToken("it holds no time-stamp token")
    info = _one(_one(wrapped.content, _OCTETS), _SEQUENCE)
    _, _, imprint, _, moment, *_ = _items(info)
    algorithm, digest = _pair(imprint.content)
    if next(_items(algorithm.content)).content != _SHA256 or len(digest.content) != 32 or moment.tag != _TIME:
        raise NotAToken("it is no token over a SHA-256")
    return Token(digest.content.hex(), _moment(moment.content.decode("ascii")))


def _moment(text: str) -> str:
    if len(text) < 15 or not text[:14].isdigit() or not text.endswith("Z"):
        raise NotAToken(f"its time cannot be read: {text[:40]!r}")
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:]}"


def _der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    if len(content) >= 0x80:
        raise ValueError("only short forms are written here")
    return bytes((tag, len(content))) + content


def _items(content: bytes) -> Iterator[_Item]:
    at = 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length >= 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 4:
                raise NotAToken("a length in it cannot be read")
            length, at = int.from_bytes(content[at : at + octets], "big"), at + octets
        if at + length > len(content):
            raise NotAToken("it is cut off")
        yield _Item(tag, content[at : at + length])
        at += length


def _one(content: bytes, tag: int) -> bytes:
    """The content of the only item, which must have this tag."""
    item, *more = _items(content)
    if more or item.tag != tag:
        raise NotAToken("something in it is of another kind than expected")
    return item.content


def _pair(content: bytes) -> tuple[_Item, _Item]:
    first, second, *_ = _items(content)
    return first, second
