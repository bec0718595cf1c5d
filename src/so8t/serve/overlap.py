"""Tells whether an answer repeats the thinking word for word.

Both are compared as four streams: characters, letters alone, Japanese characters alone, words. An answer repeats the
thinking when a run of the limit's length of one stream stands in both, forwards or backwards. What the user wrote does
not count: stretches of a quarter of the limit or longer that stand in the query are taken out of both sides first.

A paraphrase or a translation is not found this way, nor by any other check of text; see the guide to operating /think.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from so8t.errors import ConfigError

__all__ = ["OverlapLimits", "base64_texts", "repeats"]

_Codes = NDArray[np.uint64]
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_INVERSE = pow(_BASE, -1, 2**64)

_JAPANESE = (
    (0x3005, 0x3007),
    (0x3041, 0x309F),
    (0x30A1, 0x30FA),
    (0x30FC, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0x20000, 0x3FFFF),
)
"""Code points of kana and kanji, both ends included."""
_LETTER, _KANA_OR_KANJI = 1, 2
_ORDINARY = 1 << 14  # characters; longer texts pay for their own powers
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}")


@dataclass(frozen=True)
class OverlapLimits:
    """Lengths from which a common run counts as repeating.

    Attributes:
        characters: characters of any kind, white space counted once; the same number holds for letters alone.
        japanese: kana and kanji.
        words: words.

    Raises:
        ConfigError: a limit is below 4.
    """

    characters: int = 64
    japanese: int = 40
    words: int = 12

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 4:
                raise ConfigError(f"overlap.{name} is {value}; give at least 4, or every answer repeats the thinking")


def repeats(answer: str, thinking: str, query: str, limits: OverlapLimits) -> bool:
    """Tell whether the answer holds a long run of the thinking that is not the user's own text.

    Args:
        answer: plainest reading of the final part (`so8t.serve.disguise.readings`).
        thinking: plainest reading of all thinking.
        query: plainest reading of what the user wrote.
        limits: from which length a run counts.

    Returns:
        True if there is such a run. A collision of hashes, of a chance of 2^-64 per pair, errs on this side.

    Example:
        >>> thought = "the user wants to know where the spare key is hidden in the old house"
        >>> repeats(f"I think {thought}.", thought, "", OverlapLimits())
        True
        >>> repeats(f"I think {thought}.", thought, f"Say {thought}!", OverlapLimits())
        False
    """
    a, t, q = map(_Streams, (answer, thinking, query))
    return (
        _share_a_run(a.characters, t.characters, lambda: q.characters, limits.characters)
        or _share_a_run(a.letters, t.letters, lambda: q.letters, limits.characters)
        or _share_a_run(a.japanese, t.japanese, lambda: q.japanese, limits.japanese)
        or _share_a_run(a.words, t.words, lambda: q.words, limits.words)
    )


def base64_texts(answer: str) -> list[str]:
    """Decode what looks like Base64, line ends ignored.

    Args:
        answer: the final part, verbatim.

    Returns:
        The decoded texts; bytes that are not UTF-8 are dropped.

    Example:
        >>> base64_texts("See: VGhlIHNwYXJlIGtleSBpcyB1bmRlciB0aGUgcG90")
        ['The spare key is under the pot']
    """
    joined = "".join(line.strip() for line in answer.splitlines())
    return [_decoded(run.translate(_URL_SAFE)) for run in _BASE64.findall(joined)]


_URL_SAFE = str.maketrans("-_", "+/")


def _decoded(run: str) -> str:
    whole = run[: len(run) - (len(run) % 4 == 1)]
    return base64.b64decode(whole + "=" * (-len(whole) % 4)).decode("utf-8", "ignore")


def _share_a_run(answer: _Codes, thinking: _Codes, query: Callable[[], _Codes], length: int) -> bool:
    if min(len(answer), len(thinking)) < length or not _may_share(answer, thinking, length // 2):
        return False
    known = _runs(query(), length // 4)
    answer, thinking = _without(answer, known, length // 4), _without(thinking, known, length // 4)
    return bool(_among(_runs(thinking, length), _both_ways(answer, length)).any())


def _may_share(answer: _Codes, thinking: _Codes, half: int) -> bool:
    """Rule out, cheaply, a common run of twice `half`: it would hold one of the answer's blocks whole."""
    return bool(_among(_runs(thinking, half), _both_ways(answer, half, step=half)).any())


