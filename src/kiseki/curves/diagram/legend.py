"""What explains a diagram's curves, above its axes."""

from collections.abc import Sequence

from kiseki.curves.diagram.svg import SIZE, diamond, straight, words_at
from kiseki.curves.diagram.trace import Line
from kiseki.curves.style import FAINT_INK, INK, RESTART, fitted, width
from kiseki.curves.texts import Language, text

LEGEND_LINE = 11.0
"""Height of a line of it, in points."""

_SAMPLE = 13.0
_MOST_LEGEND_LINES = 12


def legend_entries(lines: Sequence[Line], resumed: bool, language: Language) -> list[tuple[Line | None, str]]:
    """What the legend explains: every curve, and the line of a restart as None."""
    entries: list[tuple[Line | None, str]] = [(line, line.name) for line in lines]
    return [*entries, (None, text("resumed", language))] if resumed else entries


def legend_of(entries: Sequence[tuple[Line | None, str]], room: float) -> tuple[list[str], int]:
    """The legend's elements below the unit, and how many lines they take."""
    elements = []
    x, lines = 0.0, 1
    for place, (line, name) in enumerate(entries):
        shown = fitted(name, SIZE, (room - _SAMPLE - 4) / 72)
        needed = _SAMPLE + 4 + width(shown, SIZE) * 72
        if x and x + needed > room:
            if lines == _MOST_LEGEND_LINES:
                more = f"… +{len(entries) - place}"
                elements.append(words_at(room, 8.0 + (lines + 1) * LEGEND_LINE, more, FAINT_INK, anchor="end"))
                return elements, lines + 1
            x, lines = 0.0, lines + 1
        y = 8.0 + lines * LEGEND_LINE
        elements += _sample(line, x, y - 2.6)
        elements.append(words_at(x + _SAMPLE + 3, y, shown, INK))
        x += needed + 12
    return elements, lines if entries else 0


def _sample(line: Line | None, x: float, y: float) -> list[str]:
    if line is None:
        return [straight(x + _SAMPLE / 2, y - 4, x + _SAMPLE / 2, y + 4, RESTART, 0.7, dash="3 2")]
    if line.markers:
        return [diamond(x + _SAMPLE / 2, y, line.colour)]
    return [straight(x, y, x + _SAMPLE, y, line.colour, 1.6, dash=line.dash)]
