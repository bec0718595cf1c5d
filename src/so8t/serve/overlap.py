"""Tells whether an answer repeats the thinking word for word.

Both are compared as four streams: characters, letters alone, Japanese characters alone, words. An answer repeats the
thinking when a run of the limit's length of one stream stands in both, forwards or backwards. What the user wrote does
not count: stretches of a quarter of the limit or longer that stand in the query are taken out of both sides first.

A paraphrase or a translation is not found this way, nor by any other check of text; see the guide to operating /think.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from so8t.errors import ConfigError
from so8t.serve.run_hashes import Codes, among, blocks, runs, stretches

__all__ = ["OverlapLimits", "base64_texts", "repeats"]

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
_SPACE, _OTHER, _LETTER, _KANA_OR_KANJI = range(4)
_SHORTEST_BASE64 = 24
_BASE64 = re.compile(rf"[A-Za-z0-9+/]{{{_SHORTEST_BASE64},}}")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")
_URL_SAFE = str.maketrans("-_", "+/")


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
    """Decode what is or may be Base64.

    Each word that looks like it by itself; and all that the alphabet has, at each of the four alignments, because white
    space, line ends and quotation marks may stand within, and prose directly before it.

    Args:
        answer: the final part, verbatim.

    Returns:
        The decoded texts; bytes that are not UTF-8 are dropped, so that prose that is no Base64 becomes noise.

    Example:
        >>> base64_texts("See: VGhlIHNwYXJlIGtleSBpcyB1bmRlciB0aGUgcG90")[0]
        'The spare key is under the pot'
    """
    written = unicodedata.normalize("NFKC", answer).translate(_URL_SAFE)
    alphabet = _NOT_BASE64.sub("", written)
    if len(alphabet) < _SHORTEST_BASE64:
        return []
    joined = "".join(line.strip() for line in written.splitlines())
    return [_decoded(run) for run in (*_BASE64.findall(joined), *(alphabet[start:] for start in range(4)))]


def _decoded(run: str) -> str:
    whole = run[: len(run) - (len(run) % 4 == 1)]
    return base64.b64decode(whole + "=" * (-len(whole) % 4)).decode("utf-8", "ignore")


def _share_a_run(answer: Codes, thinking: Codes, query: Callable[[], Codes], length: int) -> bool:
    if min(len(answer), len(thinking)) < length or not _may_share(answer, thinking, length // 2):
        return False
    known = runs(query(), length // 4)
    answer, thinking = _without(answer, known, length // 4), _without(thinking, known, length // 4)
    both_ways = np.concatenate([runs(answer, length), runs(answer[::-1], length)])
    return bool(among(runs(thinking, length), both_ways).any())


def _may_share(answer: Codes, thinking: Codes, half: int) -> bool:
    """Rule out, cheaply, a common run of twice `half`: it would hold one of the answer's blocks whole."""
    both_ways = np.concatenate([blocks(answer, half), blocks(answer[::-1], half)])
    return bool(among(runs(thinking, half), both_ways).any())


def _without(codes: Codes, known: Codes, length: int) -> Codes:
    """Take out every stretch of this length whose hash is known."""
    hits = np.flatnonzero(among(runs(codes, length), known))
    if not len(hits):
        return codes
    edges = np.zeros(len(codes) + 1, dtype=np.int64)
    np.add.at(edges, hits, 1)
    np.add.at(edges, hits + length, -1)
    kept: Codes = codes[np.cumsum(edges[:-1]) == 0]
    return kept


class _Streams:
    """The streams of one text, each made when it is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _shown(self) -> tuple[Codes, NDArray[np.uint8]]:
        """The characters, white space counted once, and the kind of each."""
        codes = _codes(self._text.strip())
        kinds = _kinds().take(codes)
        is_kept = kinds != _SPACE
        codes = np.where(is_kept, codes, np.uint64(ord(" ")))
        is_kept[1:] |= is_kept[:-1]
        return codes[is_kept], kinds[is_kept]

    @property
    def characters(self) -> Codes:
        return self._shown[0]

    @cached_property
    def letters(self) -> Codes:
        return self._of_kind(_LETTER)

    @cached_property
    def japanese(self) -> Codes:
        return self._of_kind(_KANA_OR_KANJI)

    def _of_kind(self, least: int) -> Codes:
        codes, kinds = self._shown
        chosen: Codes = codes[kinds >= least]
        return chosen

    @cached_property
    def words(self) -> Codes:
        codes, kinds = self._shown
        inside = np.zeros(len(codes) + 2, dtype=np.int8)
        inside[1:-1] = kinds >= _LETTER
        edges = np.diff(inside)
        return stretches(codes, np.flatnonzero(edges == 1), np.flatnonzero(edges == -1))


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


@cache
def _kinds() -> NDArray[np.uint8]:
    """Give the kind of every code point."""
    table = np.full(0x110000, _OTHER, dtype=np.uint8)
    for code in range(0x20000):
        if chr(code).isalnum():
            table[code] = _LETTER
        elif chr(code).isspace():
            table[code] = _SPACE
    for first, last in _JAPANESE:
        table[first : last + 1] = _KANA_OR_KANJI
    return table
