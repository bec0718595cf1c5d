"""Telephone numbers: Japanese mobile, IP and fixed lines, numbers with a country code, North American ones.

There is no check digit. A Japanese number counts by its length, its prefix or area code, and groups of digits that fit;
other groupings count where "電話" or "TEL" stands before them. Free-of-charge and service numbers belong to companies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.data.privacy.area_codes import area_code_lengths
from so8t.data.privacy.digits import AFTER, candidates, only_digits, said_before, shapes
from so8t.data.privacy.kinds import Finding, Kind

_GAP = r"(?>[ ]{0,2}[-.()の・]{0,2}[ ]{0,2}(?:\n[ ]{0,8})?)"
_MOBILE_GAP = _GAP.replace("・", "・/_~")
_WORDS = (
    r"(?:(?<![A-Za-z])(?:tel(?:ephone)?|(?:tele|cell)?phone|mobile|cell|fax|call(?: me)?(?: at| on)?)(?![a-z])"
    r"|電話|携帯|ケータイ|連絡先|ファックス|☎|✆|直通|内線)"
)
# A word may touch the number, "TEL03-1234-5678"; another letter may not.
_BEGINS = (
    r"(?:(?<=tel[(0])|(?<=fax[(0])|(?<=phone[(0])|(?<=mobile[(0])|(?<![0-9A-Za-z_+][(0]))"
    r"(?<![0-9A-Za-z_]-[(0])(?<![0-9][.][(0])"
)
_MOBILE = re.compile(
    rf"[(0]{_BEGINS}(?:(?<=\()0|(?<=0)){_MOBILE_GAP}[5-9]{_MOBILE_GAP}0(?:{_MOBILE_GAP}[0-9]){{8}}{AFTER}",
    re.IGNORECASE,
)
_FIXED = re.compile(rf"[(0]{_BEGINS}(?:(?<=\()0|(?<=0))(?:{_GAP}[0-9]){{9}}{AFTER}", re.IGNORECASE)
_JAPAN_FROM_ABROAD = re.compile(
    rf"[+0](?<![0-9A-Za-z][+0])(?:(?<=\+)|(?<=0)0|(?<=0)10)[ -]?81{_GAP}(?:\(0\){_GAP})?"
    rf"(?:[5-9]{_GAP}0(?:{_GAP}[0-9]){{8}}|[1-9](?:{_GAP}[0-9]){{8}})"
    rf"(?![0-9])"
)
_MOBILE_WITHOUT_PLUS = re.compile(rf"8(?<![0-9A-Za-z_.+-]8)1[- ](?:\(0\)[- ]?)?[5-9]0(?:[- ][0-9]{{4}}){{2}}{AFTER}")
_ABROAD = re.compile(rf"\+(?<![0-9A-Za-z+]\+)[1-9](?:{_GAP}[0-9]){{8,14}}(?![0-9])")
_NORTH_AMERICA = re.compile(
    r"(?<![0-9A-Za-z+])(?<![0-9A-Za-z]-)(?<![0-9][.,])(?:\+?1[-. ])?"
    r"(?:\([2-9][0-9]{2}\)[ ]?\n?|[2-9][0-9]{2}(?:-\n?(?=[0-9]{3}-)|[.](?=[0-9]{3}[.])|[ ](?=[0-9]{3}-)))"
    r"[2-9][0-9]{2}[-. ]\n?[0-9]{4}"
    rf"{AFTER}"
)
_NAMED_GAP = _GAP.replace(".", "")
_NAMED = re.compile(
    rf"{_WORDS}(?:番号|[ ]?numbers?|[ ]?no\.?)?[^0-9A-Za-z+\n]{{0,8}}\n?"
    rf"(?P<number>\+?\(?[0-9](?:{_NAMED_GAP}[0-9]){{8,14}}){AFTER}",
    re.IGNORECASE,
)
_TOLD = re.compile(_WORDS, re.IGNORECASE)
_BOOK_NUMBER = re.compile(r"ISBN", re.IGNORECASE)

_OF_COMPANIES = ("0120", "0800", "0570", "0990", "0180", "0170", "0088", "0077")
_FREE_IN_AMERICA = frozenset({"800", "833", "844", "855", "866", "877", "888", "900"})
_MOBILE_SHAPES = frozenset({(11,), (3, 4, 4), (3, 8), (7, 4)})
_CONTEXT_REACH = 16


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    for match in candidates(_MOBILE, text):
        if only_digits(match[0])[3] != "0" and _is_written_as(_MOBILE_SHAPES, match, text):
            yield Finding(Kind.PHONE, *match.span())
    for match in candidates(_FIXED, text):
        if _is_fixed_line(match, text):
            yield Finding(Kind.PHONE, *match.span())
    for pattern in (_JAPAN_FROM_ABROAD, _MOBILE_WITHOUT_PLUS, _ABROAD, _NORTH_AMERICA):
        for match in pattern.finditer(text):
            if _is_private(match[0]) and (pattern is not _ABROAD or _has_gap_or_context(match, text)):
                yield Finding(Kind.PHONE, *match.span())
    for match in _NAMED.finditer(text):
        if _is_private(match["number"]):
            yield Finding(Kind.PHONE, *match.span("number"))


def _is_written_as(usual: frozenset[tuple[int, ...]], match: re.Match[str], text: str) -> bool:
    return bool(shapes(match[0]) & usual) or said_before(_TOLD, text, match.start(), _CONTEXT_REACH)


def _is_fixed_line(match: re.Match[str], text: str) -> bool:
    digits = only_digits(match[0])
    lengths = area_code_lengths(digits)
    if not lengths or digits.startswith(_OF_COMPANIES) or said_before(_BOOK_NUMBER, text, match.start(), 24):
        return False
    usual = (
        {(10,), (6, 4)}
        | {(length, 6 - length, 4) for length in lengths}
        | {(length, 10 - length) for length in lengths}
    )
    return _is_written_as(frozenset(usual), match, text)


def _is_private(number: str) -> bool:
    digits = only_digits(number)
    national = digits[1:] if digits.startswith("1") and len(digits) == 11 else digits
    if len(national) == 10 and national[:3] in _FREE_IN_AMERICA:
        return False
    domestic = "0" + digits[2:] if digits.startswith("81") and number.lstrip().startswith("+") else digits
    return not domestic.startswith(_OF_COMPANIES)


def _has_gap_or_context(match: re.Match[str], text: str) -> bool:
    return len(shapes(match[0]).pop()) > 1 or said_before(_TOLD, text, match.start(), _CONTEXT_REACH)
