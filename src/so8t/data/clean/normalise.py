"""One spelling for all texts: NFKC, no control or invisible characters, no stray white space."""

from __future__ import annotations

import re
import unicodedata

from datatrove.data import Document

from so8t.data.clean.block import Block

_LINE_ENDS = re.compile("\r\n|[\r\v\f\u0085\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SPACES = re.compile(r"[^\S\n]+")
_SPACE_AT_LINE_END = re.compile(r" *\n *")
_EMPTY_LINES = re.compile(r"\n{3,}")


class Normalise(Block):
    """Spells texts and titles in the one way."""

    name = "normalise"

    def judge(self, document: Document) -> str | None:
        """Replace the text by its normal form."""
        document.text = normalise(document.text)
        if document.metadata.get("title"):
            document.metadata["title"] = normalise(document.metadata["title"])
        return None if document.text else "no text"


def normalise(text: str) -> str:
    r"""The normal form of a text.

    Example:
        >>> normalise("ＡＢＣ　１２３\r\n\u200bﾃｽﾄ \n\n\n\n終")
        'ABC 123\nテスト\n\n終'
    """
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text)))
    return _EMPTY_LINES.sub("\n\n", _SPACE_AT_LINE_END.sub("\n", _SPACES.sub(" ", text))).strip()
