"""Downsampling for pictures keeps what the eye would see."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kiseki.analysis.downsample import min_max

values = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=300)
buckets = st.integers(1, 20)


def steps_for(value: list[float]) -> NDArray[np.int64]:
    return np.cumsum(np.arange(len(value)) % 7 + 1).astype(np.int64)


@given(values, buckets)
def test_indices_are_strictly_increasing_finite_and_at_most_two_per_bucket_and_two_ends(
    value: list[float], buckets: int
) -> None:
    value_array = np.array(value, np.float64)
    chosen = min_max(steps_for(value), value_array, buckets)
    assert np.all(np.diff(chosen) > 0)
    assert np.isfinite(value_array[chosen]).all()
    assert len(chosen) <= 2 * buckets + 2


@given(values, buckets)
def test_first_last_lowest_and_highest_finite_points_are_kept(value: list[float], buckets: int) -> None:
    value_array = np.array(value, np.float64)
    finite = np.flatnonzero(np.isfinite(value_array))
    chosen = min_max(steps_for(value), value_array, buckets)
    if not len(finite):
        assert not len(chosen)
        return
    assert chosen[0] == finite[0]
    assert chosen[-1] == finite[-1]
    assert value_array[chosen].min() == value_array[finite].min()
    assert value_array[chosen].max() == value_array[finite].max()


@given(values, buckets)
def test_every_bucket_keeps_its_own_extremes_the_ragged_last_one_too(value: list[float], buckets: int) -> None:
    value_array, step = np.array(value, np.float64), steps_for(value)
    chosen = min_max(step, value_array, buckets)
    finite = np.flatnonzero(np.isfinite(value_array))
    if len(finite) <= 2 * buckets:
        assert chosen.tolist() == finite.tolist()
        return
    edges = np.linspace(float(step[finite[0]]), float(step[finite[-1]]), buckets + 1)[1:-1]
    bucket_of = np.searchsorted(edges, step, side="right")
    for bucket in range(buckets):
        here = finite[bucket_of[finite] == bucket]
        kept = chosen[bucket_of[chosen] == bucket]
        if len(here):
            assert value_array[kept].min() == value_array[here].min()
            assert value_array[kept].max() == value_array[here].max()


def test_a_spike_of_one_point_in_a_million_survives() -> None:
    value = np.zeros(1_000_000)
    value[777_777] = 1.0
    assert 777_777 in min_max(np.arange(1_000_000), value, 1000)


def test_steps_as_large_as_an_int64_do_not_overflow() -> None:
    step = np.array([-(2**63), 0, 1, 2, 2**63 - 1])
    assert min_max(step, np.array([0.0, 3, -3, 1, 0]), 1).tolist() == [0, 1, 2, 4]
