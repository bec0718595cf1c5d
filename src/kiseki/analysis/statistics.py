"""Minimum, maximum, mean, standard deviation and final value of a metric.

Minimum, maximum, mean and deviation are over the finite values; the others are counted beside them, so that one NaN
neither spoils a mean nor disappears. The final value is what was recorded last, finite or not. Sums are `math.fsum`,
exact before the one rounding at the end, so every Python writes the same digits.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kiseki.history import Column
from kiseki.vocabulary import BASIC, BOOKKEEPING, OPTIONAL

DDOF = 0
"""Delta degrees of freedom of `std`: the deviation of the recorded values themselves, not an estimate from a sample."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is said of one metric.

    Attributes:
        n: finite values.
        min, max, mean: over the finite values, None where there is none.
        std: standard deviation over the finite values with `ddof`; 0.0 for a single value.
        ddof: delta degrees of freedom of `std`.
        final: last recorded value, also when it is NaN or infinite.
        final_step: optimizer step of `final`.
        last_finite: last finite value, None where there is none.
        last_finite_step: optimizer step of `last_finite`.
        non_finite: values that are NaN or infinite.
        first_non_finite_step: optimizer step of the first of them.
    """

    n: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    ddof: int
    final: float | None
    final_step: int | None
    last_finite: float | None
    last_finite_step: int | None
    non_finite: int
    first_non_finite_step: int | None


def summarise(column: Column) -> Summary:
    """The statistics of one metric.

    Args:
        column: its values, in the metric's own unit.

    Example:
        >>> from array import array
        >>> loss = Column("loss", array("q", [0, 1, 2]), array("q", [10, 20, 30]), array("d", [2.0, 1.0, float("nan")]))
        >>> summary = summarise(loss)
        >>> summary.mean, summary.std, summary.final, summary.final_step
        (1.5, 0.5, nan, 30)
        >>> summary.last_finite, summary.last_finite_step
        (1.0, 20)
        >>> summary.non_finite, summary.first_non_finite_step
        (1, 30)
    """
    finite = [value for value in column.value if math.isfinite(value)]
    non_finite = len(column) - len(finite)
    low, high = min(finite, default=None), max(finite, default=None)
    mean, std = (None, None) if low is None or high is None else _mean_and_std(finite, low, high)
    return Summary(
        n=len(finite),
        min=low,
        max=high,
        mean=mean,
        std=std,
        ddof=DDOF,
        final=column.value[-1] if len(column) else None,
        final_step=column.step[-1] if len(column) else None,
        last_finite=finite[-1] if finite else None,
        last_finite_step=_step_of_last_finite(column),
        non_finite=non_finite,
        first_non_finite_step=_step_of_first_non_finite(column) if non_finite else None,
    )


def summarise_all(columns: Mapping[str, Column]) -> dict[str, Summary]:
    """The statistics of every metric; the specification's names first, then as they first appeared.

    Args:
        columns: `Rows.columns`; the keys that only say where a row belongs are left out.
    """
    return {name: summarise(columns[name]) for name in in_order(columns) if name not in BOOKKEEPING}


def difference(one: float, other: float) -> float | None:
    """The first minus the second, None where one of them is no finite number.

    Example:
        >>> difference(4.0, 1.5), difference(4.0, float("nan"))
        (2.5, None)
    """
    return one - other if math.isfinite(one) and math.isfinite(other) else None


def in_order(names: Iterable[str]) -> list[str]:
    """Metric names as they are listed everywhere: those the specification fixes, then the others as given.

    Example:
        >>> in_order(["lm_loss", "pet_loss", "loss"])
        ['loss', 'pet_loss', 'lm_loss']
    """
    given = list(dict.fromkeys(names))
    fixed = (*BASIC, *OPTIONAL)
    return [name for name in fixed if name in given] + [name for name in given if name not in fixed]


def _mean_and_std(finite: list[float], low: float, high: float) -> tuple[float, float]:
    # Scaling by a power of two is exact and keeps sums and squares of the largest doubles from overflowing.
    exponent = math.frexp(max(abs(low), abs(high)))[1]
    scaled = finite if -300 < exponent < 300 else [math.ldexp(value, -exponent) for value in finite]
    n = len(scaled)
    mean = math.fsum(scaled) / n
    std = math.sqrt(math.fsum((value - mean) * (value - mean) for value in scaled) / n)
    if scaled is not finite:
        return min(max(_ldexp(mean, exponent), low), high), _ldexp(std, exponent)
    return min(max(mean, low), high), std


def _ldexp(value: float, exponent: int) -> float:
    try:
        return math.ldexp(value, exponent)
    except OverflowError:  # rounding can carry the largest double one step too far
        return math.copysign(math.inf, value)


def _step_of_first_non_finite(column: Column) -> int | None:
    steps = zip(column.step, column.value, strict=True)
    return next((step for step, value in steps if not math.isfinite(value)), None)


def _step_of_last_finite(column: Column) -> int | None:
    steps = zip(reversed(column.step), reversed(column.value), strict=True)
    return next((step for step, value in steps if math.isfinite(value)), None)
