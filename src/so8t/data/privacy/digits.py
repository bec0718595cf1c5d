"""Numbers of known length that people write with hyphens, spaces and line breaks between the digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

GAP = r"(?>[ ]{0,2}-?[ ]{0,2}(?:\n[ ]{0,8})?)"
"""What may stand between two digits: a hyphen, spaces, the end of a line. Atomic: it matches in one way only."""

BEGINS = r"(?:(?<![0-9A-Za-z_][\s\S])|(?<=(?<![A-Za-z])[Nn][Oo][\s\S]))(?<![0-9A-Za-z_]-[\s\S])(?<![0-9][.][\s\S])"
"""The character just read begins a number: it is not inside a hash, a UUID, a decimal or a longer number.

"No" may touch it. It stands behind the first character and not before it, because a pattern that begins with a set of
characters is searched for several times faster than one that begins by looking back.
"""

AFTER = r"(?![0-9A-Za-z_])(?!-[0-9A-Za-z])(?![.][0-9])"
"""A number ends here."""

_DIGITS = re.compile(r"[0-9]+")
_WRAP = re.compile(r"(?<=[0-9])[ ]{0,2}\n[ ]{0,8}(?=[0-9])")


def number_of(length: int, *, gap: str = GAP, first: str = "[0-9]") -> re.Pattern[str]:
    """A pattern for so many digits with gaps between them, standing by themselves.

    Example:
        >>> bool(number_of(4).search("No. 12-34 ")), bool(number_of(4).search("0.1234"))
        (True, False)
    """
    return re.compile(rf"{first}{BEGINS}(?:{gap}[0-9]){{{length - 1}}}{AFTER}")


def candidates(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Every match, overlapping ones too: a match that a check digit refuses must not hide the next."""
    position = 0
    while match := pattern.search(text, position):
        yield match
        position = match.start() + 1


def windows(cue: re.Pattern[str], text: str, before: int, after: int) -> Iterator[tuple[int, int]]:
    """Stretches of text around the cues, those that overlap joined: the only places where a costly pattern can match.

    Example:
        >>> list(windows(re.compile("様"), "一二三様四五六七八様", 2, 1))
        [(1, 5), (7, 10)]
    """
    start = end = -1
    for match in cue.finditer(text):
        if match.start() - before > end:
            if end >= 0:
                yield start, end
            start = max(0, match.start() - before)
        end = min(len(text), match.end() + after)
    if end >= 0:
        yield start, end


def only_digits(text: str) -> str:
    """The digits of a text, joined."""
    return "".join(_DIGITS.findall(text))


def groups(text: str) -> tuple[int, ...]:
    """Lengths of the groups of digits.

    Example:
        >>> groups("03-1234-5678")
        (2, 4, 4)
    """
    return tuple(map(len, _DIGITS.findall(text)))


def shapes(text: str) -> set[tuple[int, ...]]:
    r"""Ways to read the groups: an end of line may part two of them or have been put into one by a narrow page.

    Example:
        >>> sorted(shapes("03-12\n34-5678"))
        [(2, 2, 2, 4), (2, 4, 4)]
    """
    return {groups(text), groups(_WRAP.sub("", text))}


def said_before(words: re.Pattern[str], text: str, start: int, reach: int) -> bool:
    """Whether one of the words stands in the `reach` characters before `start`."""
    return words.search(text, max(0, start - reach), start) is not None
