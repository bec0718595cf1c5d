"""Curves as they are drawn keep what a reader must see."""

import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.history import Column
from kiseki.report.sections.diagrams import MOST_POINTS, Marked, band_series, diagram, series_of
from kiseki.report.sections.wording import speaker

VALUE = st.floats(allow_nan=True, allow_infinity=True, width=32)


def column(values: list[float], name: str = "loss") -> Column:
    steps = range(1, len(values) + 1)
    return Column(name, array("q", range(len(values))), array("q", steps), array("d", values))


@given(st.lists(VALUE, min_size=1, max_size=300))
def test_short_curves_are_drawn_whole_with_a_gap_wherever_a_number_is_missing(values: list[float]) -> None:
    series = series_of(column(values))
    drawn = {step: value for step, value in zip(series.steps, series.values, strict=True) if value is not None}
    assert drawn == {step: value for step, value in enumerate(values, start=1) if math.isfinite(value)}
    assert list(series.non_finite_steps) == [
        step for step, value in enumerate(values, start=1) if value not in drawn.values() and not math.isfinite(value)
    ]
    for (before, first), (after, second) in pairwise(zip(series.steps, series.values, strict=True)):
        between = values[before : after - 1]
        assert before < after
        assert first is None or second is None or all(map(math.isfinite, between))


@pytest.mark.parametrize("every", [0, 2, 3, 7])
def test_long_curves_have_at_most_two_thousand_points_with_every_extreme(every: int) -> None:
    values = [math.nan if every and step % every == 0 else math.sin(step) + step / 1e5 for step in range(1, 100_001)]
    values[50_000], values[70_000] = 1e6, -1e6
    series = series_of(column(values))
    assert len(series.steps) <= MOST_POINTS
    assert {1e6, -1e6} <= set(series.values)
    assert series.recorded == 100_000
    assert len(series.non_finite_steps) == (min(1000, 100_000 // every - (every == 2) * 0) if every else 0)
    assert (None in series.values) == bool(every)


def test_a_thinned_curve_says_so_and_counts_both() -> None:
    series = series_of(column([math.sin(step) for step in range(10_000)]))
    curves = diagram("Loss", "nat", [series], Marked(), speaker("en"))
    assert f"loss {len(series.steps):,}/10,000" in curves.note
    assert "Thinned" in curves.note
    whole = diagram("Loss", "nat", [series_of(column([2.0, 1.0]))], Marked(), speaker("en"))
    assert whole.note == "Points drawn of points recorded: loss 2/2."


def test_a_curve_without_a_finite_value_says_so() -> None:
    curves = diagram("Loss", "nat", [series_of(column([math.nan, math.inf]))], Marked(), speaker("ja"), log_factor=2.0)
    assert "有限値の記録なし" in curves.alternative
    assert not curves.logarithmic


@pytest.mark.parametrize(("values", "logarithmic"), [([1.0, 100.0], True), ([0.0, 100.0], False), ([1.0, 2.0], False)])
def test_an_axis_is_logarithmic_where_values_are_positive_and_far_apart(values: list[float], logarithmic: bool) -> None:
    curves = diagram("Loss", "nat", [series_of(column(values))], Marked(), speaker("en"), log_factor=20.0)
    assert curves.logarithmic is logarithmic


def test_a_band_reaches_from_the_lowest_to_the_highest_and_is_thinned_with_its_line() -> None:
    runs = [column([float(step % 7) + run for step in range(20_000)]) for run in range(3)]
    series = band_series("loss", runs)
    assert len(series.steps) == len(series.values) == len(series.band) <= MOST_POINTS
    assert all(
        low == value - 1 and high == value + 1 for value, (low, high) in zip(series.values, series.band, strict=True)
    )
    assert series.recorded == 20_000


def test_a_band_breaks_where_one_of_its_columns_has_no_number_and_the_step_is_counted_and_marked() -> None:
    whole, lost = column([1.0, 2.0, 3.0, 4.0, 5.0]), column([3.0, math.nan, math.inf, 4.0, 7.0])
    series = band_series("layers", [whole, lost])
    assert (series.recorded, series.non_finite_steps) == (5, (2, 3))
    drawn = dict(zip(series.steps, zip(series.values, series.band, strict=True), strict=True))
    assert (drawn[1], drawn[4], drawn[5]) == ((2.0, (1.0, 3.0)), (4.0, (4.0, 4.0)), (6.0, (5.0, 7.0)))
    assert drawn[2][0] is None
    note = diagram("Angle", "rad", [series], Marked(), speaker("en")).note
    assert "layers 3/5" in note
    assert "Not finite (NaN, ±∞): 2" in note


def test_a_band_without_a_single_common_number_still_marks_its_steps() -> None:
    series = band_series("layers", [column([math.nan, math.nan]), column([1.0, math.nan])])
    assert (series.recorded, series.non_finite_steps, set(series.values)) == (2, (1, 2), {None})
