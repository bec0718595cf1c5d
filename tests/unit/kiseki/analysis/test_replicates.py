"""Several runs together: Student's interval as scipy computes it, and bands over the steps that all runs share."""

import math
from array import array

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kiseki.analysis.replicates import band, interval, t_quantile
from kiseki.history import Column

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)


def column(steps: list[int], values: list[float]) -> Column:
    return Column("loss", array("q", range(len(steps))), array("q", steps), array("d", values))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 29, 100, 1001])
def test_the_quantile_of_students_t_is_scipys(degrees: int, level: float) -> None:
    assert t_quantile(degrees, level) == pytest.approx(scipy.stats.t.ppf((1 + level) / 2, degrees), rel=1e-9)


@given(VALUES)
def test_the_interval_is_scipys(values: list[float]) -> None:
    found = interval(values)
    assert found.n == len(values)
    assert found.std is not None
    assert found.std == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-9)
    error = found.std / math.sqrt(len(values))
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error or 1e-300)
    assert found.low == pytest.approx(low, rel=1e-6, abs=1e-6)
    assert found.high == pytest.approx(high, rel=1e-6, abs=1e-6)


def test_one_run_has_no_interval() -> None:
    alone = interval([2.5])
    assert (alone.n, alone.mean, alone.std, alone.low, alone.high) == (1, 2.5, None, None, None)


@given(st.lists(st.dictionaries(st.integers(0, 30), st.floats(-1e3, 1e3) | st.just(math.nan)), min_size=1, max_size=4))
def test_a_band_holds_every_run_at_the_steps_where_all_have_a_finite_value(runs: list[dict[int, float]]) -> None:
    found = band([column(sorted(run), [run[step] for step in sorted(run)]) for run in runs])
    shared = [step for step in range(31) if all(math.isfinite(run.get(step, math.nan)) for run in runs)]
    assert list(found.steps) == shared
    for step, mean, low, high in zip(found.steps, found.mean, found.low, found.high, strict=True):
        values = [run[step] for run in runs]
        assert (low, high) == (min(values), max(values))
        assert mean == pytest.approx(math.fsum(values) / len(values), abs=1e-9)
