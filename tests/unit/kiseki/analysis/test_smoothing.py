"""The smoothed line follows the curve: no lag, jumps where they are, spikes ignored."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kiseki.analysis.smoothing import FEWEST_POINTS, MOST_POINTS, running_trimmed_mean, smoothed

finite = st.floats(-1e100, 1e100)


@given(st.lists(finite, min_size=1, max_size=80), st.integers(0, 12))
def test_a_smoothed_value_lies_between_the_lowest_and_highest_of_its_window(value: list[float], half: int) -> None:
    array = np.array(value)
    for place, smooth in enumerate(running_trimmed_mean(array, half)):
        window = array[max(0, place - half) : place + half + 1]
        slack = 1e-12 * np.abs(window).max()
        assert window.min() - slack <= smooth <= window.max() + slack


@given(st.lists(finite, min_size=1, max_size=80))
def test_a_window_of_one_point_gives_the_values_back(value: list[float]) -> None:
    assert running_trimmed_mean(np.array(value), 0).tolist() == value


@given(st.integers(20, 3000), st.floats(-10, 10), st.floats(-10, 10))
def test_a_straight_line_stays_where_it_is_away_from_the_ends(points: int, slope: float, start: float) -> None:
    step = np.arange(points)
    line = smoothed(step, np.asarray(start + slope * step, np.float64))
    assert line is not None
    at, value = line
    inner = slice(len(at) // 5, -(len(at) // 5))
    bucket = -(-points // MOST_POINTS)
    off = np.abs(value[inner] - (start + slope * at[inner]))
    assert off.max() <= abs(slope) * bucket / 2 + 1e-6


def test_a_jump_stays_within_a_sixth_of_the_window() -> None:
    step = np.arange(120)
    line = smoothed(step, np.where(step < 60, 1.0, 5.0))
    assert line is not None
    assert set(line[1][:59]) == {1.0}
    assert set(line[1][61:]) == {5.0}


def test_spikes_shorter_than_a_third_of_the_window_leave_no_trace() -> None:
    value = np.ones(120)
    value[50:53] = 1e6
    line = smoothed(np.arange(120), value)
    assert line is not None
    assert set(line[1]) == {1.0}


def test_there_is_no_smoothed_line_for_few_points_and_non_finite_ones_do_not_count() -> None:
    value = np.ones(FEWEST_POINTS)
    assert smoothed(np.arange(FEWEST_POINTS), value) is not None
    value[3] = np.nan
    assert smoothed(np.arange(FEWEST_POINTS), value) is None


@given(st.integers(FEWEST_POINTS, 5000))
def test_every_smoothed_point_stands_at_a_recorded_step_in_order(points: int) -> None:
    step = np.arange(points) * 10 + 3
    line = smoothed(step, np.sin(step))
    assert line is not None
    assert len(line[0]) == len(line[1]) <= MOST_POINTS
    assert np.isin(line[0], step).all()
    assert np.all(np.diff(line[0]) > 0)


def test_noise_becomes_smaller_by_about_the_square_root_of_the_middle_third() -> None:
    noise = np.random.default_rng(0).normal(size=400)
    line = smoothed(np.arange(400), noise)
    assert line is not None
    assert line[1].std() < noise.std() / 3
