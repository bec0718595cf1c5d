"""How wide the columns of a table are: measured, so that digits stay together and no cell runs over its edge."""

from collections.abc import Sequence
from dataclasses import dataclass

from kiseki.report.pdf.text import anywhere, ems, least_ems, lines_in

ROOM = 481.88
"""The width of the text on an A4 page with margins of 20 mm, in points."""

PADDING = 11.0
"""What a cell needs left and right of its text, in points, with a little to spare."""

_SIZES = (8.5, 8.0, 7.5, 7.0, 6.5, 6.0)
_READABLE = 7.0
_LEAST_TITLE, _WHOLE_TITLE = 4.2, 6.2
_MOST_STRETCHED = 1.8
_LEAST_CELL = 4.0
_LOOSE = 1.3
_MANY_ROWS = 10
_WORTH_IT = 0.8

BOLD = 1.075
"""How much wider bold type is than regular type, at most about."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A table's measures.

    Attributes:
        size: of its type, in points.
        widths: of its columns, in points; at most the room together.
        crowded: even the smallest type leaves words wider than their column, so they have to break anywhere.
    """

    size: float
    widths: tuple[float, ...]
    crowded: bool = False

    def fit(self, text: str) -> str:
        """A cell's text with the breaks that these columns ask for."""
        return "\n".join(anywhere(line) for line in text.split("\n")) if self.crowded else text

    def height(self, cells: Sequence[str]) -> float:
        """About how tall a row is, in points: rather too tall than too low, since a row kept whole must fit a page."""
        lines = max(
            (
                sum(
                    1 + int(_LOOSE * ems(line) * self.size / max(width - PADDING, self.size))
                    for line in cell.split("\n")
                )
                for cell, width in zip(cells, self.widths, strict=False)
            ),
            default=1,
        )
        return lines * 1.6 * self.size + PADDING

    def lines(self, cells: Sequence[str]) -> int:
        """How many lines a row takes."""
        # half a digit to spare: what fits exactly must not seem to break
        rooms = ((width - PADDING) / self.size + 0.3 for width in self.widths)
        return max((lines_in(cell, room) for cell, room in zip(cells, rooms, strict=False)), default=1)


def columns(
    head: Sequence[str], rows: Sequence[Sequence[str]], numeric: frozenset[int] = frozenset(), *, room: float = ROOM
) -> Columns:  # fmt: skip
    """Share the page's width among columns.

    Columns that need little get what they need; the rest is shared evenly among those that would like more, as a
    person would draw the table. Type is made a little smaller when that puts every cell on one line, and as small as
    need be when words or numbers would not fit in their columns.

    Args:
        head: headings, made ready by `text.shown`; empty for a table without.
        rows: cells, likewise.
        numeric: columns whose cells must not break.
        room: width of the table in points.

    Example:
        >>> columns(("Step", "Remark"), [("10", "word " * 80)], frozenset({0})).widths[1] > 400
        True
    """
    count = len(head) or max((len(row) for row in rows), default=1)
    cells = [[row[place] for row in rows if place < len(row)] for place in range(count)]
    titles = [head[place] if place < len(head) else "" for place in range(count)]
    whole = [max(map(ems, texts), default=0.0) for texts in cells]
    narrow = [
        whole[place] if place in numeric else max(map(least_ems, texts), default=0.0)
        for place, texts in enumerate(cells)
    ]
    one_line_each = _on_one_line(whole, titles, room, only_numbers=len(numeric) == count)
    return one_line_each or _wrapped(whole, narrow, titles, rows, room)


def _on_one_line(whole: Sequence[float], titles: Sequence[str], room: float, *, only_numbers: bool) -> Columns | None:
    """Columns with every cell on one line, and titles on two if they must; None where type would be too small."""
    title = [BOLD * ems(title) for title in titles]
    title_on_two = [max(min(one, BOLD * _WHOLE_TITLE), one / 2 + 0.5) for one in title]
    for size in _SIZES[: _SIZES.index(_READABLE) + 1]:
        for wish in (_larger(whole, title), _larger(whole, title_on_two)):
            if sum(_widths(wish, size)) <= room:
                return Columns(size, _stretched(_widths(wish, size), room, only_numbers=only_numbers))
    return None


def _wrapped(
    whole: Sequence[float], narrow: Sequence[float], titles: Sequence[str], rows: Sequence[Sequence[str]], room: float
) -> Columns:
    """Columns in which text takes several lines; in the last resort words and numbers break, too.

    A long table of names that are cut in pieces fills pages: smaller type is worth it where it saves much of them.
    """
    wished = _larger(whole, [BOLD * ems(title) for title in titles])
    needed = _larger(narrow, [BOLD * max(least_ems(title), min(ems(title), _LEAST_TITLE)) for title in titles])
    fitting = [
        Columns(size, _shared(_widths(wished, size), _widths(needed, size), room))
        for size in _SIZES
        if sum(_widths(needed, size)) <= room
    ]
    if fitting:
        largest, *smaller = fitting
        readable = [one for one in smaller if one.size >= _READABLE]
        return _shortest(largest, readable, rows) if len(rows) >= _MANY_ROWS else largest
    smallest = _SIZES[-1]
    floor = [min(width, room / len(titles), PADDING + _LEAST_CELL * smallest) for width in _widths(needed, smallest)]
    return Columns(smallest, _shared(_widths(needed, smallest), floor, room), crowded=True)


def _shortest(largest: Columns, smaller: Sequence[Columns], rows: Sequence[Sequence[str]]) -> Columns:
    chosen, lines = largest, sum(map(largest.lines, rows))
    for one in smaller:
        fewer = sum(map(one.lines, rows))
        if fewer <= _WORTH_IT * lines:
            chosen, lines = one, fewer
    return chosen


def _larger(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    return [max(one, other) for one, other in zip(ones, others, strict=True)]


def _widths(widths_in_ems: Sequence[float], size: float) -> list[float]:
    return [PADDING + one * size for one in widths_in_ems]


def _stretched(widths: Sequence[float], room: float, *, only_numbers: bool) -> tuple[float, ...]:
    """The widths filling the room, but numbers not so far apart that the eye loses their row."""
    factor = room / sum(widths)
    return tuple(one * (min(factor, _MOST_STRETCHED) if only_numbers else factor) for one in widths)


def _shared(wished: Sequence[float], least: Sequence[float], room: float) -> tuple[float, ...]:
    """Raise every column from its least towards its wish, the narrow ones first, until the room is used up."""
    low, high = 0.0, max(wished)
    for _ in range(50):
        level = (low + high) / 2
        taken = sum(max(small, min(large, level)) for small, large in zip(least, wished, strict=True))
        low, high = (level, high) if taken <= room else (low, level)
    return tuple(max(small, min(large, low)) for small, large in zip(least, wished, strict=True))
