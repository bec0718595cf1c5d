"""DSSE: a payload, its type, and signatures over both.

What is signed are bytes, the pre-authentication encoding, so nothing has to be brought into a canonical form before a
signature is checked: exactly the bytes that were verified are the ones that are read. (That is why there is no JCS
here.) Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import binascii
import re
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kiseki.evidence.keys import key_id
from kiseki.evidence.strict_json import NotStrict, decode

PAYLOAD_TYPE = "application/vnd.in-toto+json"

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_MOST_SIGNATURES = 16


class Signature(msgspec.Struct):
    """One signature; its key id is a hint and is never trusted."""

    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct):
    payload: str
    payloadType: str  # noqa: N815 - the name DSSE gives it
    signatures: list[Signature]


class Envelope(NamedTuple):
    """An envelope that was read; nothing is verified yet.

    Attributes:
        payload: what is signed, as bytes.
        signatures: raw signatures, in the order in which they stand.
    """

    payload: bytes
    signatures: tuple[bytes, ...]


class NotAnEnvelope(ValueError):
    """The bytes are no DSSE envelope around an in-toto statement; the text says why."""


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """The bytes that are signed.

    Example:
        >>> pae(b"hello world", "http://example.com/HelloWorld")
        b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """The raw signature of a payload; the same every time, since Ed25519 takes no random number."""
    return key.sign(pae(payload))


def encode(payload: bytes, signature: bytes, keyid: str) -> bytes:
    """The one envelope that kiseki writes for a payload and its signature."""
    whole = {
        "payload": base64.b64encode(payload).decode("ascii"),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode("ascii")}],
    }
    return msgspec.json.encode(whole) + b"\n"


def parse(content: bytes) -> Envelope:
    """Read an envelope as DSSE says: unknown fields are passed over, both alphabets of base64 are taken.

    Raises:
        NotAnEnvelope: no JSON of that form, a key that stands twice, another payload type, no signature.
    """
    try:
        whole = decode(content, _Envelope)
    except NotStrict as error:
        raise NotAnEnvelope(str(error)) from error
    if whole.payloadType != PAYLOAD_TYPE:
        raise NotAnEnvelope(f"the payload type is {whole.payloadType[:80]!r}, not {PAYLOAD_TYPE!r}")
    if not 1 <= len(whole.signatures) <= _MOST_SIGNATURES:
        raise NotAnEnvelope(f"it holds {len(whole.signatures)} signatures")
    return Envelope(_from_base64(whole.payload), tuple(_from_base64(one.sig) for one in whole.signatures))


def verifies(envelope: Envelope, key: Ed25519PublicKey) -> bool:
    """Whether one of the signatures is this key's over this payload."""
    signed = pae(envelope.payload)
    return any(is_signature(signature, signed, key) for signature in envelope.signatures)


def is_signature(signature: bytes, signed: bytes, key: Ed25519PublicKey) -> bool:
    """Whether it is this key's Ed25519 signature over these bytes."""
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def canonical(envelope: Envelope, key: Ed25519PublicKey) -> bytes:
    """The envelope as kiseki would have written it for its first signature and this key."""
    return encode(envelope.payload, envelope.signatures[0], key_id(key))


def _from_base64(text: str) -> bytes:
    standard = text.replace("-", "+").replace("_", "/")
    if not _BASE64.fullmatch(standard):
        raise NotAnEnvelope("it holds something that is no base64")
    try:
        return base64.b64decode(standard.rstrip("=") + "=" * (-len(standard.rstrip("=")) % 4), validate=True)
    except binascii.Error as error:
        raise NotAnEnvelope(f"it holds something that is no base64: {error}") from error
