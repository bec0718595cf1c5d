"""Texts as sparse vectors of hashed character n-grams: needs no word boundaries, which Japanese does not have.

Two texts that differ only in width, case, invisible characters, digits or kinds of white space have equal vectors. The
hash is our own, in numpy: the same on every machine, and prediction needs no library for learning.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BUCKETS", "NGRAMS", "FeatureRows", "SparseVector", "feature_rows", "features", "normalise"]

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


class FeatureRows(NamedTuple):
    """The vectors of several texts, a row each, padded to equal length.

    Attributes:
        columns: [texts, n-grams], uint32, ascending in each row; a bucket stands there as often as it was hit, and
            `BUCKETS` where the text has no more n-grams.
        values: [texts, n-grams], float32, 1 + ln n where a bucket that was hit n times stands first; else 0.
    """

    columns: NDArray[np.uint32]
    values: NDArray[np.float32]


def normalise(text: str) -> str:
    """What the n-grams are taken from: NFKC, case folded, without invisible characters, digits as 0, spaces single.

    Example:
        >>> normalise("Ｐart\\u200b 12  of\\n３")
        'part 00 of 0'
    """
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if not folded.isprintable():  # no invisible character is, and looking at each takes most of the time
        visible = "".join(character for character in folded if unicodedata.category(character) != "Cf")
        folded = " ".join(visible.split())
    return re.sub(r"\d", "0", folded)


def features(text: str) -> SparseVector:
    """Count the hashed n-grams of a text; the counts' growth is damped.

    Args:
        text: any text, also an empty one or one with lone surrogates.

    Example:
        >>> a, b = features("ＡＢＣ  1"), features("abc 7")
        >>> bool((a.columns == b.columns).all() and (a.values == b.values).all())
        True
    """
    rows = feature_rows([text])
    first = rows.values > 0
    return SparseVector(rows.columns[first].astype(np.int64), rows.values[first])


def feature_rows(texts: Sequence[str]) -> FeatureRows:
    """Count the hashed n-grams of several texts in one pass; each text counts for itself.

    Args:
        texts: at least one, any texts. Every row takes as much memory as the longest.

    Example:
        >>> rows = feature_rows(["a longer text", "abc"])
        >>> bool((rows.columns[1][rows.values[1] > 0] == features("abc").columns).all())
        True
    """
    columns = _buckets([f" {normalise(text)} " for text in texts])
    columns.sort(axis=1)
    flat = columns.ravel()
    is_edge = np.ones(flat.size + 1, dtype=bool)  # every row ends in `BUCKETS`, so that none runs into the next
    np.not_equal(flat[1:], flat[:-1], out=is_edge[1:-1])
    edges = np.flatnonzero(is_edge)
    values = np.zeros(flat.size, dtype=np.float32)
    values[edges[:-1]] = 1.0 + np.log(edges[1:] - edges[:-1])
    values *= flat != BUCKETS
    return FeatureRows(columns, values.reshape(columns.shape))


def _buckets(padded: Sequence[str]) -> NDArray[np.uint32]:
    """The bucket of each n-gram, a text each row: FNV-1a over whole characters, in step for all positions and lengths.

    `BUCKETS` stands where an n-gram would reach beyond its text.
    """
    lengths = np.array([len(text) for text in padded])
    positions = int(lengths.max()) - NGRAMS[0] + 1
    joined = "".join(text.ljust(positions + NGRAMS[-1]) for text in padded)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    codes = codes.reshape(len(padded), 1, positions + NGRAMS[-1])
    n = np.array(NGRAMS)[:, np.newaxis]
    state = np.empty((len(padded), len(NGRAMS), positions), dtype=np.uint64)
    state[:] = _OFFSET ^ n.astype(np.uint64)
    for offset in range(NGRAMS[-1]):
        longer = state[:, bisect_right(NGRAMS, offset) :]
        longer ^= codes[:, :, offset : offset + positions]
        longer *= _PRIME
    state *= _AVALANCHE
    state >>= _TOP_BITS
    buckets = state.astype(np.uint32)
    buckets[np.arange(positions) + n > lengths[:, np.newaxis, np.newaxis]] = BUCKETS
    return buckets.reshape(len(padded), -1)
