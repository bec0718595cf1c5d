"""One diagram of any metrics as SVG, for documents that set their own type: text stays text, lines stay lines.

The picture of a run (`figure.py`) is for screens and has four panels; a document shows any number of metrics, each at
the width of its column. The SVG is written by hand because matplotlib makes its identifiers unrepeatable and its text
shapes unless settings of the whole process are changed, which a library must not do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from kiseki.curves.axis import Floats, Limits, step_limits, step_ticks, value_limits, value_ticks
from kiseki.curves.curve import LARGEST_DRAWN
from kiseki.curves.style import (
    ALARM,
    EVALUATION,
    FAINT_INK,
    FRAME,
    GRID,
    INK,
    METRIC_COLOURS,
    OTHER_PHASE_COLOURS,
    PHASE_COLOURS,
    RESTART,
    fitted,
    printable,
    width,
)
from kiseki.curves.texts import Language, known, text

_FAMILY = "Noto Sans JP"
_SIZE, _SMALL = 7.5, 7.0
_LEGEND_LINE, _RIBBON, _BELOW, _RIGHT = 11.0, 11.0, 25.0, 6.0
_SAMPLE = 13.0
_MOST_LEGEND_LINES = 12
_FEW = 40
_CROSS = 2.0
_COLOURS = ("#0173b2", "#d55e00", "#029e73", "#a0529c", "#8a5a2b", "#4c9fd0", "#6b6b6b", "#c28a00")
_DASHES = ("", "4 1.6", "1.4 1.4", "6 1.6 1.4 1.6")


class Trace(Protocol):
    """One curve: what `draw_diagram` reads of it.

    Attributes:
        name: what the legend says.
        steps: optimizer steps, ascending.
        values: as many; None where the recorded value is not finite, which leaves a gap.
        band: lowest and highest value at each step, or empty.
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
class _Line:
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


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where the axes stand, in points from the top left corner, and what they span."""

    left: float
    top: float
    width: float
    height: float
    steps: Limits
    values: Limits
    log: bool

    def x(self, step: Floats) -> Floats:
        return self.left + (step - self.steps[0]) / (self.steps[1] - self.steps[0]) * self.width

    def y(self, value: Floats) -> Floats:
        low, high = self.values
        if self.log:
            value, low, high = np.log10(value), float(np.log10(low)), float(np.log10(high))
        return self.top + (high - value) / (high - low) * self.height

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height


def draw_diagram(
    unit: str, traces: Sequence[Trace], *, language: Language = "en", size: tuple[float, float] = (480.0, 130.0),
    logarithmic: bool = False, attempts: Sequence[int] = (), phases: Sequence[tuple[int, int, str]] = (),
) -> bytes:  # fmt: skip
    """Draw curves over optimizer steps.

    Args:
        unit: what the vertical axis measures.
        traces: the curves; none, or none with a finite value, gives empty axes that say so.
        language: of every word but the caller's own.
        size: width of the picture and height of its axes, in points; legend and ribbon add to the height.
        logarithmic: the vertical axis is logarithmic, if every value is positive and none vanishingly small.
        attempts: optimizer steps at which a later attempt took over.
        phases: (first step, last step, name) of phases to shade.

    Returns:
        SVG, UTF-8, in points, in the figures' font by name: the same arguments give the same bytes.

    Example:
        >>> draw_diagram("nats", [])[:60]
        b'<svg xmlns="http://www.w3.org/2000/svg" width="480" height="'
    """
    lines = _lines(traces)
    drawable = np.concatenate([*(part for line in lines for part in (line.value, line.low, line.high)), np.zeros(0)])
    drawable = drawable[np.isfinite(drawable)]
    lost = np.unique(np.concatenate([*(line.lost for line in lines), np.zeros(0)]))
    log = logarithmic and len(drawable) > 0 and bool(drawable.min() >= 1 / LARGEST_DRAWN)
    legend, legend_lines = _legend(_entries(lines, bool(attempts), language), size[0])
    top = (1 + legend_lines) * _LEGEND_LINE + (_RIBBON if phases else 0.0) + 5.0
    plot = _plot(lines, drawable, lost, attempts, size, top, log)
    total = plot.bottom + _BELOW
    title = printable(unit) + (f" ({text('log', language)})" if log else "")
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]:g}" height="{total:g}" '
        f'viewBox="0 0 {size[0]:g} {total:g}" font-family="{_FAMILY}" font-size="{_SIZE}">',
        _text(0.0, 8.0, fitted(title, _SIZE, size[0] / 72), FAINT_INK),
        *legend,
        *_phases(plot, phases, language),
        *(_axes(plot, language, bool(lines)) if len(drawable) else _no_axes(plot, language, bool(len(lost)))),
        *_restarts(plot, attempts),
        *(element for line in lines for element in _curve(plot, line)),
        *_lost_steps(plot, lost, language),
        "</svg>",
    ]
    return "\n".join(elements).encode("utf-8")


def _lines(traces: Sequence[Trace]) -> list[_Line]:
    free = [colour for colour in _COLOURS if colour not in {METRIC_COLOURS.get(each.name) for each in traces}]
    free = free or list(_COLOURS)
    lines: list[_Line] = []
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


def _line(trace: Trace, colour: str, dash: str) -> _Line:
    step = np.array(trace.steps, np.float64)
    value = np.array([np.nan if value is None else value for value in trace.values], np.float64)
    value[~(np.abs(value) <= LARGEST_DRAWN)] = np.nan
    band = np.array(trace.band, np.float64).reshape(-1, 2)
    band[~(np.abs(band) <= LARGEST_DRAWN)] = np.nan
    lost = np.union1d(step[np.isnan(value)], np.array(trace.non_finite_steps, np.float64))
    return _Line(printable(trace.name), step, value, band[:, 0], band[:, 1], lost, trace.markers, colour, dash)


def _plot(
    lines: Sequence[_Line], drawable: Floats, lost: Floats, attempts: Sequence[int], size: tuple[float, float],
    top: float, log: bool,
) -> _Plot:  # fmt: skip
    steps = step_limits([*(line.step for line in lines), lost, np.array(attempts, np.float64)])
    headroom = 0.12 if len(lost) else 0.0
    values, left = (0.0, 1.0), 8.0
    if len(drawable):
        values = value_limits(drawable, log=log, from_zero=False, margin=0.06, headroom=headroom)
        _, labels = value_ticks(values, log=log, most=5)
        left = 6.0 + max((width(label, _SIZE) * 72 for label in labels), default=0.0)
    return _Plot(left, top, size[0] - left - _RIGHT, size[1], steps, values, log)


def _axes(plot: _Plot, language: Language, has_lines: bool) -> list[str]:
    elements = []
    ticks, labels = value_ticks(plot.values, log=plot.log, most=5)
    for place, label in zip(plot.y(ticks), labels, strict=True):
        elements.append(_straight(plot.left, place, plot.right, place, GRID, 0.5))
        elements.append(_text(plot.left - 4, place + 2.6, label, INK, anchor="end"))
    ticks, labels = step_ticks(plot.steps, most=max(3, int(plot.width / 55)))
    for place, label in zip(plot.x(ticks), labels, strict=True):
        elements.append(_straight(place, plot.top, place, plot.bottom, GRID, 0.5))
        elements.append(_text(place, plot.bottom + 9.5, label, INK, anchor="middle"))
    elements.append(_straight(plot.left, plot.top, plot.left, plot.bottom, FRAME, 0.6))
    elements.append(_straight(plot.left, plot.bottom, plot.right, plot.bottom, FRAME, 0.6))
    middle = plot.left + plot.width / 2
    elements.append(_text(middle, plot.bottom + 20, text("step", language), FAINT_INK, anchor="middle", size=_SMALL))
    return elements


def _no_axes(plot: _Plot, language: Language, lost: bool) -> list[str]:
    words = text("no_finite" if lost else "not_recorded", language)
    return [
        f'<rect x="{plot.left:.2f}" y="{plot.top:.2f}" width="{plot.width:.2f}" height="{plot.height:.2f}" '
        f'fill="none" stroke="{GRID}" stroke-width="0.6"/>',
        _text(plot.left + plot.width / 2, plot.top + plot.height / 2 + 3, words, FAINT_INK, anchor="middle", size=9.0),
    ]


def _phases(plot: _Plot, phases: Sequence[tuple[int, int, str]], language: Language) -> list[str]:
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
            f'<rect x="{left:.2f}" y="{plot.top - _RIBBON:.2f}" width="{right - left:.2f}" '
            f'height="{plot.height + _RIBBON:.2f}" fill="{colours[name]}"/>'
        )
        shown = known(f"phase.{name}", language, printable(name))
        if width(shown, _SMALL) * 72 + 6 <= right - left:
            middle = (left + right) / 2
            elements.append(_text(middle, plot.top - _RIBBON + 8, shown, FAINT_INK, anchor="middle", size=_SMALL))
    return elements


def _restarts(plot: _Plot, attempts: Sequence[int]) -> list[str]:
    places = plot.x(np.array(sorted(set(attempts)), np.float64))
    return [_straight(x, plot.top, x, plot.bottom, RESTART, 0.7, dash="3 2") for x in places]


def _curve(plot: _Plot, line: _Line) -> list[str]:
    """Band, line and points of one trace; a value that cannot be drawn interrupts the line."""
    elements = []
    if len(line.low):
        whole = np.isfinite(line.low) & np.isfinite(line.high)
        x, low, high = plot.x(line.step[whole]), plot.y(line.low[whole]), plot.y(line.high[whole])
        around = _points(np.concatenate((x, x[::-1])), np.concatenate((low, high[::-1])))
        elements.append(f'<polygon points="{around}" fill="{line.colour}" fill-opacity="0.16"/>')
    drawn = np.isfinite(line.value)
    x, y = plot.x(line.step), plot.y(line.value)
    stretches = np.split(np.arange(len(x)), np.flatnonzero(~drawn))
    path = " ".join(
        f"M{_points(x[part], y[part])}" for each in stretches if len(part := each[drawn[each]]) > 1
    )  # fmt: skip
    if path:
        stroke = (
            'stroke-width="0.6" stroke-dasharray="1 1.6"' if line.markers else f'stroke-width="1"{_dash(line.dash)}'
        )
        elements.append(f'<path d="{path}" fill="none" stroke="{line.colour}" {stroke} stroke-linejoin="round"/>')
    alone = drawn & ~np.concatenate(([False], drawn[:-1])) & ~np.concatenate((drawn[1:], [False]))
    dotted = drawn if line.markers or np.count_nonzero(drawn) <= _FEW else alone
    draw = _diamond if line.markers else _dot
    return elements + [draw(px, py, line.colour) for px, py in zip(x[dotted], y[dotted], strict=True)]


def _lost_steps(plot: _Plot, lost: Floats, language: Language) -> list[str]:
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
    room = width(count, _SMALL) * 72 + 4
    left = plot.left + 2 if at_left else plot.right - room - 2
    return [
        f'<path d="{crosses}" fill="none" stroke="{ALARM}" stroke-width="1"/>',
        f'<rect x="{left:.2f}" y="{y - 5:.2f}" width="{room:.2f}" height="10" fill="#ffffff" fill-opacity="0.85"/>',
        _text(left + 2, y + 2.5, count, ALARM, size=_SMALL),
    ]


def _entries(lines: Sequence[_Line], resumed: bool, language: Language) -> list[tuple[_Line | None, str]]:
    """What the legend explains: every curve, and the line of a restart as None."""
    entries: list[tuple[_Line | None, str]] = [(line, line.name) for line in lines]
    return [*entries, (None, text("resumed", language))] if resumed else entries


def _legend(entries: Sequence[tuple[_Line | None, str]], room: float) -> tuple[list[str], int]:
    """The legend's elements below the unit, and how many lines they take."""
    elements = []
    x, lines = 0.0, 1
    for place, (line, name) in enumerate(entries):
        shown = fitted(name, _SIZE, (room - _SAMPLE - 4) / 72)
        needed = _SAMPLE + 4 + width(shown, _SIZE) * 72
        if x and x + needed > room:
            if lines == _MOST_LEGEND_LINES:
                more = f"… +{len(entries) - place}"
                elements.append(_text(room, 8.0 + (lines + 1) * _LEGEND_LINE, more, FAINT_INK, anchor="end"))
                return elements, lines + 1
            x, lines = 0.0, lines + 1
        y = 8.0 + lines * _LEGEND_LINE
        elements += _sample(line, x, y - 2.6)
        elements.append(_text(x + _SAMPLE + 3, y, shown, INK))
        x += needed + 12
    return elements, lines if entries else 0


