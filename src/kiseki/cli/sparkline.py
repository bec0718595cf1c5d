"""A curve in one line of text."""

import math

from kiseki.history import Column

BARS = "▁▂▃▄▅▆▇█"
NON_FINITE = "×"


def sparkline(column: Column, width: int = 40) -> str:
    """The metric over optimizer steps, left to right, scaled to its own lowest and highest mean.

    Each character is the mean over an equal range of steps; `×` where it holds a NaN or an infinity, a blank where
    it holds no value, as in a gap.

    Args:
        column: the values.
        width: most characters; fewer where there are fewer values.

    Example:
        >>> from array import array
        >>> nan = float("nan")
        >>> sparkline(Column("loss", array("q", range(4)), array("q", [1, 2, 3, 6]), array("d", [3, 2, nan, 1])), 6)
        '█× ▁'
    """
    if not len(column):
        return ""
    first, last = column.step[0], column.step[-1]
    bins: list[list[float]] = [[] for _ in range(min(width, len(column)))]
    for step, value in zip(column.step, column.value, strict=True):
        bins[(step - first) * len(bins) // (last - first + 1)].append(value)
    # each value is divided before summing, so that the largest doubles do not overflow
    means = [math.fsum(value / len(values) for value in values) if _finite(values) else math.nan for values in bins]
    known = [mean for mean in means if not math.isnan(mean)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(_bar(mean, low, high, bool(values)) for mean, values in zip(means, bins, strict=True))


def _finite(values: list[float]) -> bool:
    return bool(values) and all(map(math.isfinite, values))


def _bar(mean: float, low: float, high: float, measured: bool) -> str:
    if math.isnan(mean):
        return NON_FINITE if measured else " "
    if high == low:
        return BARS[len(BARS) // 2]
    share = (mean / 2 - low / 2) / (high / 2 - low / 2)  # halves: the range of doubles is wider than a double
    return BARS[min(int(share * len(BARS)), len(BARS) - 1)]
