"""Markings of confidential papers: a text that bears one is left out whole.

社外秘 and its kin are written for nothing else and count wherever they stand. 極秘, 機密 or "confidential" are words of
everyday texts too and count as a marking: alone on a line, in brackets, or in capitals.
"""

from __future__ import annotations

import re
import unicodedata

from datatrove.data import Document

from so8t.data.clean.block import Block


def _spaced(word: str) -> str:
    """The word, letters spaced out or not."""
    return r"[ ]?".join(map(re.escape, word))


_ALWAYS = re.compile("|".join(map(_spaced, ("社外秘", "部外秘", "厳秘", "関係者外秘", "社内限り", "取扱厳重注意"))))
_AS_A_MARKING = "|".join(
    [
        *map(
            _spaced,
            (
                "極秘",
                "機密",
                "機密情報",
                "秘密",
                "秘",
                "マル秘",
                "取扱注意",
                "対外秘",
                "複製禁止",
                "転送禁止",
                "関係者限り",
            ),
        )
    ]
)
_MARKING = re.compile(
    rf"^[ ]*(?:[*■◆●※=-]+[ ]*)?(?:{_AS_A_MARKING})(?:[ ]*[*■◆●※=-]+)?[ ]*$"
    rf"|[【\[(<〈《「](?:{_AS_A_MARKING})[】\])>〉》」]",
    re.MULTILINE,
)
_ENGLISH_WORDS = (
    r"(?:(?:strictly|highly|company|business|private (?:and|&)|proprietary (?:and|&)) )?confidential"
    r"|(?:for )?internal use only|(?:top )?secret(?:[ ]?//[ A-Z/]+)?|company secret|proprietary information"
    r"|do not distribute|not for distribution"
    r"|attorney[- ]client privileged"
)
_ENGLISH_MARKING = re.compile(
    rf"^[ ]*(?:[*=-]+[ ]*)?(?:{_ENGLISH_WORDS})(?:[ ]*[*=-]+)?[.:]?[ ]*$|[\[(<](?:{_ENGLISH_WORDS})[\])>]",
    re.MULTILINE | re.IGNORECASE,
)
_ENGLISH_CAPITALS = re.compile(
    rf"(?<![A-Za-z])(?:(?:{_spaced('CONFIDENTIAL')})(?! (?:INFORMATION PROTECTION|COMPUTING))"
    r"|INTERNAL USE ONLY|TOP SECRET//[A-Z]+|COMPANY SECRET)(?![A-Za-z])"
)


class Confidential(Block):
    """Leaves out what is marked confidential."""

    name = "confidential"

    def judge(self, document: Document) -> str | None:
        """Look at the title and the text."""
        return "marked" if is_marked(f"{document.metadata.get('title') or ''}\n{document.text}") else None


def is_marked(text: str) -> bool:
    """Whether a text bears a marking.

    Example:
        >>> is_marked("【社 外 秘】新製品計画"), is_marked("ＣＯＮＦＩＤＥＮＴＩＡＬ")
        (True, True)
        >>> is_marked("機密性の高い情報の扱い")
        False
    """
    if "㊙" in text:  # which NFKC would make an ordinary 秘
        return True
    text = unicodedata.normalize("NFKC", text)
    return any(rule.search(text) for rule in (_ALWAYS, _MARKING, _ENGLISH_MARKING, _ENGLISH_CAPITALS))
