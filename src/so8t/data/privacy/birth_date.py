"""Dates of birth: a date where the text says that somebody was born."""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.data.privacy.digits import windows
from so8t.data.privacy.kinds import Finding, Kind

_ERA = r"(?:明治|大正|昭和|平成|令和|[MTSHR](?=[0-9元]))"
_PART = r"[ ]?\n?[ ]{0,8}"
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_SMALL = "(?:[0-9]{1,2}|[一二三四五六七八九十〇元]{1,4})"
_YEAR = rf"(?:{_ERA}{_PART}{_SMALL}|(?:西暦)?(?:(?:18|19|20)[0-9]{{2}}|[一二][八九〇][一二三四五六七八九〇]{{2}}))"
_OTHER_YEAR = rf"(?:{_PART}\({_PART}{_YEAR}{_PART}年?{_PART}\))?"
_DATE = (
    rf"(?:{_YEAR}{_OTHER_YEAR}{_PART}[年./-]{_OTHER_YEAR}{_PART}{_SMALL}{_PART}[月./-]{_PART}{_SMALL}"
    rf"(?:{_PART}日(?:\([月火水木金土日](?:曜日?)?\))?)?"
    rf"|(?:19|20)[0-9]{{6}}"
    rf"|{_MONTH}\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? (?:18|19|20)[0-9]{{2}}"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th)? {_MONTH}\.?,? (?:18|19|20)[0-9]{{2}}"
    rf"|[0-9]{{1,2}}[/.-][0-9]{{1,2}}[/.-](?:18|19|20)[0-9]{{2}})"
)
_CUE = re.compile("生年月日|誕生|出生|生(?:ま|$|[^ぁ-ん一-龥])|うまれ|birth|born|dob", re.IGNORECASE | re.MULTILINE)
_TOLD_BEFORE = re.compile(
    rf"(?:生年月日|誕生日|出生日|出生年月日|birth ?(?:date|day)|date of birth|\bDOB\b|\bborn(?: on)?)"
    rf"[^0-9A-Za-z\n]{{0,8}}\n?[ ]{{0,8}}"
    rf"(?:(?:is|was|は|:)[ ]?)?(?P<date>{_DATE})(?![0-9])",
    re.IGNORECASE,
)
_TOLD_AFTER = re.compile(rf"(?<![0-9])(?P<date>{_DATE})[ ]?\n?(?:生まれ|うまれ|出生|誕生|生(?![一-龥ぁ-ん]))")


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    for start, end in windows(_CUE, text, 40, 60):
        for pattern in (_TOLD_BEFORE, _TOLD_AFTER):
            for match in pattern.finditer(text, start, end):
                yield Finding(Kind.BIRTH_DATE, *match.span("date"))
