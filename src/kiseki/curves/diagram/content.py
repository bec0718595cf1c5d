"""What stands between a diagram's axes: curves, phases, restarts, steps without a number."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kiseki.curves.axis import Floats
from kiseki.curves.diagram.plot import Plot
from kiseki.curves.diagram.svg import SMALL, dash_of, diamond, dot, points, straight, words_at
from kiseki.curves.diagram.trace import Line
from kiseki.curves.style import ALARM, FAINT_INK, OTHER_PHASE_COLOURS, PHASE_COLOURS, RESTART, printable, width
from kiseki.curves.texts import Language, known, text

RIBBON = 11.0
"""Height of the phases' names above the axes, in points."""

_FEW = 40
_CROSS = 2.0


def shaded_phases(plot: Plot, phases: Sequence[tuple[int, int, str]], language: Language) -> list[str]:
    """Phases as shading, named in the ribbon above where the name fits."""
    colours = PHASE_COLOURS | {known(f"phase.{name}", language, name): shade for name, shade in PHASE_COLOURS.items()}
    others = [name for name in dict.fromkeys(name for _, _, name in phases) if name not in colours]
    colours |= {name: OTHER_PHASE_COLOURS[place % len(OTHER_PHASE_COLOURS)] for place, name in enumerate(others)}
    elements = []
    for first, last, name in phases:
        start, end = max(float(first), plot.steps[0]), min(float(last) + 1.0, plot.steps[1])
        if start >= end:
            continue
        left, right = plot.x(np.array([start, end]))
        elements.append(
            f'<rect x="{left:.2f}" y="{plot.top - RIBBON:.2f}" width="{right - left:.2f}" '
            f'height="{plot.height + RIBBON:.2f}" fill="{colours[name]}"/>'
        )
        shown = known(f"phase.{name}", language, printable(name))
        if width(shown, SMALL) * 72 + 6 <= right - left:
            middle = (left + right) / 2
            elements.append(words_at(middle, plot.top - RIBBON + 8, shown, FAINT_INK, anchor="middle", size=SMALL))
    return elements


def restart_lines(plot: Plot, attempts: Sequence[int]) -> list[str]:
    """A dashed line at each step from which training was resumed."""
    places = plot.x(np.array(sorted(set(attempts)), np.float64))
    return [straight(x, plot.top, x, plot.bottom, RESTART, 0.7, dash="3 2") for x in places]


def curve_of(plot: Plot, line: Line) -> list[str]:
    """Band, line and points of one trace; a value that cannot be drawn interrupts the line."""
    elements = []
    for part in _stretches(np.isfinite(line.low) & np.isfinite(line.high)):
        across, low, high = plot.x(line.step[part]), plot.y(line.low[part]), plot.y(line.high[part])
        around = points(np.concatenate((across, across[::-1])), np.concatenate((low, high[::-1])))
        elements.append(f'<polygon points="{around}" fill="{line.colour}" fill-opacity="0.16"/>')
    drawn = np.isfinite(line.value)
    x, y = plot.x(line.step), plot.y(line.value)
    path = " ".join(f"M{points(x[part], y[part])}" for part in _stretches(drawn) if len(part) > 1)
    if path:
        stroke = (
            'stroke-width="0.6" stroke-dasharray="1 1.6"' if line.markers else f'stroke-width="1"{dash_of(line.dash)}'
        )
        elements.append(f'<path d="{path}" fill="none" stroke="{line.colour}" {stroke} stroke-linejoin="round"/>')
    alone = drawn & ~np.concatenate(([False], drawn[:-1])) & ~np.concatenate((drawn[1:], [False]))
    dotted = drawn if line.markers or np.count_nonzero(drawn) <= _FEW else alone
    draw = diamond if line.markers else dot
    return elements + [draw(px, py, line.colour) for px, py in zip(x[dotted], y[dotted], strict=True)]


def _stretches(whole: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The places of each run of true values."""
    pieces = np.split(np.arange(len(whole)), np.flatnonzero(~whole))
    return [part for piece in pieces if len(part := piece[whole[piece]])]


def lost_steps(plot: Plot, lost: Floats, language: Language) -> list[str]:
    """Crosses along the top for steps without a number, and their count; what would cover each other is drawn once."""
    if not len(lost):
        return []
    shown: list[float] = []
    for place in plot.x(lost).tolist():
        if not shown or place - shown[-1] >= 2.6 * _CROSS:
            shown.append(place)
    y, arm = plot.top + 6.0, _CROSS
    crosses = " ".join(
        f"M{x - arm:.2f} {y - arm:.2f}l{2 * arm:g} {2 * arm:g}M{x - arm:.2f} {y + arm:.2f}l{2 * arm:g} {-2 * arm:g}"
        for x in shown
    )
    count = text("non_finite_count", language, f"{len(lost):,}")
    middle = plot.left + plot.width / 2
    at_left = 2 * sum(place < middle for place in shown) < len(shown)
    room = width(count, SMALL) * 72 + 4
    left = plot.left + 2 if at_left else plot.right - room - 2
    return [
        f'<path d="{crosses}" fill="none" stroke="{ALARM}" stroke-width="1"/>',
        f'<rect x="{left:.2f}" y="{y - 5:.2f}" width="{room:.2f}" height="10" fill="#ffffff" fill-opacity="0.85"/>',
        words_at(left + 2, y + 2.5, count, ALARM, size=SMALL),
    ]