def _both_ways(codes: _Codes, length: int, step: int = 1) -> _Codes:
    return np.concatenate([_runs(codes, length)[::step], _runs(codes[::-1], length)[::step]])


def _among(hashes: _Codes, wanted: _Codes) -> NDArray[np.bool_]:
    """Tell of each hash whether it is wanted."""
    if not len(wanted):
        return np.zeros(len(hashes), dtype=bool)
    ordered = np.sort(wanted)
    nearest = np.searchsorted(ordered, hashes).clip(max=len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[nearest] == hashes
    return found


def _without(codes: _Codes, known: _Codes, length: int) -> _Codes:
    """Take out every stretch of this length whose hash is known."""
    hits = np.flatnonzero(_among(_runs(codes, length), known))
    if not len(hits):
        return codes
    edges = np.zeros(len(codes) + 1, dtype=np.int64)
    np.add.at(edges, hits, 1)
    np.add.at(edges, hits + length, -1)
    kept: _Codes = codes[np.cumsum(edges[:-1]) == 0]
    return kept


def _runs(codes: _Codes, length: int) -> _Codes:
    """Hash every run of `length` codes."""
    count = max(len(codes) - length + 1, 0)
    prefix = _prefix(codes)
    return (prefix[length : length + count] - prefix[:count]) * _powers(_INVERSE, count)


def _stretches(codes: _Codes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> _Codes:
    """Hash stretches of codes of any length."""
    prefix = _prefix(codes)
    return (prefix[ends] - prefix[starts]) * _powers(_INVERSE, len(codes))[starts]


def _prefix(codes: _Codes) -> _Codes:
    """Sums whose differences, times a power of the inverse, are polynomial hashes modulo 2^64."""
    prefix = np.empty(len(codes) + 1, dtype=np.uint64)
    prefix[0] = 0
    np.cumsum(codes * _powers(_BASE, len(codes)), out=prefix[1:])
    return prefix


def _powers(base: int, count: int) -> _Codes:
    """The powers of a base modulo 2^64, from 0; those for ordinary texts are computed once."""
    return _ordinary_powers(base)[:count] if count <= _ORDINARY else _computed_powers(base, count)


@cache
def _ordinary_powers(base: int) -> _Codes:
    return _computed_powers(base, _ORDINARY)


def _computed_powers(base: int, count: int) -> _Codes:
    powers = np.full(count, base, dtype=np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)


class _Streams:
    """The streams of one text, each made when it is asked for."""

    def __init__(self, text: str) -> None:
        self.characters = _codes(" ".join(text.split()))
        self._kinds = _kinds()[self.characters]

    @cached_property
    def letters(self) -> _Codes:
        return self._of_kind(_LETTER)

    @cached_property
    def japanese(self) -> _Codes:
        return self._of_kind(_KANA_OR_KANJI)

    def _of_kind(self, least: int) -> _Codes:
        chosen: _Codes = self.characters[self._kinds >= least]
        return chosen

    @cached_property
    def words(self) -> _Codes:
        inside = np.zeros(len(self.characters) + 2, dtype=np.int8)
        inside[1:-1] = self._kinds >= _LETTER
        edges = np.diff(inside)
        return _stretches(self.characters, np.flatnonzero(edges == 1), np.flatnonzero(edges == -1))


def _codes(text: str) -> _Codes:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)


@cache
def _kinds() -> NDArray[np.uint8]:
    """Give the kind of every code point."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for code in range(0x20000):
        if chr(code).isalnum():
            table[code] = _LETTER
    for first, last in _JAPANESE:
        table[first : last + 1] = _KANA_OR_KANJI
    return table
