"""Scales, limits and ticks, computed here so that labels are in the figure's own font and never repeat each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Limits = tuple[float, float]

_SMALLEST_ON_LOG = 1e-100
_MOST_DECADES_BELOW = 0.3
_STEPS = [1, 2, 2.5, 5, 10]


def log_helps(value: Floats, factor: float) -> bool:
    """Whether a logarithmic axis shows more than a linear one.

    It does when every value is positive, and either the bulk of them (10th to 90th percentile) spans `factor`, or the
    largest is `factor` times the median, so that on a linear axis most of the curve would lie flat on the floor.

    Example:
        >>> log_helps(np.array([2.3, 2.2, 2.1, 1e6]), 20), log_helps(np.array([2.3, 2.2, 2.1, 4.0]), 20)
        (True, False)
    """
    if len(value) < 2 or value.min() < _SMALLEST_ON_LOG:
        return False
    low, middle, high = np.percentile(value, (10, 50, 90))
    return bool(high >= factor * low or value.max() >= factor * middle)


def value_limits(value: Floats, *, log: bool, from_zero: bool, margin: float, headroom: float) -> Limits:
    """Limits that leave a margin around the values.

    Args:
        value: float64[n], n >= 1, finite.
        log: for a logarithmic axis; all values positive.
        from_zero: begin a linear axis just below zero if no value is negative.
        margin: share of the height to keep free below and above.
        headroom: share of the height to keep free above that, for marks.

    Example:
        >>> value_limits(np.array([3.0, 8.0]), log=False, from_zero=True, margin=0.25, headroom=0.0)
        (-0.8, 10.0)
    """
    low, high = float(value.min()), float(value.max())
    if log:
        low, high = float(np.log10(low)), float(np.log10(high))
    grounded = from_zero and low >= 0 and not log
    if grounded:
        low, high = 0.0, high or 1.0
    size = max(abs(low), abs(high))
    span = high - low
    if span <= size * 1e-4:
        span = size * 0.1 or 1.0
        low, high = low - span / 2, high + span / 2
    below = margin * span * (0.4 if grounded else 1.0)  # a line at zero must not hide behind the frame
    bottom, top = low - (min(below, _MOST_DECADES_BELOW) if log else below), high + (margin + headroom) * span
    return (float(10**bottom), float(10**top)) if log else (bottom, top)


def value_ticks(limits: Limits, *, log: bool, most: int) -> tuple[Floats, list[str]]:
    """Ticks within the limits, at most about `most`, and their labels."""
    low, high = limits
    if log:
        ticks = _within(_log_ticks(np.log10(low), np.log10(high), most), limits)
        if len(ticks) >= 2:
            return ticks, labels(ticks, plain_below=1e5, alike=False)
    ticks = _within(MaxNLocator(most, steps=_STEPS).tick_values(low, high), limits)
    ticks[np.abs(ticks) < (high - low) * 1e-9] = 0.0  # 0 comes out of the arithmetic as 1e-17
    return ticks, labels(ticks, plain_below=1e5, alike=not log)


def _log_ticks(low: float, high: float, most: int) -> Floats:
    """Ticks between two powers of ten, within decades when there are few of these."""
    decades = np.arange(np.floor(low), np.ceil(high) + 1)
    within_decade = [1.0, 2.0, 5.0] if high - low < 1.8 else [1.0, 3.0] if high - low < 2.6 else [1.0]
    if len(within_decade) == 1:
        decades = np.asarray(MaxNLocator(most, steps=[1, 2, 5, 10], integer=True).tick_values(low, high))
    return np.outer(10.0**decades, within_decade).ravel()


def step_limits(steps: Sequence[Floats]) -> Limits:
    """Limits that hold every step, with a little air; also around a single one, and around one of 2**63."""
    known = np.concatenate([*steps, np.zeros(0)])
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    span = max(high - low, 2.0, max(abs(low), abs(high)) * 1e-6)
    missing = (span - (high - low)) / 2
    return low - missing - 0.015 * span, high + missing + 0.015 * span


def step_ticks(limits: Limits, *, most: int) -> tuple[Floats, list[str]]:
    """Ticks at whole steps."""
    ticks = _within(MaxNLocator(most, steps=_STEPS, integer=True).tick_values(*limits), limits)
    ticks = ticks[ticks == np.floor(ticks)]
    ticks = ticks[ticks >= 0] if limits[1] > 0 else ticks
    return ticks, labels(ticks, plain_below=1e7, alike=True)


def number(value: float, digits: int = 4, *, plain_from: float = 1e-3, plain_below: float = 1e7) -> str:
    """A value as a reader wants it: thousands separated, exponents only where zeros would have to be counted.

    Args:
        value: finite or not.
        digits: significant ones.
        plain_from: magnitudes below this have an exponent, but for 0.
        plain_below: magnitudes from here on have one, too.

    Example:
        >>> number(12000.0), number(0.00020), number(-1.5e-7), number(float("nan")), number(2.0**63)
        ('12,000', '2e−4', '−1.5e−7', 'NaN', '9.223e18')
    """
    if not np.isfinite(value):
        return "NaN" if value != value else "∞" if value > 0 else "−∞"
    magnitude = abs(value)
    if value == 0 or plain_from <= magnitude < plain_below:
        text = np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")
        whole, point, fraction = text.partition(".")
        text = f"{int(whole):,}{point}{fraction}" if magnitude >= 1000 else text
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def labels(ticks: Floats, *, plain_below: float, alike: bool) -> list[str]:
    """Labels of ticks, with the fewest digits that state each tick to a thousandth of their distance.

    Args:
        ticks: increasing.
        plain_below: magnitudes from here on have an exponent.
        alike: give all of them an exponent when one needs it.

    Example:
        >>> labels(np.array([0, 5e-4, 1e-3]), plain_below=1e5, alike=True)
        ['0', '5e−4', '1e−3']
    """
    size = np.abs(ticks[ticks != 0])
    plain_from = 1e-3
    if alike and len(size) and (size.min() < plain_from or size.max() >= plain_below):
        plain_from = float("inf")
    distance = float(np.min(np.diff(ticks))) if len(ticks) > 1 else float(size.sum())
    texts: list[str] = []
    for digits in range(1, 16):
        texts = [number(float(tick), digits, plain_from=plain_from, plain_below=plain_below) for tick in ticks]
        stated = [float(text.replace(",", "").replace("−", "-")) for text in texts]
        if np.allclose(stated, ticks, rtol=0, atol=distance / 1000):
            break
    return texts


def _within(ticks: Sequence[float] | Floats, limits: Limits) -> Floats:
    values = np.asarray(ticks, np.float64)
    return values[(values >= limits[0]) & (values <= limits[1])]
