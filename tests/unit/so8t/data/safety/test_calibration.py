"""Probabilities that mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from so8t.data.safety.calibration import (
    brier_score,
    expected_calibration_error,
    fit_temperature,
    reliability,
    softmax,
)


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=12))
def test_probabilities_are_positive_and_sum_to_one(logits: list[float]) -> None:
    found = softmax(np.array(logits))
    assert (found >= 0).all()
    assert math.isclose(found.sum(), 1.0, rel_tol=1e-12)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 4.0])
def test_the_temperature_that_spoilt_the_logits_is_found_again(true_temperature: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(6000, 4)) * 2
    labels = np.array([rng.choice(4, p=row) for row in softmax(logits)])
    assert fit_temperature(logits * true_temperature, labels) == pytest.approx(true_temperature, rel=0.1)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
@example([(0.7, False)] * 3)
def test_bins_lose_no_prediction_and_the_error_is_a_share(pairs: list[tuple[float, bool]]) -> None:
    bins = reliability([p for p, _ in pairs], [happened for _, happened in pairs])
    assert sum(found.count for found in bins) == len(pairs)
    assert 0.0 <= expected_calibration_error(bins) <= 1.0
    assert all(found.low <= found.predicted <= found.high for found in bins if found.count)


def test_always_sure_and_always_wrong_is_the_worst_there_is() -> None:
    bins = reliability([1.0, 1.0], [False, False])
    assert expected_calibration_error(bins) == 1.0
    assert brier_score([1.0, 1.0], [False, False]) == 1.0
    assert math.isnan(bins[0].predicted)
