"""Payment cards: Luhn's check digit, an issuer's prefix and a length that issuer uses.

Lengths and groupings in everyday use count by themselves; 13 digits (old Visa) are also those of a 法人番号 or a JAN
code, and 17 to 19 those of random identifiers, so these need the text to speak of cards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.data.privacy.digits import AFTER, BEGINS, number_of, only_digits, shapes
from so8t.data.privacy.kinds import Finding, Kind

_START = re.compile(f"[2-6]{BEGINS}")
_NUMBERS = tuple(number_of(length) for length in range(19, 12, -1))
_OTHER_FOURS = re.compile(rf"[2-6]{BEGINS}[0-9]{{3}}([.・/_~])[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}{AFTER}")
_CONTEXT = re.compile(
    r"カード|クレジット|デビット|\b(?:credit|debit|cards?|visa|master ?card|amex|american express|jcb|diners|cvv)\b",
    re.IGNORECASE,
)
_ISSUERS: tuple[tuple[str, frozenset[int]], ...] = (
    (r"4", frozenset({13, 16, 19})),  # Visa
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", frozenset({16})),  # Mastercard
    (r"3[47]", frozenset({15})),  # American Express
    (r"352[89]|35[3-8]", frozenset({16, 17, 18, 19})),  # JCB
    (r"3(?:0[0-5]|095|[689])", frozenset({14, 16, 19})),  # Diners Club
    (r"6011|64[4-9]|65", frozenset({16, 19})),  # Discover
    (r"62", frozenset({16, 17, 18, 19})),  # UnionPay
)
_NUMBER_BEFORE = re.compile(r"[0-9]\s{1,3}$")
_NUMBER_BEHIND = re.compile(r"\s{1,3}[0-9]")
_USUAL_SHAPES = frozenset({(16,), (4, 4, 4, 4), (15,), (4, 6, 5), (14,), (4, 6, 4)})


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    spoken_of = None
    for start in _START.finditer(text):
        for pattern in _NUMBERS:
            match = pattern.match(text, start.start())
            if match is None or not is_card_number(only_digits(match[0])):
                continue
            if spoken_of is None:
                spoken_of = _CONTEXT.search(text) is not None
            if spoken_of or (shapes(match[0]) & _USUAL_SHAPES and not _is_in_a_table(match, text)):
                yield Finding(Kind.CARD, *match.span())
    for match in _OTHER_FOURS.finditer(text):
        if is_card_number(only_digits(match[0])):
            yield Finding(Kind.CARD, *match.span())


def _is_in_a_table(match: re.Match[str], text: str) -> bool:
    """Whether numbers stand before or behind it too, with nothing but space between."""
    return bool(
        _NUMBER_BEFORE.search(text, max(0, match.start() - 4), match.start()) or _NUMBER_BEHIND.match(text, match.end())
    )


def is_card_number(digits: str) -> bool:
    """Whether these digits could be on a card.

    Example:
        >>> is_card_number("4012888888881881"), is_card_number("4012888888881882")
        (True, False)
    """
    return passes_luhn(digits) and any(
        len(digits) in lengths and re.match(prefix, digits) for prefix, lengths in _ISSUERS
    )


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is Luhn's check digit (ISO/IEC 7812-1).

    Example:
        >>> passes_luhn("79927398713"), passes_luhn("79927398710")
        (True, False)
    """
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
