"""The line drawn over a noisy curve: a centred running trimmed mean, and why not an exponential moving average.

An exponential moving average lags: it shows a jump of a penalty weight, or a divergence, later than it happened, and
one spike bends it for many steps. Here each point becomes the mean of the middle third of the values around it. Like a
running median that has no lag, keeps a jump where it is (to within a sixth of the window) and ignores spikes
shorter than a third of the window; unlike it, a falling curve does not become a staircase. The price: it needs
the points after, so the newest half window of the line may still move.

Assumes that the noise of neighbouring points is independent, and that their middle is what one wants to see; where the
noise is skewed that is not the mean, so no number of a report is taken from this line.
Discards every feature shorter than a third of the window.
"""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

FEWEST_POINTS = 20
"""Below this there is no smoothed line: the points themselves are the clearer picture."""

MOST_POINTS = 500
"""Longer curves are first reduced to this many medians of neighbouring points."""


def running_trimmed_mean(value: NDArray[np.float64], half_width: int) -> NDArray[np.float64]:
    """The mean of the middle third of the values in a window centred on each point.

    Towards the ends the window shrinks symmetrically, which keeps a trend unbiased, but to no less than half of
    `half_width` inwards, so that the line does not end on one noisy point.

    Args:
        value: float64[n], finite.
        half_width: how many points on either side belong to the window; 0 gives the values back.

    Returns:
        float64[n].

    Example:
        >>> running_trimmed_mean(np.array([1.0, 1, 50, 1, 2, 2, 2]), half_width=1).tolist()
        [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    """
    last = len(value) - 1
    fewest = (half_width + 1) // 2
    smooth = np.empty_like(value)
    for place in range(len(value)):
        reach = max(fewest, min(half_width, place, last - place))
        window = np.sort(value[max(0, place - reach) : place + reach + 1])
        trimmed = (len(window) + 1) // 3 if len(window) > 2 else 0
        middle = window[trimmed : len(window) - trimmed]
        smooth[place] = middle.mean()
    return smooth


def smoothed(
    step: NDArray[np.int64], value: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """A smoothed line through the finite points of one curve; None when there are too few of them.

    The window holds about as many points as the square root of their number, counted in points and not in steps.
    Non-finite values are left out before; the window reaches across gaps, which does little harm because a jump stays
    where it is. Whoever draws the line interrupts it at the gaps.

    Args:
        step: int64[n], not decreasing.
        value: float64[n]; NaN and infinities are left out.

    Returns:
        Steps int64[m] (each one a step of the curve) and smoothed values float64[m], m <= MOST_POINTS;
        None when fewer than FEWEST_POINTS values are finite.

    Source:
        The mid-mean and its relatives: J. W. Tukey, Exploratory Data Analysis (1977).

    Example:
        >>> step = np.arange(40)
        >>> jump = np.where(step < 20, 1.0, 5.0)
        >>> jump[7] = 1000.0
        >>> smoothed(step, jump)[1][[0, 7, 17, 22, 39]].tolist()
        [1.0, 1.0, 1.0, 5.0, 5.0]
        >>> smoothed(step[:19], jump[:19]) is None
        True
    """
    finite = np.isfinite(value)
    step, value = step[finite], value[finite]
    if len(value) < FEWEST_POINTS:
        return None
    step, value = _bucket_medians(step, value, -(-len(value) // MOST_POINTS))
    return step, running_trimmed_mean(value, isqrt(len(value)) // 2)


def _bucket_medians(
    step: NDArray[np.int64], value: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Medians of each `size` neighbouring points, at the step of the middle one; the last bucket may be shorter."""
    if size == 1:
        return step, value
    whole = len(value) // size * size
    medians = np.median(value[:whole].reshape(-1, size), axis=1)
    middles = step[:whole].reshape(-1, size)[:, size // 2]
    if whole < len(value):
        medians = np.append(medians, np.median(value[whole:]))
        middles = np.append(middles, step[(whole + len(value)) // 2])
    return middles, medians
