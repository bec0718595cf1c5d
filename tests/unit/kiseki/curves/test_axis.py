"""Scales, limits and labels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.curves.axis import log_helps, number, step_limits, step_ticks, value_limits, value_ticks

drawable = st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=20)


@given(drawable, st.booleans())
def test_linear_limits_contain_every_value_and_have_a_height(value: list[float], from_zero: bool) -> None:
    array = np.array(value)
    low, high = value_limits(array, log=False, from_zero=from_zero, margin=0.06, headroom=0.1)
    assert low <= array.min() <= array.max() <= high
    assert low < high


@given(st.lists(st.floats(1e-100, 1e100), min_size=1, max_size=20))
def test_logarithmic_limits_contain_every_value_and_stay_positive(value: list[float]) -> None:
    array = np.array(value)
    low, high = value_limits(array, log=True, from_zero=False, margin=0.06, headroom=0.1)
    assert 0 < low <= array.min() <= array.max() <= high


@given(drawable, st.booleans(), st.integers(3, 7))
def test_tick_labels_never_repeat(value: list[float], log: bool, most: int) -> None:
    array = np.abs(value) + 1e-90 if log else np.array(value)
    limits = value_limits(array, log=log, from_zero=False, margin=0.06, headroom=0.0)
    ticks, labels = value_ticks(limits, log=log, most=most)
    assert len(labels) == len(ticks) == len(set(labels))
    assert all(limits[0] <= tick <= limits[1] for tick in ticks)


@pytest.mark.parametrize("steps", [[], [1], [0, 1], [120], [2**63 - 1], [1, 2**63 - 1], [2**63 - 2, 2**63 - 1]])
def test_steps_of_any_size_fit_and_their_labels_never_repeat(steps: list[int]) -> None:
    limits = step_limits([np.array(steps, np.float64)])
    ticks, labels = step_ticks(limits, most=6)
    assert limits[0] < limits[1]
    assert all(limits[0] < step < limits[1] for step in map(float, steps))
    assert len(labels) == len(set(labels)) == len(ticks)


def test_steps_are_whole_and_their_thousands_are_separated() -> None:
    assert step_ticks(step_limits([np.array([1.0, 2.0, 3.0])]), most=6)[1] == ["1", "2", "3"]
    assert step_ticks(step_limits([np.array([1.0])]), most=6)[1] == ["0", "1", "2"]
    assert "200,000" in step_ticks(step_limits([np.array([1.0, 1e6])]), most=6)[1]


@pytest.mark.parametrize(
    ("values", "factor", "helps"),
    [
        ([2.3, 2.2, 2.1, 1e6], 20, True),
        ([100.0, 50.0, 3.0, 2.0, 1.0], 20, True),
        ([4.0, 3.0, 2.0], 20, False),
        ([0.0, 2.0, 1e6], 20, False),
        ([-1.0, 2.0, 1e6], 20, False),
        ([5.0, 5.0, 5.0], 5, False),
        ([1e9], 5, False),
        (list(2e-4 * (0.5 + 0.5 * np.cos(np.linspace(0, 3.1, 100)))), 100, False),
        (list(1e-3 * 0.1 ** (np.arange(100) // 25)), 100, True),
    ],
    ids=["diverged", "falling far", "ordinary", "zero", "negative", "equal", "single", "cosine", "decades"],
)
def test_log_scale_where_most_of_the_curve_would_else_lie_flat(values: Any, factor: float, helps: bool) -> None:
    assert log_helps(np.array(values), factor) is helps


@given(st.floats(-1e300, 1e300))
def test_a_number_is_stated_to_four_digits(value: float) -> None:
    stated = float(number(value).replace(",", "").replace("−", "-"))
    assert stated == pytest.approx(value, rel=5.1e-4, abs=1e-320)
