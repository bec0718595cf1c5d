"""The curves of a diagram as arrays, each with the look that tells it from the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kiseki.curves.axis import Floats
from kiseki.curves.curve import LARGEST_DRAWN
from kiseki.curves.style import EVALUATION, METRIC_COLOURS, printable

_COLOURS = ("#0173b2", "#d55e00", "#029e73", "#a0529c", "#8a5a2b", "#4c9fd0", "#6b6b6b", "#c28a00")
_DASHES = ("", "4 1.6", "1.4 1.4", "6 1.6 1.4 1.6")


class Trace(Protocol):
    """One curve: what `draw_diagram` reads of it.

    Attributes:
        name: what the legend says.
        steps: optimizer steps, ascending.
        values: as many; None where the recorded value is not finite, which leaves a gap.
        band: lowest and highest value at each step, NaN in a gap; or empty.
        non_finite_steps: optimizer steps with a value that is not finite.
        markers: the points are few and apart: draw them, not only the line.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def steps(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def values(self) -> Sequence[float | None]: ...  # noqa: D102
    @property
    def band(self) -> Sequence[tuple[float, float]]: ...  # noqa: D102
    @property
    def non_finite_steps(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def markers(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Line:
    """A trace as arrays, with how it is drawn.

    Attributes:
        name: for the legend, printable.
        step: float64[n].
        value: float64[n], NaN where nothing can be drawn.
        low, high: float64[n] or [0], the band.
        lost: float64[m], steps without a number.
        markers: draw the points.
        colour: of line and points.
        dash: SVG dash pattern, empty for a solid line.
    """

    name: str
    step: Floats
    value: Floats
    low: Floats
    high: Floats
    lost: Floats
    markers: bool
    colour: str
    dash: str


def lines_of(traces: Sequence[Trace]) -> list[Line]:
    """Make traces ready to be drawn.

    A known metric has the colour it has in the picture of the run; the others take the colours that are left, then
    dashes too, so that no two of them look alike before all have been used.
    """
    free = [colour for colour in _COLOURS if colour not in {METRIC_COLOURS.get(each.name) for each in traces}]
    free = free or list(_COLOURS)
    lines: list[Line] = []
    others = 0
    for trace in traces:
        colour, dash = METRIC_COLOURS.get(trace.name), ""
        if trace.markers and not any(line.colour == EVALUATION for line in lines):
            colour = EVALUATION
        if colour is None:
            colour, dash = free[others % len(free)], _DASHES[others // len(free) % len(_DASHES)]
            others += 1
        lines.append(_line(trace, colour, dash))
    return lines


def _line(trace: Trace, colour: str, dash: str) -> Line:
    step = np.array(trace.steps, np.float64)
    value = np.array([np.nan if value is None else value for value in trace.values], np.float64)
    value[~(np.abs(value) <= LARGEST_DRAWN)] = np.nan
    band = np.array(trace.band, np.float64).reshape(-1, 2)
    band[~(np.abs(band) <= LARGEST_DRAWN)] = np.nan
    lost = np.union1d(step[np.isnan(value)], np.array(trace.non_finite_steps, np.float64))
    return Line(printable(trace.name), step, value, band[:, 0], band[:, 1], lost, trace.markers, colour, dash)