def _sample(line: _Line | None, x: float, y: float) -> list[str]:
    if line is None:
        return [_straight(x + _SAMPLE / 2, y - 4, x + _SAMPLE / 2, y + 4, RESTART, 0.7, dash="3 2")]
    if line.markers:
        return [_diamond(x + _SAMPLE / 2, y, line.colour)]
    return [_straight(x, y, x + _SAMPLE, y, line.colour, 1.6, dash=line.dash)]


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{px:.2f},{py:.2f}" for px, py in zip(x.tolist(), y.tolist(), strict=True))


def _dash(pattern: str) -> str:
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def _straight(x1: float, y1: float, x2: float, y2: float, colour: str, thickness: float, *, dash: str = "") -> str:
    return (
        f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{colour}" '
        f'stroke-width="{thickness:g}"{_dash(dash)}/>'
    )


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="1.4" fill="{colour}"/>'


def _diamond(x: float, y: float, colour: str) -> str:
    around = f"{x:.2f},{y - 3:.2f} {x + 3:.2f},{y:.2f} {x:.2f},{y + 3:.2f} {x - 3:.2f},{y:.2f}"
    return f'<polygon points="{around}" fill="{colour}" stroke="#ffffff" stroke-width="0.6"/>'


def _text(x: float, y: float, words: str, colour: str, *, anchor: str = "start", size: float = _SIZE) -> str:
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" fill={quoteattr(colour)} text-anchor="{anchor}" font-size="{size:g}" '
        f'xml:space="preserve">{escape(words)}</text>'
    )
