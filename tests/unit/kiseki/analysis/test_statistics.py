"""Statistics are numpy's, over finite values, the same digits on every Python."""

import math
import random
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.analysis.statistics import DDOF, in_order, summarise, summarise_all
from kiseki.history import Column

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MODERATE = st.floats(min_value=-1e6, max_value=1e6)


def column(values: list[float], name: str = "loss") -> Column:
    count = len(values)
    return Column(name, array("q", range(count)), array("q", range(10, 10 * count + 1, 10)), array("d", values))


@given(st.lists(MODERATE, min_size=1, max_size=60))
def test_statistics_equal_those_of_numpy(values: list[float]) -> None:
    summary = summarise(column(values))
    scale = max(1.0, max(map(abs, values)))
    assert (summary.n, summary.min, summary.max) == (len(values), min(values), max(values))
    assert summary.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12 * scale)
    assert summary.std == pytest.approx(np.std(values, ddof=DDOF), rel=1e-12, abs=1e-12 * scale)
    assert (summary.final, summary.final_step) == (values[-1], 10 * len(values))


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_no_finite_value_is_too_large_or_too_small(values: list[float]) -> None:
    summary = summarise(column(values))
    assert summary.mean is not None
    assert summary.std is not None
    assert min(values) <= summary.mean <= max(values)
    assert math.isfinite(summary.std)
    assert 0 <= summary.std <= max(map(abs, values))


@given(st.lists(FINITE, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_change_a_digit_of_mean_and_std(
    values: list[float], chance: random.Random
) -> None:
    shuffled = values.copy()
    chance.shuffle(shuffled)
    first, second = summarise(column(values)), summarise(column(shuffled))
    assert (first.mean, first.std) == (second.mean, second.std)


@given(st.lists(st.floats(), max_size=30))
def test_r07_every_value_is_either_in_the_statistics_or_counted_as_non_finite(values: list[float]) -> None:
    summary = summarise(column(values))
    assert summary.n + summary.non_finite == len(values)
    finite = [value for value in values if math.isfinite(value)]
    assert summary.last_finite == (finite[-1] if finite else None)
    assert repr(summary.final) == repr(values[-1] if values else None)
    if summary.non_finite:
        first = next(index for index, value in enumerate(values) if not math.isfinite(value))
        assert summary.first_non_finite_step == 10 * (first + 1)
    if not finite:
        assert (summary.min, summary.max, summary.mean, summary.std, summary.last_finite_step) == (None,) * 5


def test_r27_the_final_value_is_the_last_recorded_one_and_the_last_finite_one_stands_beside_it() -> None:
    summary = summarise(column([3.0, 2.0, math.nan, math.inf]))
    assert (summary.final, summary.final_step, summary.first_non_finite_step) == (math.inf, 40, 30)
    assert (summary.last_finite, summary.last_finite_step) == (2.0, 20)


def test_a_small_spread_on_a_large_mean_is_not_lost() -> None:
    assert summarise(column([1e9, 1e9 + 1, 1e9 + 2])).std == pytest.approx(math.sqrt(2 / 3), rel=1e-12)


def test_a_single_value_has_no_spread() -> None:
    assert summarise(column([0.1])).std == 0.0


def test_bookkeeping_keys_have_no_statistics_and_the_specified_names_come_first() -> None:
    names = ["zeta", "attempt", "perplexity", "step", "loss", "window_steps", "elapsed_time_seconds"]
    assert list(summarise_all({name: column([1.0], name) for name in names})) == ["loss", "perplexity", "zeta"]


@given(st.lists(st.text(max_size=5)))
def test_ordering_loses_and_invents_no_name(names: list[str]) -> None:
    assert sorted(in_order(names)) == sorted(set(names))
