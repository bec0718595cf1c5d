"""How the columns of a table share the width of a page, which a browser cannot see: it knows words, not names."""

import re
import unicodedata
from dataclasses import dataclass

from kiseki.report.document import Table

# In characters: what stands side by side on paper in the ordinary size and in the small one, the space between two
# columns, the longest short cell, the shortest cell of prose, the longest name that a table is set small for; the sign
# of a tone, the narrowest column of prose, a phrase of a heading that a browser keeps together.
_LINE, _SMALL_LINE = 96, 122
_BETWEEN, _SHORT, _PROSE, _NAME = 2, 12, 20, 30
_SIGN, _LEAST_PROSE, _PHRASE = 3, 24, 12


@dataclass(frozen=True, slots=True)
class Columns:
    """How a table is set.

    Attributes:
        small: so much stands side by side that it needs a smaller size.
        classes: for the cells of each column: `numeric` flush right, `short` on one line, `whole` words, `prose` with
            room for a sentence, `long` words that are divided where they must.
    """

    small: bool
    classes: tuple[str, ...]


def columns(table: Table) -> Columns:
    """Decide how the columns of a table are set.

    Words are divided only where a page has no room for them: the first column, which holds names, comes before the
    others, and of those narrow ones come first.

    Example:
        >>> columns(Table(("name", "note", "value", "n"), (("a.long.setting", "x " * 30, "x" * 90, "1"),))).classes
        ('whole', 'whole prose', 'long', 'short')
    """
    cells = [[row[index] for row in table.rows] for index in range(len(table.head))]
    longest_cells = [max(map(len, column), default=0) for column in cells]
    widths = [
        max(_longest_word(head), min(_width(head), _PHRASE), _least_width(column, longest)) + _BETWEEN
        for head, column, longest in zip(table.head, cells, longest_cells, strict=True)
    ]
    if table.tones:
        widths[-1] += _SIGN
    small = sum(min(width, _NAME) for width in widths) > _LINE
    room = _SMALL_LINE if small else _LINE
    whole = set()
    for index in sorted(range(len(widths)), key=lambda index: (index > 0, widths[index])):
        if widths[index] <= room:
            whole.add(index)
            room -= widths[index]
    return Columns(
        small=small,
        classes=tuple(
            _classes(numeric=index in table.numeric, whole=index in whole, longest_cell=longest_cells[index])
            for index in range(len(widths))
        ),
    )


def _least_width(column: list[str], longest: int) -> int:
    if longest <= _SHORT:  # stays on one line
        return max(map(_width, column), default=0)
    return max(*map(_longest_word, column), _LEAST_PROSE if longest > _PROSE else 0)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WFA" else 1 for character in text)


def _longest_word(text: str) -> int:
    # Japanese can be divided anywhere
    return max(map(len, re.findall("[!-~]+", text)), default=0)


def _classes(*, numeric: bool, whole: bool, longest_cell: int) -> str:
    short = longest_cell <= _SHORT
    names = {
        "numeric": numeric,
        "short": short,
        "whole": whole and not short,
        "prose": whole and longest_cell > _PROSE,
        "long": not whole,
    }
    return " ".join(name for name, applies in names.items() if applies)
