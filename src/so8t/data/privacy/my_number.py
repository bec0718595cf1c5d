"""マイナンバー: twelve digits of which the last is a check digit.

One twelve-digit number in ten passes the check by chance, so it counts only where it is written in fours with hyphens
or where the text speaks of such numbers. 法人番号 has thirteen digits, is public and is not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.data.privacy.digits import GAP, candidates, number_of, only_digits
from so8t.data.privacy.kinds import Finding, Kind

_TWELVE = number_of(12)
_LABEL = r"(?:マイ ?ナンバー|個人 ?番号|通知カード|my[ _-]?number|individual number)"
_ANY_GAP = GAP.replace("-?", "[-.,:・/_~]?")
_LABELLED = re.compile(
    rf"{_LABEL}[^0-9\n]{{0,12}}\n?[ ]{{0,8}}(?P<number>[0-9](?:{_ANY_GAP}[0-9]){{11}})(?![0-9])", re.IGNORECASE
)
_IN_FOURS = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{4}")
_CONTEXT = re.compile(_LABEL, re.IGNORECASE)


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    spoken_of = None
    for match in candidates(_TWELVE, text):
        if not has_valid_check_digit(only_digits(match[0])):
            continue
        if spoken_of is None:
            spoken_of = _CONTEXT.search(text) is not None
        if spoken_of or _IN_FOURS.fullmatch(match[0]):
            yield Finding(Kind.MY_NUMBER, *match.span())
    for match in _LABELLED.finditer(text):
        if has_valid_check_digit(only_digits(match["number"])):
            yield Finding(Kind.MY_NUMBER, *match.span("number"))


def has_valid_check_digit(digits: str) -> bool:
    """Whether the last of twelve digits is what the other eleven demand.

    平成26年総務省令第85号第5条: with P(n) the n-th digit from the right without the check digit and Q(n) = n + 1 for n
    up to 6, n - 5 above, the remainder r of ΣP(n)Q(n) by 11 gives 11 - r, or 0 where r is at most 1.

    Example:
        >>> has_valid_check_digit("123456789018"), has_valid_check_digit("123456789010")
        (True, False)
    """
    total = sum(int(digit) * (n + 1 if n <= 6 else n - 5) for n, digit in enumerate(reversed(digits[:-1]), start=1))
    remainder = total % 11
    return int(digits[-1]) == (0 if remainder <= 1 else 11 - remainder)
