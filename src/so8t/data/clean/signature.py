"""What of a text is compared with other texts: a digest for equal ones, MinHash for similar ones.

MinHash: the share of equal numbers in two signatures estimates the share of five-character pieces the texts have in
common (their Jaccard similarity; A. Broder, On the resemblance and containment of documents, 1997). Characters and not
words, because Japanese does not part its words.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import datetime

import numpy as np
import numpy.typing as npt
from datatrove.data import Document

BANDS, ROWS = 16, 8
"""Two texts are compared where all eight numbers of one of sixteen bands are equal: 95 % of pairs with 0.8 shared."""

SIGNATURE = np.dtype([("digest", "S32"), ("tier", "u1"), ("retrieved", "i8"), ("minhash", "u4", (BANDS * ROWS,))])
"""One text: SHA-256 of its normal form, trust tier (255: unknown), retrieval time (seconds, 0: unknown), MinHash."""

_PIECE = 5
_BESIDE_WORDS = re.compile(r"[\W_]+")
_RANDOM = np.random.RandomState(20_251_103)
_FACTORS = _RANDOM.randint(0, 2**63, size=BANDS * ROWS, dtype=np.int64).astype(np.uint64) * np.uint64(2) + np.uint64(1)
_TERMS = _RANDOM.randint(0, 2**63, size=BANDS * ROWS, dtype=np.int64).astype(np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_CHUNK = 4_096


def signature(document: Document) -> tuple[bytes, int, int, npt.NDArray[np.uint32]]:
    """A document's signature, as `SIGNATURE` has it."""
    text = compared(document.text)
    tier = document.metadata.get("tier") or ""
    return (
        hashlib.sha256(text.encode()).digest(),
        min(int(tier), 254) if tier.isascii() and tier.isdigit() else 255,
        _seconds(document.metadata.get("retrieved_at")),
        minhash(text),
    )


def compared(text: str) -> str:
    """A text without what makes no difference: case, punctuation, white space.

    Example:
        >>> compared("Ａ new\\nDAY, 新しい日。") == compared("a new day 新しい日")
        True
    """
    return _BESIDE_WORDS.sub("", unicodedata.normalize("NFKC", text).casefold())


def minhash(text: str) -> npt.NDArray[np.uint32]:
    """The smallest of each of 128 hash values over all pieces of five characters: uint32 of shape [128]."""
    pieces = _pieces(text)
    smallest = np.full(BANDS * ROWS, np.iinfo(np.uint32).max, dtype=np.uint32)
    for start in range(0, len(pieces), _CHUNK):
        chunk = pieces[start : start + _CHUNK, None]
        hashed = ((chunk * _FACTORS + _TERMS) >> np.uint64(32)).astype(np.uint32)
        smallest = np.minimum(smallest, hashed.min(axis=0))
    return smallest


def similarity(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> float:
    """The estimated share of pieces in common.

    Example:
        >>> similarity(minhash("abcdefghij"), minhash("abcdefghij"))
        1.0
    """
    return float(np.mean(one == other))


def _pieces(text: str) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of every piece, once."""
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    count = max(1, len(characters) - _PIECE + 1)
    hashed = np.zeros(count, dtype=np.uint64)
    for offset in range(min(_PIECE, len(characters))):
        hashed = (hashed ^ characters[offset : offset + count]) * _MIX
        hashed ^= hashed >> np.uint64(29)
    return np.unique(hashed)


def _seconds(moment: str | None) -> int:
    try:
        return int(datetime.fromisoformat(moment).timestamp()) if moment else 0
    except (ValueError, OverflowError, OSError):
        return 0
