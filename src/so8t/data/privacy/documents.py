"""Numbers on papers the state hands out: passport, driving licence, residence card, pension, health insurance.

Their check digits are secret, unconfirmed or missing, so each counts only where the text names the paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from so8t.data.privacy.digits import AFTER, BEGINS, GAP, candidates, number_of, said_before, shapes
from so8t.data.privacy.kinds import Finding, Kind


class _Paper(NamedTuple):
    kind: Kind
    number: re.Pattern[str]
    words: re.Pattern[str]
    reach: int
    """How many characters before the number the words may stand; 0: anywhere in the text."""
    groups: frozenset[tuple[int, ...]] = frozenset()
    """How its digits are grouped; empty: in any way."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_LETTERS = "[A-Za-z]"
_ALONE = r"(?<![0-9A-Za-z_][\s\S])"

_PAPERS = (
    _Paper(
        Kind.PASSPORT,
        re.compile(rf"{_LETTERS}{_ALONE}{GAP}{_LETTERS}{GAP}[0-9](?:{GAP}[0-9]){{6}}{AFTER}"),
        _words("旅券|パスポート|passport"),
        120,
    ),
    _Paper(
        Kind.PASSPORT,
        re.compile(rf"[A-Z0-9]{_ALONE}(?=[A-Z0-9]*[0-9]{{5}})[A-Z0-9]{{7,8}}(?![0-9A-Za-z_])"),
        _words(r"(?:旅券|パスポート|passport)[ ]?(?:番号|no\b|numbers?|#)"),
        40,
    ),
    _Paper(
        Kind.RESIDENCE_CARD,
        re.compile(rf"{_LETTERS}{_ALONE}{_LETTERS}{GAP}[0-9](?:{GAP}[0-9]){{7}}{GAP}{_LETTERS}{{2}}(?![0-9A-Za-z_])"),
        _words("在留|特別永住|residence card|zairyu|外国人登録"),
        0,
    ),
    _Paper(
        Kind.DRIVING_LICENCE,
        number_of(12),
        _words(r"免許|driv(?:ing|er'?s?)[ -]licen[cs]e|licen[cs]e (?:no|number)"),
        40,
    ),
    _Paper(
        Kind.PENSION_NUMBER,
        number_of(10),
        _words("基礎年金|年金番号|年金手帳|pension number"),
        40,
        frozenset({(10,), (4, 6)}),  # a telephone number has ten digits too
    ),
    _Paper(
        Kind.INSURANCE_NUMBER,
        re.compile(rf"[0-9]{BEGINS}(?:{GAP}[0-9]){{5,7}}{AFTER}"),
        _words(r"保険者番号|保険証(?:の)?(?:番号|記号)|健康保険.{0,8}番号|insurance (?:policy |card )?(?:no\b|number)"),
        40,
    ),
    _Paper(
        Kind.SOCIAL_SECURITY,
        re.compile(rf"[0-8]{BEGINS}[0-9]{{2}}{GAP}[0-9]{{2}}{GAP}[0-9]{{4}}{AFTER}"),
        _words(r"\bSSN\b|social security"),
        40,
    ),
)


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    for paper in _PAPERS:
        if not paper.words.search(text):
            continue
        for match in candidates(paper.number, text):
            told = not paper.reach or said_before(paper.words, text, match.start(), paper.reach)
            if told and (not paper.groups or shapes(match[0]) & paper.groups):
                yield Finding(paper.kind, *match.span())
