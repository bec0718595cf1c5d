"""What is drawn of a column: gaps stay gaps, nothing disappears silently."""

from array import array
from math import inf, nan

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kiseki.curves.curve import prepare
from kiseki.history import Column


def column(value: list[float], position: list[int] | None = None, step: list[int] | None = None) -> Column:
    places = position or list(range(len(value)))
    return Column("loss", array("q", places), array("q", step or places), array("d", value))


def pieces(line_value: np.ndarray) -> list[list[float]]:
    parts = np.split(line_value, np.flatnonzero(np.isnan(line_value)))
    return [part[~np.isnan(part)].tolist() for part in parts if np.isfinite(part).any()]


def test_a_row_without_the_metric_interrupts_the_line() -> None:
    assert pieces(prepare(column([1, 2, 3, 4, 5], [0, 1, 3, 4, 5]), smooth=False).raw.value) == [[1, 2], [3, 4, 5]]


def test_a_value_that_is_not_finite_interrupts_the_line_and_is_counted() -> None:
    curve = prepare(column([1, 2, nan, 4, 5, -inf, 7, 8]), smooth=False)
    assert pieces(curve.raw.value) == [[1, 2], [4, 5], [7, 8]]
    assert curve.lost_steps.tolist() == [2, 5]


def test_rows_that_are_missing_altogether_interrupt_the_line() -> None:
    curve = prepare(column([1, 2, 3, 4, 5, 6], step=[10, 20, 30, 200, 210, 220]), smooth=False)
    assert pieces(curve.raw.value) == [[1, 2, 3], [4, 5, 6]]


def test_a_metric_of_every_tenth_row_and_a_coarser_interval_later_are_no_gaps() -> None:
    assert len(pieces(prepare(column([1, 2, 3, 4], [0, 10, 20, 30]), smooth=False).raw.value)) == 1
    coarser = column([1, 2, 3, 4, 5, 6], step=[1, 2, 3, 103, 203, 303])
    assert len(pieces(prepare(coarser, smooth=False).raw.value)) == 1


def test_a_point_between_two_gaps_is_found_although_no_line_reaches_it() -> None:
    curve = prepare(column([1, 2, nan, 4, nan, 6, 7]), smooth=False)
    assert curve.lone.value.tolist() == [4]


def test_the_smoothed_line_has_the_same_gaps() -> None:
    value = [1.0] * 60
    value[30] = nan
    smooth = prepare(column(value), smooth=True).smooth
    assert smooth is not None
    assert [len(piece) for piece in pieces(smooth.value)] == [30, 29]


def test_magnitudes_that_axes_cannot_calculate_with_are_marked_like_infinities() -> None:
    assert prepare(column([1.0, 1e300, 2.0]), smooth=False).lost_steps.tolist() == [1]


def test_the_last_value_is_the_last_recorded_one_even_when_it_is_nan() -> None:
    assert np.isnan(prepare(column([1.0, nan]), smooth=False).last)


@given(st.lists(st.floats(), min_size=1, max_size=200))
def test_every_recorded_point_of_a_short_curve_is_drawn_or_marked(value: list[float]) -> None:
    curve = prepare(column(value), smooth=True)
    drawn = curve.raw.step[np.isfinite(curve.raw.value)].tolist()
    assert sorted([*drawn, *curve.lost_steps.tolist()]) == list(range(len(value)))


def test_of_many_points_a_few_thousand_are_drawn_and_the_extremes_are_among_them() -> None:
    value = np.random.default_rng(0).normal(size=50_000).tolist()
    curve = prepare(column(value), smooth=True)
    assert curve.drawn <= 2002
    assert curve.recorded == 50_000
    assert np.nanmax(curve.raw.value) == max(value)
    assert np.nanmin(curve.raw.value) == min(value)
