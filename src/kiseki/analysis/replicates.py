"""What several runs of the same training say together: mean, interval and band of each metric.

One run says nothing about how much another would differ: for n = 1 there is no interval, and none is made up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from kiseki.history import Column

LEVEL = 0.95
"""Confidence level of intervals."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean over runs and how sure it is.

    Attributes:
        values: one of each run, in the order of the runs.
        mean: over the runs.
        std: estimated standard deviation between runs (ddof 1); None for one run.
        low, high: confidence interval of the mean for independent runs with normally distributed values (Student's
            t); None for one run.
        level: its confidence level.
    """

    values: tuple[float, ...]
    mean: float
    std: float | None
    low: float | None
    high: float | None
    level: float = LEVEL

    @property
    def n(self) -> int:
        """How many runs."""
        return len(self.values)


def interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The mean of runs with its confidence interval.

    Args:
        values: one finite value of each run; at least one.
        level: above 0, below 1.

    Example:
        >>> two = interval([1.0, 3.0])
        >>> two.mean, round(two.low, 3), round(two.high, 3)
        (2.0, -10.706, 14.706)
        >>> interval([1.0]).low is None
        True
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(tuple(values), mean, None, None, None, level)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = t_quantile(n - 1, level) * std / math.sqrt(n)
    return Interval(tuple(values), mean, std, mean - half, mean + half, level)


def t_quantile(degrees_of_freedom: int, level: float) -> float:
    """The t for which a Student's t variable lies within -t and t with probability `level`.

    The probability is a finite sum for whole degrees of freedom (Abramowitz and Stegun, Handbook of Mathematical
    Functions, 26.7.3 and 26.7.4); it grows with t, so halving an interval of angles finds the quantile.

    Example:
        >>> round(t_quantile(4, 0.95), 6)
        2.776445
    """
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees_of_freedom) < level else (low, middle)
    return math.sqrt(degrees_of_freedom) * math.tan((low + high) / 2)


def _within(angle: float, degrees_of_freedom: int) -> float:
    """P(|T| <= t) for t = sqrt(degrees of freedom) tan(angle)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees_of_freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for order in range(odd, degrees_of_freedom - 1, 2):
        total += term
        term *= cosine * cosine * (order + 1) / (order + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@dataclass(frozen=True, slots=True)
class Band:
    """A metric over several runs, at the optimizer steps that all of them recorded.

    Attributes:
        steps: those steps, ascending.
        mean: mean over the runs at each.
        low, high: lowest and highest run at each.
        runs: how many runs.
    """

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    runs: int


def band(columns: Sequence[Column]) -> Band:
    """Lay runs over one another. A step at which a run has no finite value is left out.

    Args:
        columns: the metric in each run; at least one.

    Example:
        >>> from array import array
        >>> one = Column("loss", array("q", [0, 1]), array("q", [10, 20]), array("d", [2.0, 1.0]))
        >>> two = Column("loss", array("q", [0, 1]), array("q", [20, 30]), array("d", [3.0, 1.0]))
        >>> band([one, two])
        Band(steps=(20,), mean=(2.0,), low=(1.0,), high=(3.0,), runs=2)
    """
    finite = []
    for column in columns:
        steps, values = np.asarray(column.step), np.asarray(column.value)
        kept = np.isfinite(values)
        finite.append((steps[kept], values[kept]))
    common = reduce(np.intersect1d, (steps for steps, _ in finite))
    table = np.stack([values[np.searchsorted(steps, common)] for steps, values in finite])
    return Band(
        steps=tuple(common.tolist()),
        mean=tuple(table.mean(axis=0).tolist()),
        low=tuple(table.min(axis=0).tolist()),
        high=tuple(table.max(axis=0).tolist()),
        runs=len(columns),
    )
