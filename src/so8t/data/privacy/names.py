"""Names of persons, where the text says that it is one: a label, an introduction, an honorific.

A name without context is not found: `森` is a forest as well. Where the context is weak, a known surname or a space
between two short words must speak for the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from so8t.data.privacy.digits import windows
from so8t.data.privacy.kinds import Finding, Kind
from so8t.data.privacy.surnames import LAST_OF_OTHER_WORDS, SURNAMES

_KANJI = "[一-龥々ヶ]"
_KATAKANA = "[ァ-ヴー]"
_SPACE = r"(?:[ ]{1,2}|[ ]?\n[ ]{0,8}|・)"
_NOT_A_LABEL = r"(?![^\s:=]{0,24}[ ]?[:=])"
_NO_HEADING = r"(?!住所|電話|番号|生年月|年齢|性別|備考|所属|役職|連絡|携帯|会社)"
_GIVEN = rf"(?:{_NO_HEADING}{_KANJI}{{1,3}}|[ぁ-ん]{{2,4}}|{_KATAKANA}{{2,5}})"
_SURNAME = "(?:" + "|".join(sorted(SURNAMES, key=lambda name: (-len(name), name))) + ")"
_SPACED = (
    rf"(?:{_KANJI}{{1,4}}{_SPACE}{_GIVEN}|{_KATAKANA}{{2,8}}{_SPACE}{_KATAKANA}{{2,8}}"
    rf"|[ぁ-ん]{{2,5}}{_SPACE}[ぁ-ん]{{2,5}}){_NOT_A_LABEL}"
)
_WORD = (
    rf"(?:{_KANJI}{{1,4}}[ぁ-ん]{{2,4}}|{_KANJI}{{1,3}}{_KATAKANA}{{2,5}}|{_KANJI}{{2,7}}"
    rf"|{_KATAKANA}{{2,12}}|[ぁ-ん]{{3,8}})"
)
_LATIN_WORD = r"(?:[A-Z][a-z'’-]{1,20}(?:[A-Z][a-z]{1,20})?(?![A-Za-z])|[A-Z]\.)"
_LATIN = rf"{_LATIN_WORD}(?:[ ]?[ \n][ ]{{0,8}}(?:{_LATIN_WORD}|[A-Z]{{2,20}}(?![A-Za-z])){_NOT_A_LABEL}){{0,3}}"
_LATIN_CAPITALS = r"[A-Z]{2,20}(?:[ ,]{1,2}[A-Z]{2,20}){1,2}(?![A-Za-z])"

_KNOWN = rf"(?:{_SPACED}|{_SURNAME}{_GIVEN}?)"
_ANY = rf"(?:{_SPACED}|{_WORD}|{_LATIN}|{_LATIN_CAPITALS})"

_LABEL_JA = (
    r"(?:(?:お|ご|御)?(?:氏名|名前|芳名)|姓名|本名|旧姓|(?:氏名)?(?:フリガナ|ふりがな)|(?:ご)?担当者?名?|代表者名?|責任者名?|申込者名?|契約者名?"
    r"|受取人名?|保護者名?|連絡者名?|(?:口座)?名義人?|患者名|社員名|会員名|差出人|宛名|執筆者|記入者|送信者)(?:\([^()\n]{0,8}\))?"
)
_LABEL_EN = (
    r"(?i:\b(?:(?:full|first|last|family|given|customer|patient|employee|contact|account|cardholder|applicant)[ _]?)?"
    r"name"
    r"|\b(?:signed by|contact person|prepared by|attn|author|sender|recipient)\b\.?)"
)
_END_OF_CELL = r"(?=[ ]{0,2}(?:\n|\Z|[|,、。;/(]))"


class _Rules(NamedTuple):
    cue: re.Pattern[str]
    """What every match contains; the rules themselves are tried only around it."""
    before: int
    after: int
    names: tuple[re.Pattern[str], ...]


def _rules(cue: str | re.Pattern[str], before: int, after: int, *names: str) -> _Rules:
    return _Rules(re.compile(cue), before, after, tuple(map(re.compile, names)))


_ALONE_ON_A_LINE = re.compile(
    rf"^[ ]{{0,8}}(?P<name>{_SURNAME}[ ]{{1,2}}{_GIVEN})[ ]{{0,2}}(?:\([^()\n]{{0,40}}\))?[ ]{{0,2}}$", re.MULTILINE
)
_POLITE = "(?:様(?![々式相子])|さま|さん(?!ぽ))"
_STARTS = r"(?<![一-龥々ヶァ-ヴー])"
_RULES = (
    _rules(
        _LABEL_JA,
        0,
        90,
        rf"(?:{_LABEL_JA})[ ]?[:=][ ]{{0,2}}\n?[ ]{{0,8}}(?P<name>{_ANY})",
        rf"(?:{_LABEL_JA})[ ]?(?:[ \n|/][ ]{{0,8}}|は[ ]?)(?P<name>{_ANY}){_END_OF_CELL}",
        rf"(?:{_LABEL_JA})[ ]?(?:[ \n|/は][ ]{{0,8}})(?P<name>{_KNOWN})",
    ),
    _rules(_LABEL_EN, 1, 90, rf"(?:{_LABEL_EN})[ ]?[:=][ ]{{0,2}}\n?[ ]{{0,8}}(?P<name>{_ANY})"),
    _rules(
        "と申|です|だ|とい|と言",
        40,
        8,
        rf"(?:私|わたくし|わたし|僕|俺)(?:の名前)?は[、 ]?(?P<name>{_KNOWN}?)(?=です|だ|と申|とい|と言)",
        rf"{_STARTS}(?P<name>{_SPACED}|{_WORD})(?=と申し)",
        rf"(?:会社|\(株\)|[部課係店校院所]|大学)[^\s、。の]{{0,20}}の(?P<name>{_SURNAME})(?=です|と申)",
    ),
    _rules(
        "(?i:name is|am called|this is)",
        8,
        90,
        rf"\b(?i:my name is|i am called|this is)[ ]\n?(?P<name>{_LATIN_WORD}[ ]\n?{_LATIN})",
        rf"\b(?i:my name is)[ ]\n?(?P<name>{_LATIN})",
    ),
    _rules(
        "様|さま|さん|殿|氏|君|くん|ちゃん|先生|教授|医師|弁護士|[部課社係]長|主任",
        24,
        1,
        rf"{_STARTS}(?P<name>{_SURNAME}(?:{_SPACE}?{_GIVEN})??)[ ]?\n?[ ]{{0,8}}"
        rf"(?:{_POLITE}|殿|氏(?!名)|君(?![主臨])|くん|ちゃん|先生|教授|医師|弁護士)",
        rf"{_STARTS}(?P<name>(?=[一-龥]{{2}}){_SURNAME})(?:部長|課長|社長|係長|主任)",
        rf"(?<![一-龥々ヶァ-ヴーぁ-ん])(?P<name>{_KANJI}{{1,3}}[ ]{_KANJI}{{1,3}}|{_KANJI}{{3,5}}"
        rf"|{_KATAKANA}{{2,8}}・{_KATAKANA}{{2,8}})[ ]?{_POLITE}(?![一-龥])",
    ),
    _rules("[MDP](?:rs|iss|rof|r|s|x)[. ]", 1, 100, rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof)\b\.?[ ]\n?(?P<name>{_LATIN})"),
    _rules("Dear ", 1, 90, rf"\bDear[ ](?P<name>{_LATIN})(?=[ ]?[,:\n])"),
    _rules("-sa(?:n|ma)", 50, 1, rf"\b(?P<name>{_LATIN_WORD}(?: {_LATIN_WORD})?)-(?:san|sama)\b"),
    _Rules(_ALONE_ON_A_LINE, 0, 1, (_ALONE_ON_A_LINE,)),
)
_NOT_A_NAME = re.compile(
    r"(?:お客|なし|不明|未定|必須|任意|全角|半角|記入|入力|変更|登録|確認|一覧|空欄|省略|非公開|匿名|および|及び|または|など|こちら|以下|下記|上記|別紙|同上"
    r"|募集|不在|検索|表示|各位|関係|御中|本人|同じ).*|.*(?:住所|電話|番号|年月日|年齢|性別|備考|所属|役職|メール).*|.*(?:です|ます|した|である|ない|ません)"
    r"|(?:The|This|That|None|Null|Unknown|String|Required|Optional|Your|Enter|Not|Anonymous|All|Team|Sir|Madam|Everyone|Customer|Editor|Reader|Colleagues?|Friends?|True|False|Str|Int|Field|Value)\b.*",
    re.DOTALL,
)


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    for cue, before, after, names in _RULES:
        for start, end in windows(cue, text, before, after):
            for match in chain.from_iterable(name.finditer(text, start, end) for name in names):
                if _could_be_a_name(match["name"]):
                    yield Finding(Kind.NAME, *match.span("name"))


def _could_be_a_name(words: str) -> bool:
    return not _NOT_A_NAME.fullmatch(words) and (words[-1] not in LAST_OF_OTHER_WORDS or words in SURNAMES)
