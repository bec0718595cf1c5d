"""A table that leaves out whole columns where there is little room, and never cuts a number."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from kiseki.terminal import plain

_GAP = 2
_SHORTEST_NAME = 24


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        heading: what stands above it.
        cells: one for each row.
        left_out: when it is left out for want of room, 1 for the first to go; None for one that stays.
        name: it holds names, which may be cut to 24 characters before anything is left out.
    """

    heading: str
    cells: Sequence[str]
    left_out: int | None = None
    name: bool = False

    @property
    def width(self) -> int:
        """Columns of the terminal that it needs."""
        return max(cell_len(self.heading), *(cell_len(plain(cell)) for cell in self.cells))

    @property
    def least_width(self) -> int:
        """Those that it can do with."""
        return min(self.width, _SHORTEST_NAME) if self.name else self.width


def fitting_table(title: str, columns: Sequence[Column], room: int) -> Table:
    """The table, as wide as there is room for, wider only where the columns that stay need it.

    Args:
        title: what stands above it.
        columns: at least one, with a cell at least.
        room: columns of the terminal.

    Example:
        >>> columns = (Column("metric", ["loss"], name=True), Column("last", ["0.5"]), Column("mean", ["0.75"], 1))
        >>> [len(fitting_table("Training", columns, room).columns) for room in (20, 14)]
        [3, 2]
    """
    kept = list(columns)
    going = [(column.left_out, column) for column in columns if column.left_out is not None]
    for _, column in sorted(going, key=lambda one: one[0]):
        if _together(kept) <= room:
            break
        kept.remove(column)
    spare = max(0, room - _together(kept))
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in kept:
        width = min(column.width, column.least_width + spare)
        table.add_column(Text(column.heading), width=width, no_wrap=True, overflow="ellipsis")
    for row in zip(*(column.cells for column in kept), strict=True):
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table


def _together(columns: Sequence[Column]) -> int:
    return sum(column.least_width for column in columns) + _GAP * (len(columns) - 1)
