"""Whether a probability means what it says, and the one number that brings it closer to that.

Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"): the logits are divided by a single
positive number, which changes no ranking of labels, only how sure the model claims to be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bin", "brier_score", "expected_calibration_error", "fit_temperature", "reliability", "softmax"]

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True)
class Bin:
    """The predictions of one range of probabilities.

    Attributes:
        low: the range's lower end, inclusive.
        high: its upper end, exclusive except for 1.
        count: predictions in it.
        predicted: their mean probability; NaN without any.
        observed: the share of them that came true; NaN without any.
    """

    low: float
    high: float
    count: int
    predicted: float
    observed: float


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of the last axis.

    Example:
        >>> softmax(np.array([0.0, 0.0, 1000.0])).tolist()
        [0.0, 0.0, 1.0]
    """
    shifted = np.asarray(logits, dtype=np.float64) - np.max(logits, axis=-1, keepdims=True)
    powers = np.exp(shifted)
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature under which held-back labels are most likely.

    Args:
        logits: [texts, labels], of texts the model was not fitted on.
        labels: [texts], column of the right label.

    Returns:
        A number from 0.05 to 20; above 1 where the model is too sure of itself.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> true = rng.normal(size=(4000, 3))
        >>> labels = np.array([rng.choice(3, p=p) for p in softmax(true)])
        >>> 2.7 < fit_temperature(true * 3, labels) < 3.3
        True
    """
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        likely = softmax(logits / math.exp(log_temperature))[rows, labels]
        return float(-np.log(np.maximum(likely, 1e-300)).mean())

    return math.exp(_minimum(loss, math.log(0.05), math.log(20.0)))


def reliability(probabilities: Sequence[float], happened: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Compare probabilities with what came true, in ranges of equal width.

    Args:
        probabilities: from 0 to 1.
        happened: whether each came true.
        bins: number of ranges.

    Example:
        >>> [(b.count, b.observed) for b in reliability([0.1, 0.2, 0.9, 1.0], [False, True, True, True], bins=2)]
        [(2, 0.5), (2, 1.0)]
    """
    p, came_true = np.asarray(probabilities, dtype=float), np.asarray(happened, dtype=float)
    places = np.minimum((p * bins).astype(int), bins - 1)
    found = []
    for i in range(bins):
        inside = places == i
        count = int(inside.sum())
        # A rounded mean can lie outside of what it is the mean of: three times 0.7 gives less than 0.7.
        predicted, observed = (
            float(v[inside].mean().clip(v[inside].min(), v[inside].max())) if count else math.nan
            for v in (p, came_true)
        )
        found.append(Bin(i / bins, (i + 1) / bins, count, predicted, observed))
    return found


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between predicted and observed share, weighted by count; 0 is perfect.

    Example:
        >>> expected_calibration_error(reliability([0.25, 0.25, 0.25, 0.25], [True, False, False, False]))
        0.0
    """
    total = sum(found.count for found in bins)
    return sum(found.count * abs(found.predicted - found.observed) for found in bins if found.count) / total


def brier_score(probabilities: Sequence[float], happened: Sequence[bool]) -> float:
    """Mean squared error of probabilities; 0 is perfect, 0.25 is what always saying 0.5 gets.

    Example:
        >>> brier_score([0.5, 0.5], [True, False])
        0.25
    """
    return float(np.mean((np.asarray(probabilities, dtype=float) - np.asarray(happened, dtype=float)) ** 2))


def _minimum(function: Callable[[float], float], low: float, high: float, rounds: int = 60) -> float:
    """Golden-section search for the minimum of a function with a single valley."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(rounds):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2.0
