"""Where a diagram's axes stand and what they span; lines, ticks and words of the axes themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kiseki.curves.axis import Floats, Limits, step_limits, step_ticks, value_limits, value_ticks
from kiseki.curves.diagram.svg import SIZE, SMALL, straight, words_at
from kiseki.curves.diagram.trace import Line
from kiseki.curves.style import FAINT_INK, FRAME, GRID, INK, width
from kiseki.curves.texts import Language, text

_RIGHT = 6.0


@dataclass(frozen=True, slots=True)
class Plot:
    """Where the axes stand, in points from the top left corner, and what they span."""

    left: float
    top: float
    width: float
    height: float
    steps: Limits
    values: Limits
    log: bool

    def x(self, step: Floats) -> Floats:
        """Where steps stand, in points from the left."""
        return self.left + (step - self.steps[0]) / (self.steps[1] - self.steps[0]) * self.width

    def y(self, value: Floats) -> Floats:
        """Where values stand, in points from the top."""
        low, high = self.values
        if self.log:
            value, low, high = np.log10(value), float(np.log10(low)), float(np.log10(high))
        return self.top + (high - value) / (high - low) * self.height

    @property
    def right(self) -> float:
        """Where the axes end, in points from the left."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Where the axes end, in points from the top."""
        return self.top + self.height


def plot_of(
    lines: Sequence[Line], drawable: Floats, lost: Floats, attempts: Sequence[int], size: tuple[float, float],
    top: float, log: bool,
) -> Plot:  # fmt: skip
    """Decide where the axes stand and what they span.

    Args:
        lines: the curves.
        drawable: float64[n], every value that will be drawn, finite.
        lost: float64[m], steps without a number; they need headroom for their crosses.
        attempts: steps that the axis must reach.
        size: width of the picture and height of its axes, in points.
        top: where the axes begin, in points.
        log: the vertical axis is logarithmic.
    """
    steps = step_limits([*(line.step for line in lines), lost, np.array(attempts, np.float64)])
    headroom = 0.12 if len(lost) else 0.0
    values, left = (0.0, 1.0), 8.0
    if len(drawable):
        values = value_limits(drawable, log=log, from_zero=False, margin=0.06, headroom=headroom)
        _, labels = value_ticks(values, log=log, most=5)
        left = 6.0 + max((width(label, SIZE) * 72 for label in labels), default=0.0)
    return Plot(left, top, size[0] - left - _RIGHT, size[1], steps, values, log)


def axes_of(plot: Plot, language: Language, has_lines: bool) -> list[str]:
    """The axes with grid, ticks and the name of the horizontal one."""
    elements = []
    ticks, labels = value_ticks(plot.values, log=plot.log, most=5)
    for place, label in zip(plot.y(ticks), labels, strict=True):
        elements.append(straight(plot.left, place, plot.right, place, GRID, 0.5))
        elements.append(words_at(plot.left - 4, place + 2.6, label, INK, anchor="end"))
    ticks, labels = step_ticks(plot.steps, most=max(3, int(plot.width / 55)))
    for place, label in zip(plot.x(ticks), labels, strict=True):
        elements.append(straight(place, plot.top, place, plot.bottom, GRID, 0.5))
        elements.append(words_at(place, plot.bottom + 9.5, label, INK, anchor="middle"))
    elements.append(straight(plot.left, plot.top, plot.left, plot.bottom, FRAME, 0.6))
    elements.append(straight(plot.left, plot.bottom, plot.right, plot.bottom, FRAME, 0.6))
    middle = plot.left + plot.width / 2
    elements.append(words_at(middle, plot.bottom + 20, text("step", language), FAINT_INK, anchor="middle", size=SMALL))
    return elements


def empty_axes(plot: Plot, language: Language, lost: bool) -> list[str]:
    """A frame that says why nothing is in it."""
    words = text("no_finite" if lost else "not_recorded", language)
    return [
        f'<rect x="{plot.left:.2f}" y="{plot.top:.2f}" width="{plot.width:.2f}" height="{plot.height:.2f}" '
        f'fill="none" stroke="{GRID}" stroke-width="0.6"/>',
        words_at(
            plot.left + plot.width / 2, plot.top + plot.height / 2 + 3, words, FAINT_INK, anchor="middle", size=9.0
        ),
    ]
