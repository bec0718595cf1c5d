"""One diagram of any metrics as SVG, for documents that set their own type: text stays text, lines stay lines.

The picture of a run (`figure.py`) is for screens and has four panels; a document shows any number of metrics, each at
the width of its column. The SVG is written by hand because matplotlib makes its identifiers unrepeatable and its text
shapes unless settings of the whole process are changed, which a library must not do.
"""

from collections.abc import Sequence

import numpy as np

from kiseki.curves.curve import LARGEST_DRAWN
from kiseki.curves.diagram.content import RIBBON, curve_of, lost_steps, restart_lines, shaded_phases
from kiseki.curves.diagram.legend import LEGEND_LINE, legend_entries, legend_of
from kiseki.curves.diagram.plot import axes_of, empty_axes, plot_of
from kiseki.curves.diagram.svg import SIZE, words_at
from kiseki.curves.diagram.trace import Trace, lines_of
from kiseki.curves.style import FAINT_INK, fitted, printable
from kiseki.curves.texts import Language, text

__all__ = ["Trace", "draw_diagram"]

_FAMILY = "Noto Sans JP"
_BELOW = 25.0


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
    lines = lines_of(traces)
    drawable = np.concatenate([*(part for line in lines for part in (line.value, line.low, line.high)), np.zeros(0)])
    drawable = drawable[np.isfinite(drawable)]
    lost = np.unique(np.concatenate([*(line.lost for line in lines), np.zeros(0)]))
    log = logarithmic and len(drawable) > 0 and bool(drawable.min() >= 1 / LARGEST_DRAWN)
    legend, legend_lines = legend_of(legend_entries(lines, bool(attempts), language), size[0])
    top = (1 + legend_lines) * LEGEND_LINE + (RIBBON if phases else 0.0) + 5.0
    plot = plot_of(lines, drawable, lost, attempts, size, top, log)
    total = plot.bottom + _BELOW
    title = printable(unit) + (f" ({text('log', language)})" if log else "")
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]:g}" height="{total:g}" '
        f'viewBox="0 0 {size[0]:g} {total:g}" font-family="{_FAMILY}" font-size="{SIZE}">',
        words_at(0.0, 8.0, fitted(title, SIZE, size[0] / 72), FAINT_INK),
        *legend,
        *shaded_phases(plot, phases, language),
        *(axes_of(plot, language, bool(lines)) if len(drawable) else empty_axes(plot, language, bool(len(lost)))),
        *restart_lines(plot, attempts),
        *(element for line in lines for element in curve_of(plot, line)),
        *lost_steps(plot, lost, language),
        "</svg>",
    ]
    return "\n".join(elements).encode("utf-8")
