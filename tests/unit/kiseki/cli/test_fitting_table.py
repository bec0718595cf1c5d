"""A table leaves out whole columns for want of room; whatever stays is whole."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from kiseki.cli.fitting_table import Column, fitting_table

names = st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=60)
rows = st.lists(st.tuples(names, st.floats(), st.floats(), st.floats()), min_size=1, max_size=4)


def _written(table: Table) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=10_000).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def _table(values: list[tuple[str, float, float, float]], room: int) -> Table:
    name, *numbers = zip(*values, strict=True)
    last, mean, low = ([f"{number:.5g}" for number in column] for column in numbers)
    columns = (Column("metric", name, name=True), Column("last", last), Column("mean", mean, 1), Column("min", low, 2))
    return fitting_table("T", columns, room)


@given(rows, st.integers(1, 120))
def test_numbers_stay_whole_whatever_the_room(values: list[tuple[str, float, float, float]], room: int) -> None:
    table = _table(values, room)
    kept = [str(column.header) for column in table.columns]
    assert kept in (["metric", "last", "mean", "min"], ["metric", "last", "min"], ["metric", "last"])
    _, _, *lines = _written(table)
    for line, value in zip(lines, values, strict=True):
        shown = dict(zip(("last", "mean", "min"), (f"{number:.5g}" for number in value[1:]), strict=True))
        assert line.split()[-len(kept) + 1 :] == [shown[name] for name in kept[1:]]


@given(rows, st.integers(40, 120))
def test_a_line_is_no_longer_than_the_room(values: list[tuple[str, float, float, float]], room: int) -> None:
    assert max(Console().measure(_table(values, room)).maximum, 0) <= room


@given(rows)
def test_with_room_nothing_is_left_out_and_no_name_is_cut(values: list[tuple[str, float, float, float]]) -> None:
    table = _table(values, 10_000)
    assert len(table.columns) == 4
    assert "…" not in "".join(_written(table))
