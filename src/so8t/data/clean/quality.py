"""Length and quality: what is no text somebody wrote for others to read is left out."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

from datatrove.data import Document

from so8t.data.clean.block import Block
from so8t.data.clean.settings import Settings

_LETTER = re.compile(r"[^\W\d_]")
_VISIBLE = re.compile(r"\S")
_SENTENCE_END = {
    "ja": re.compile(r"[。!?]|(?:です|ます|である|した|する|ない)\s*$", re.MULTILINE),
    "en": re.compile(r"[.!?](?:\s|$)"),
}
_UNREADABLE = "\ufffd"
_MOST_UNREADABLE = 0.001
_LEAST_LETTERS = 0.5
_LEAST_COMPRESSED = 0.12
"""Prose shrinks to a third; what shrinks to an eighth says the same again and again."""
_COMPRESSIBLE_BYTES = 1_000
_MOST_CHARACTERS_PER_SENTENCE = {"ja": 400, "en": 1_000}


class Quality(Block):
    """Leaves out what is too short, too long, garbled, repetitive, or no prose.

    Args:
        settings: with the lengths.
    """

    name = "quality"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._shortest = {"ja": settings.shortest_ja, "en": settings.shortest_en}
        self._longest = settings.longest

    def judge(self, document: Document) -> str | None:
        """Measure the text."""
        return fault(document.text, document.metadata["language"], self._shortest, self._longest)


def fault(text: str, language: str, shortest: Mapping[str, int], longest: int) -> str | None:
    """Why a text is not wanted, or None.

    Example:
        >>> fault("短い。", "ja", {"ja": 50}, 1000), fault("あ" * 500 + "。", "ja", {"ja": 50}, 1000)
        ('too short', 'repetitive')
    """
    if len(text) < shortest[language]:
        return "too short"
    if len(text) > longest:
        return "too long"
    if text.count(_UNREADABLE) > _MOST_UNREADABLE * len(text):
        return "garbled"
    if len(_LETTER.findall(text)) < _LEAST_LETTERS * len(_VISIBLE.findall(text)):
        return "few letters"
    encoded = text.encode()
    if len(encoded) >= _COMPRESSIBLE_BYTES and len(zlib.compress(encoded)) < _LEAST_COMPRESSED * len(encoded):
        return "repetitive"
    sentences = len(_SENTENCE_END[language].findall(text))
    if sentences * _MOST_CHARACTERS_PER_SENTENCE[language] < len(text):
        return "no sentences"
    return None
