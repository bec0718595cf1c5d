"""One spelling of a text for the rules, with the way back to the text itself.

Full- and half-width letters become one (NFKC), every dash a hyphen, every space a space, every digit one of 0-9, and
every kanji of a name the usual one, and
what cannot be seen is left out. `origin` says for each character where in the text it came from.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_DASHES = frozenset("‐‑‒–—―−﹘⁃─━‑﹣－")
_VOICED = frozenset("\u3099\u309a\uff9e\uff9f")
_INVISIBLE = frozenset({"Cf", "Cc", "Cs", "Mn"})  # format, control and combining characters
# What registers of families write, and what everybody else writes: 髙橋 is 高橋.
_VARIANT_KANJI = str.maketrans(
    "髙﨑碕濵濱邊邉齋齊澤嶋嶌櫻廣國眞德榮渕瀨瀧龍惠曾冨峯舘桒𠮷圓條淺",
    "高崎崎浜浜辺辺斎斎沢島島桜広国真徳栄淵瀬滝竜恵曽富峰館桑吉円条浅",
)
_PLAIN = re.compile(r"[\x20-\x7e\n]*")
_UNCHANGED = re.compile("(?:[\x20-\x7e\nぁ-んァ-ヴー一-龥々、。「」](?![\u3099\u309a\uff9e\uff9f]))+")
# Between digits the long vowel mark of katakana is a hyphen typed on a Japanese keyboard.
_LONG_VOWEL_AS_HYPHEN = re.compile(r"(?<=[0-9])ー(?= ?[0-9])")


@dataclass(frozen=True, slots=True)
class Folded:
    """A text in the one spelling.

    Attributes:
        text: the spelling.
        origin: for each character of `text` the offset it came from; one more entry than characters.
    """

    text: str
    origin: tuple[int, ...] | range

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """The offsets in the source of `text[start:end]`, which must not be empty."""
        first, last = self.origin[start], self.origin[end - 1]
        # what came from the same character, and what is invisible behind it, belongs to it
        while self.origin[end] == last:
            end += 1
        return first, self.origin[end]


def fold(text: str) -> Folded:
    r"""Spell a text in the one way.

    Example:
        >>> folded = fold("電話０３ー１２３４—5678")
        >>> folded.text
        '電話03-1234-5678'
        >>> folded.source_span(2, 5)
        (2, 5)
    """
    if _PLAIN.fullmatch(text):
        return Folded(text, range(len(text) + 1))
    pieces: list[str] = []
    origin: list[int] = []
    position, length = 0, len(text)
    while position < length:
        if run := _UNCHANGED.match(text, position):
            pieces.append(run[0])
            origin.extend(range(position, run.end()))
            position = run.end()
            continue
        end = position + 1
        while end < length and text[end] in _VOICED:
            end += 1
        piece = _spelling(text[position:end])
        pieces.append(piece)
        origin.extend([position] * len(piece))
        position = end
    origin.append(length)
    spelled = _LONG_VOWEL_AS_HYPHEN.sub("-", "".join(pieces)).translate(_VARIANT_KANJI)
    return Folded(spelled, tuple(origin))


@lru_cache(maxsize=65_536)
def _spelling(cluster: str) -> str:
    return "".join(map(_one_spelling, unicodedata.normalize("NFKC", cluster)))


def _one_spelling(character: str) -> str:
    if character == "\n" or (character.isascii() and character.isprintable()):
        return character
    if character in _DASHES:
        return "-"
    if character.isspace():
        return "" if character == "\r" else "\n" if character in "\u2028\u2029\u0085\v\f" else " "
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return "" if unicodedata.category(character) in _INVISIBLE and character not in _VOICED else character
