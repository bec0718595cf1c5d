"""Columns of tables: a list of members says once, at its head, what stands below.

Comma- and tab-separated lines and Markdown tables. One personal heading alone may be a row of a table about telephones,
so a head needs two; 名前 or "name" stands in half the tables of software manuals and counts only beside another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from so8t.data.privacy.kinds import Finding, Kind

_HEADINGS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (
            Kind.NAME,
            r"(?:お|ご)?(?:氏名|芳名)(?:\(.*\))?|姓|セイ|メイ|(?:氏名)?(?:ふりがな|フリガナ)"
            r"|(?:full|first|last|family|given)[ _]?name",
        ),
        (Kind.PHONE, r"電話(?:番号)?|携帯(?:電話|番号)?|tel|phone(?:[ _]?number)?|mobile|fax|連絡先"),
        (Kind.EMAIL, r"(?:e-?)?mail(?:[ _]?address)?|メール(?:アドレス)?"),
        (Kind.ADDRESS, r"(?:ご)?(?:住所|現住所|自宅住所)[0-9]?|(?:home |street |mailing )?address"),
        (Kind.POSTAL_CODE, r"〒|郵便番号|zip(?:[ _]?code)?|postal[ _]?code"),
        (Kind.BIRTH_DATE, r"生年月日|誕生日|birth[ _]?(?:date|day)|date of birth|dob"),
        (Kind.MY_NUMBER, r"マイナンバー|個人番号|my ?number"),
        (Kind.ACCOUNT, r"口座番号|account[ _]?(?:number|no\.?)"),
        (Kind.CARD, r"カード番号|card[ _]?(?:number|no\.?)"),
    )
)
_WEAK_NAME = re.compile(r"(?:お)?名前|名|name|担当者?|会員|社員|customer|employee", re.IGNORECASE)
_IN_WORDS = frozenset({Kind.NAME, Kind.ADDRESS, Kind.EMAIL})
_DELIMITERS = (",", "\t", "|")
_EMPTY = re.compile(r"[\W_]*")


class _Cell(NamedTuple):
    start: int
    text: str


def find(text: str) -> Iterator[Finding]:
    """Find them in the text itself: folding would make tabs spaces. Offsets are those of the text."""
    columns: Mapping[int, Kind] = {}
    delimiter, width, start = "", 0, 0
    for line in text.splitlines(keepends=True):
        if columns and line.count(delimiter) == width:
            yield from _values(line, start, delimiter, columns)
        else:
            columns = {}
            for delimiter in _DELIMITERS:
                width = line.count(delimiter)
                if width and (columns := _personal_columns(line, delimiter)):
                    break
        start += len(line)


def _personal_columns(line: str, delimiter: str) -> Mapping[int, Kind]:
    columns: dict[int, Kind] = {}
    weak: list[int] = []
    for number, cell in enumerate(_cells(line, 0, delimiter)):
        heading = unicodedata.normalize("NFKC", cell.text)
        kind = next((kind for kind, pattern in _HEADINGS if pattern.fullmatch(heading)), None)
        if kind is not None:
            columns[number] = kind
        elif _WEAK_NAME.fullmatch(heading):
            weak.append(number)
    if columns:
        columns |= dict.fromkeys(weak, Kind.NAME)
    return columns if len(columns) > 1 else {}


def _values(line: str, start: int, delimiter: str, columns: Mapping[int, Kind]) -> Iterator[Finding]:
    for number, cell in enumerate(_cells(line, start, delimiter)):
        if number in columns and _could_be(columns[number], cell.text):
            yield Finding(columns[number], cell.start, cell.start + len(cell.text))


def _could_be(kind: Kind, value: str) -> bool:
    # what is already redacted is left
    if _EMPTY.fullmatch(value) or value.startswith("["):
        return False
    return kind in _IN_WORDS or any(map(str.isdecimal, value))


def _cells(line: str, start: int, delimiter: str) -> Iterator[_Cell]:
    for piece in line.split(delimiter):
        value = piece.strip(" \t\r\n\"'\u3000")
        yield _Cell(start + (piece.index(value) if value else 0), value)
        start += len(piece) + len(delimiter)
