"""Texts as sparse vectors of hashed character n-grams: needs no word boundaries, which Japanese does not have.

Two texts that differ only in width, case, invisible characters, digits or kinds of white space have equal vectors. The
hash is our own, in numpy: the same on every machine, and prediction needs no library for learning.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BUCKETS", "NGRAMS", "SparseVector", "features", "normalise"]

NGRAMS = (2, 3, 4, 5)
"""Lengths of the n-grams, in characters."""

BUCKETS = 1 << 18
"""Size of the space that n-grams are hashed into."""

_PRIME = np.uint64(0x100000001B3)  # FNV-1a's 64-bit prime
_OFFSET = np.uint64(0xCBF29CE484222325)
_AVALANCHE = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads the low bits over the high ones
_TOP_BITS = np.uint64(64 - 18)


class SparseVector(NamedTuple):
    """The non-zero part of a vector of `BUCKETS` numbers.

    Attributes:
        columns: int64, ascending, unique, each below `BUCKETS`.
        values: float32, of equal length, 1 + ln n where the bucket was hit n times.
    """

    columns: NDArray[np.int64]
    values: NDArray[np.float32]


def normalise(text: str) -> str:
    """What the n-grams are taken from: NFKC, case folded, without invisible characters, digits as 0, spaces single.

    Example:
        >>> normalise("Ｐart\\u200b 12  of\\n３")
        'part 00 of 0'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    if not folded.isascii():
        folded = "".join(character for character in folded if unicodedata.category(character) != "Cf")
    return re.sub(r"\d", "0", " ".join(folded.split()))


def features(text: str) -> SparseVector:
    """Count the hashed n-grams of a text; the counts' growth is damped.

    Args:
        text: any text, also an empty one or one with lone surrogates.

    Example:
        >>> a, b = features("ＡＢＣ  1"), features("abc 7")
        >>> bool((a.columns == b.columns).all() and (a.values == b.values).all())
        True
    """
    padded = f" {normalise(text)} "
    codes = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    hashes = [_hashes(codes, n) for n in NGRAMS if codes.size >= n]
    columns, counts = np.unique(np.concatenate(hashes), return_counts=True)
    return SparseVector(columns.astype(np.int64), (1.0 + np.log(counts)).astype(np.float32))


def _hashes(codes: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """The bucket of each n-gram: FNV-1a over whole characters, in step for all positions."""
    positions = codes.size - n + 1
    state = np.full(positions, _OFFSET ^ np.uint64(n), dtype=np.uint64)
    for offset in range(n):
        state = (state ^ codes[offset : offset + positions]) * _PRIME
    result: NDArray[np.uint64] = (state * _AVALANCHE) >> _TOP_BITS
    return result
