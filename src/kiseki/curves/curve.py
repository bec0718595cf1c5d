"""From a recorded column to what is drawn of it: raw points, smoothed line, gaps, and the steps without a number."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kiseki.analysis.downsample import min_max
from kiseki.analysis.smoothing import smoothed
from kiseki.history import Column

Floats = NDArray[np.float64]

LARGEST_DRAWN = 1e100
"""Magnitudes beyond this overflow the arithmetic of axes; they are marked like infinities."""

BUCKETS = 1000
"""Stretches of the step axis for downsampling; no panel has more pixels across."""

_ISOLATED_STEP_GAP = 3.0


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline; a NaN interrupts it.

    Attributes:
        step: float64[n].
        value: float64[n].
    """

    step: Floats
    value: Floats


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric, ready to be drawn.

    Attributes:
        metric: its name.
        value: float64, every value that can be drawn, for scales and limits.
        raw: the recorded points, downsampled.
        smooth: the line over them, None for few points.
        lone: the points that no line reaches because of a gap on either side.
        lost_steps: float64, steps whose value is NaN, infinite or beyond LARGEST_DRAWN.
        recorded: how many values were recorded.
        drawn: how many of them are points of `raw`.
        last: the last recorded value, whatever it is.
    """

    metric: str
    value: Floats
    raw: Line
    smooth: Line | None
    lone: Line
    lost_steps: Floats
    recorded: int
    drawn: int
    last: float


def prepare(column: Column, *, smooth: bool) -> Curve:
    """Make a column drawable.

    Args:
        column: at least one value.
        smooth: whether a smoothed line makes sense for this metric; it does not for a schedule.
    """
    position, step = np.array(column.position, np.int64), np.array(column.step, np.int64)
    value = np.array(column.value, np.float64)
    drawable = np.abs(value) <= LARGEST_DRAWN  # False for NaN
    lost_steps = step[~drawable].astype(np.float64)
    usual_stride = float(np.median(np.diff(position))) if len(position) > 1 else 1.0
    position, step, value = position[drawable], step[drawable], value[drawable]
    gap_starts = step[:-1][gaps(position, step, usual_stride)]

    chosen = min_max(step, value, BUCKETS)
    raw = _interrupted(step[chosen], value[chosen], gap_starts)
    line = smoothed(step, value) if smooth else None
    return Curve(
        metric=column.name,
        value=value,
        raw=raw,
        smooth=None if line is None else _interrupted(*line, gap_starts),
        lone=_lone_points(raw),
        lost_steps=lost_steps,
        recorded=len(column),
        drawn=len(chosen),
        last=column.value[-1],
    )


def gaps(position: NDArray[np.int64], step: NDArray[np.int64], usual_stride: float) -> NDArray[np.bool_]:
    """Between which neighbouring points something is missing.

    Two signs: rows lie between them in which this metric is missing or has no drawable value (more rows than usual, for
    a metric that is recorded every n-th row); or the rows themselves are missing, seen as a distance in steps more than
    three times that before and after. A recorder that from some step on records less often leaves no gap.

    Args:
        position: int64[n], index of each point's row.
        step: int64[n], increasing.
        usual_stride: the metric's usual distance in rows.

    Returns:
        bool[n - 1], True for a gap.

    Example:
        >>> gaps(np.array([0, 1, 3, 4, 5, 6]), np.array([1, 2, 4, 5, 60, 61]), 1.0).tolist()
        [False, True, False, True, False]
    """
    if len(step) < 2:
        return np.zeros(0, np.bool_)
    missing_values = np.diff(position) > usual_stride
    distance = np.diff(step.astype(np.float64))
    if len(distance) == 1:
        return missing_values
    before = np.concatenate(([0.0], distance[:-1]))
    after = np.concatenate((distance[1:], [0.0]))
    return missing_values | (distance > _ISOLATED_STEP_GAP * np.maximum(before, after))


def _interrupted(step: NDArray[np.int64], value: Floats, gap_starts: NDArray[np.int64]) -> Line:
    """A polyline with a NaN wherever a gap lies between two points, unless the gap is narrower than a pixel."""
    x = step.astype(np.float64)
    if len(x) < 2:
        return Line(x, value)
    gaps_before = np.searchsorted(gap_starts, step)
    crosses_gap = np.diff(gaps_before) > 0
    visible = np.diff(x) * BUCKETS >= x[-1] - x[0]
    breaks = np.flatnonzero(crosses_gap & visible) + 1
    return Line(np.insert(x, breaks, np.nan), np.insert(value, breaks, np.nan))


def _lone_points(line: Line) -> Line:
    drawn = np.concatenate(([False], np.isfinite(line.value), [False]))
    lone = drawn[1:-1] & ~drawn[:-2] & ~drawn[2:]
    return Line(line.step[lone], line.value[lone])


def columns_of(recorded: Mapping[str, Column], *metrics: str) -> list[Column]:
    """The columns that were recorded at all, in the order asked for."""
    return [recorded[metric] for metric in metrics if metric in recorded]
