"""Fewer points for the same picture: what a curve of a million points needs to look the same on a thousand pixels."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def min_max(step: NDArray[np.int64], value: NDArray[np.float64], buckets: int) -> NDArray[np.int64]:
    """Choose the lowest and the highest point of each of `buckets` equal stretches of the step axis.

    Unlike averaging or every n-th point, this keeps every spike: a polyline through the chosen points covers the same
    pixels as one through all points when there is at least one bucket per pixel. It is for drawing only: statistics
    of the chosen points are not those of the run, because extremes are over-represented.

    Non-finite values are never chosen; mark them beside the curve (`~numpy.isfinite(value)`).

    Args:
        step: int64[n], not decreasing.
        value: float64[n].
        buckets: number of stretches, at least 1.

    Returns:
        int64[m], m <= 2 * buckets + 2: strictly increasing indices into `step`. The first and the last finite point
        are among them; all finite points are, when there are no more than 2 * buckets.

    Example:
        >>> step = np.arange(10)
        >>> value = np.array([0.0, 1, 9, 1, 0, 0, float("nan"), -7, 0, 2])
        >>> min_max(step, value, buckets=2).tolist()
        [0, 2, 7, 9]
    """
    finite = np.flatnonzero(np.isfinite(value))
    if len(finite) <= 2 * buckets:
        return finite
    step, value = step[finite], value[finite]
    inner_edges = np.linspace(float(step[0]), float(step[-1]), buckets + 1)[1:-1]
    edges = [0, *np.searchsorted(step, inner_edges).tolist(), len(step)]
    chosen = [0, len(step) - 1]
    for start, stop in pairwise(edges):
        if start < stop:
            bucket = value[start:stop]
            chosen += (start + int(bucket.argmin()), start + int(bucket.argmax()))
    return finite[np.unique(chosen)]
