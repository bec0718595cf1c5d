"""Japanese and English, told by script and by the commonest words; everything else is left out."""

from __future__ import annotations

import re

from datatrove.data import Document

from so8t.data.clean.block import Block

_KANA = re.compile("[ぁ-んァ-ヴー]")
_KANJI = re.compile("[一-龥々]")
_LETTER = re.compile(r"[^\W\d_]")
_LATIN = re.compile("[A-Za-z]")
_WORD = re.compile(r"[^\W\d_]+")
# fmt: off
_COMMON_ENGLISH = frozenset((
    "the", "of", "and", "to", "in", "is", "that", "it", "for", "as", "was", "with", "be", "by", "on", "are",
    "this", "at", "from", "or", "an", "which", "not", "have", "has", "you", "your", "we", "can", "will",
    "their", "its", "but", "were", "been", "they", "all", "if", "more", "when", "there", "one",
))
# fmt: on
_LEAST_KANA = 0.12
"""Share of kana among letters: Japanese prose has half or more, Chinese none, a law or a list of terms little."""
_LEAST_LATIN = 0.9
_LEAST_COMMON = 0.2
"""The words above are a third of English prose and more; of other languages in Latin letters a tenth."""


class Language(Block):
    """Leaves out what is neither Japanese nor English, and notes which of the two a text is."""

    name = "language"

    def judge(self, document: Document) -> str | None:
        """Note the language."""
        language = detect(document.text)
        document.metadata["language"] = language
        return None if language else "other language"


def detect(text: str) -> str | None:
    """The language of a text: "ja", "en" or None.

    Example:
        >>> detect("今日は良い天気です。"), detect("The weather is fine and it will be so."), detect("今天天气很好")
        ('ja', 'en', None)
        >>> detect("Das Wetter ist heute schön und bleibt auch so.") is None
        True
    """
    letters = len(_LETTER.findall(text))
    if not letters:
        return None
    kana, kanji = len(_KANA.findall(text)), len(_KANJI.findall(text))
    if kana / letters >= _LEAST_KANA and (kana + kanji) / letters >= 0.5:
        return "ja"
    if len(_LATIN.findall(text)) / letters < _LEAST_LATIN:
        return None
    words = [word.lower() for word in _WORD.findall(text)]
    return "en" if sum(word in _COMMON_ENGLISH for word in words) / len(words) >= _LEAST_COMMON else None
