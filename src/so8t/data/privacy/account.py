"""Bank accounts: seven digits beside a bank's words, ゆうちょ's symbol and number, IBAN with its check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.data.privacy.digits import AFTER, BEGINS, GAP, candidates, said_before, shapes
from so8t.data.privacy.kinds import Finding, Kind

_COUNTER = (
    "(?:[百千万億兆]{0,2}(?:[円件人%$台枚個回点票歩冊戸社席室通部両頭匹羽倍年月日時分秒口本]|[かカヵヶケ][月所国]"
    "|株(?!式)|名(?!義)|ポイント|ドル|ユーロ)|[千万億])"
)
# behind a space may stand the name of the holder: "1234567 千葉", "1234567 株式会社"
_NOT_COUNTED = f"(?!{_COUNTER}|[ ]{_COUNTER}(?![一-龥々ァ-ヴ]))"
_NAMED = re.compile(
    r"(?:口座番号|預金番号|account[ ]?(?:number|no\.?|#)|(?:to|from|into) account|acct\.?[ ]?(?:no\.?|#)?)"
    rf"[^0-9A-Za-z\n]{{0,8}}(?:no\.?[ ]?)?\n?[ ]{{0,8}}"
    rf"(?P<number>[0-9](?:{GAP}[0-9]){{5,11}}){AFTER}{_NOT_COUNTED}",
    re.IGNORECASE,
)
# 普通株式, 当座比率 and 口座数 are no accounts: nothing but signs and は may part the word from the number.
_KIND_NAMED = re.compile(
    r"(?:(?:普通|当座|貯蓄|総合)(?:預金|口座){1,2}|普通|当座|口座)(?:\([^()\n]{0,12}\))?は?"
    rf"[^\w\n]{{0,8}}(?:no\.?[ ]?)?\n?[ ]{{0,8}}"
    rf"(?P<number>[0-9](?:{GAP}[0-9]){{6}}){AFTER}{_NOT_COUNTED}",
    re.IGNORECASE,
)
_SHAPES = frozenset({(7,), (3, 4)})
_ROUND = re.compile("0{4}$")
_POST_BANK = re.compile(
    rf"記号[^0-9\n]{{0,8}}\n?(?P<symbol>[0-9](?:{GAP}[0-9]){{4}}(?:-[0-9])?)[^0-9]{{0,10}}番号[^0-9\n]{{0,8}}\n?"
    rf"(?P<number>[0-9](?:{GAP}[0-9]){{3,7}}){AFTER}"
)
_POST_BANK_PLAIN = re.compile(rf"1{BEGINS}[0-9]{{3}}0(?:-[0-9])?{GAP}[0-9](?:{GAP}[0-9]){{5,6}}1{AFTER}")
_POST_BANK_WORDS = re.compile(r"ゆうちょ|郵便貯金|振替口座")
_BANK = re.compile(
    r"銀行|信用金庫|信金|信用組合|信組|農協|JAバンク|支店|振込先|\b(?:bank|branch|routing|sort code)\b", re.IGNORECASE
)
_SEVEN = re.compile(rf"[0-9]{BEGINS}(?:{GAP}[0-9]){{6}}{AFTER}{_NOT_COUNTED}")
_SEVEN_REACH = 24
_IBAN = re.compile(r"[A-Z](?<![0-9A-Za-z][A-Z])[A-Z][0-9]{2}(?:[ -]?\n?[0-9A-Z]){11,30}(?![0-9A-Za-z])")
_AMOUNT = re.compile(r"[¥$€£][ ]?$")


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    for match in _NAMED.finditer(text):
        if not _is_amount(match, text):
            yield Finding(Kind.ACCOUNT, *match.span("number"))
    for match in _KIND_NAMED.finditer(text):
        if shapes(match["number"]) & _SHAPES and not _ROUND.search(match["number"]) and not _is_amount(match, text):
            yield Finding(Kind.ACCOUNT, *match.span("number"))
    for match in _POST_BANK.finditer(text):
        yield Finding(Kind.ACCOUNT, match.start("symbol"), match.end("number"))
    if _POST_BANK_WORDS.search(text):
        yield from (Finding(Kind.ACCOUNT, *match.span()) for match in candidates(_POST_BANK_PLAIN, text))
    if _BANK.search(text):
        for match in candidates(_SEVEN, text):
            if said_before(_BANK, text, match.start(), _SEVEN_REACH) and not _AMOUNT.search(text, 0, match.start()):
                yield Finding(Kind.ACCOUNT, *match.span())
    for match in _IBAN.finditer(text):
        if is_iban(match[0]):
            yield Finding(Kind.ACCOUNT, *match.span())


def _is_amount(match: re.Match[str], text: str) -> bool:
    return _AMOUNT.search(text, max(0, match.start("number") - 2), match.start("number")) is not None


def is_iban(text: str) -> bool:
    """Whether the two check digits are right (ISO 13616: the rearranged number leaves 1 by 97).

    Example:
        >>> is_iban("GB82 WEST 1234 5698 7654 32"), is_iban("GB83 WEST 1234 5698 7654 32")
        (True, False)
    """
    letters = "".join(filter(str.isalnum, text))
    if not 15 <= len(letters) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])) % 97 == 1
