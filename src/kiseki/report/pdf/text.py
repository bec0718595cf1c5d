"""A user's text as the PDF's font can show it, with the places where a long word may break."""

import re
from collections.abc import Iterator
from functools import cache

from kiseki.curves.style import MISSING, printable, width

BREAK = "\u200b"
"""Where a line may break inside a word. The template turns it into an empty box, so that copied text is without it."""

_LONG_WORD = re.compile(r"[!-~\u00a1-\u02ff]{11,}")
_AFTER = re.compile(r"(?<=[/\\_.:=&?|;@,\-])(?=[^\s\d])|(?<=[0-9a-z])(?=[A-Z][a-z])")
_PIECE = 8
_CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
_PIECE_BY_PIECE = re.compile(rf"{_CJK.pattern}|(?:(?!{_CJK.pattern})[^\s{BREAK}])+[\s{BREAK}]?|[\s{BREAK}]")
_DIVIDES = re.compile(rf"\s|{BREAK}|{_CJK.pattern}")


def shown(text: str) -> str:
    """Text for the page: line breaks stay, control characters go, what the font lacks becomes 〓, long words may break.

    Example:
        >>> shown("a\\ud800b\\nnew").split("\\n"), shown("training_config.json").split(BREAK)
        (['a〓b', 'new'], ['training_', 'config.', 'json'])
    """
    return "\n".join(breakable(printable(line)) for line in lines_of(text))


def lines_of(text: str) -> list[str]:
    r"""The lines of a text, however they end.

    Example:
        >>> lines_of("a\r\nb\u2028c\n")
        ['a', 'b', 'c', '']
    """
    return re.split("\r\n|[\n\r\v\f\x85\u2028\u2029]", text)


def lacks(text: str) -> bool:
    """Whether a text made ready by `shown` stands for characters that the font lacks."""
    return MISSING in text


def breakable(line: str) -> str:
    """The line with a BREAK at the joints of long words, and every few characters where a word has no joints.

    Example:
        >>> breakable("0123456789abcdef learning_rate").split(BREAK)
        ['01234567', '89abcdef learning_', 'rate']
    """
    return _LONG_WORD.sub(lambda word: BREAK.join(_pieces(word.group())), line)


def _pieces(word: str) -> Iterator[str]:
    for part in _AFTER.split(word):
        if len(part) <= 2 * _PIECE - 1:
            yield part
        else:
            yield from (part[start : start + _PIECE] for start in range(0, len(part), _PIECE))


def anywhere(line: str) -> str:
    """The line with a BREAK after every character, for cells narrower than its words."""
    return BREAK.join(line.replace(BREAK, ""))


def ems(text: str) -> float:
    r"""How wide the widest line of a text is when nothing is broken, in ems of the regular weight.

    Example:
        >>> round(ems("国国\n国"), 2), round(ems("0.125"), 2)
        (2.0, 2.51)
    """
    return max(sum(map(_advance, line)) for line in text.split("\n"))


def least_ems(text: str) -> float:
    """How wide the longest piece of a text is that no line break can divide, likewise.

    Example:
        >>> round(least_ems("国" * 20), 2), least_ems("learning_" + BREAK + "rate") == ems("learning_")
        (2.0, True)
    """
    pieces = _DIVIDES.split(text)
    kanji = 2.0 if _CJK.search(text) else 0.0  # closing punctuation stays with the character before it
    return max(kanji, *map(ems, pieces))


def lines_in(text: str, room: float) -> int:
    r"""How many lines a text takes in a room of so many ems.

    Example:
        >>> lines_in("one two", 9.0), lines_in("one two", 2.0), lines_in("国国国\n国", 2.0)
        (1, 2, 3)
    """
    return sum(_lines_of_one(line, room) for line in text.split("\n"))


def _lines_of_one(line: str, room: float) -> int:
    if ems(line) <= room:
        return 1
    lines, taken = 1, 0.0
    for piece in _PIECE_BY_PIECE.findall(line):
        wide = ems(piece)
        if taken and taken + wide > room:
            lines, taken = lines + 1, 0.0
        taken += wide
    return lines


@cache
def _advance(character: str) -> float:
    """A character's advance in ems: what ten of them add between two others."""
    if character == BREAK:
        return 0.0
    return (width(f"国{character * 10}国", 100) - width("国国", 100)) * 72 / 1000
