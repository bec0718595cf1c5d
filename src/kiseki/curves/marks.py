"""What is marked on every panel: phases as shading, restarts as vertical lines, steps without a number as crosses."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from kiseki.analysis.phases import phases_that_count, takeovers
from kiseki.curves.axis import Floats, Limits
from kiseki.curves.style import ALARM, INK, OTHER_PHASE_COLOURS, PAPER, PHASE_COLOURS, RESTART, font, printable, width
from kiseki.curves.texts import Language, known, text
from kiseki.history import History

_MOST_CROSSES = 300
RIBBON_INCHES = 0.2


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training that the trainer named.

    Attributes:
        name: as it was recorded.
        start: first optimizer step of it.
        end: first step of the next phase, infinity for the last.
        colour: its shading.
    """

    name: str
    start: float
    end: float
    colour: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What every panel of one figure shows alike.

    Attributes:
        phases: in order of steps.
        restarts: the steps from which training was resumed.
    """

    phases: tuple[Phase, ...]
    restarts: tuple[float, ...]


def marks_of(history: History) -> Marks:
    """Read phases and restarts out of a history."""
    return Marks(_phases(history), tuple(map(float, takeovers(history.attempts))))


def _phases(history: History) -> tuple[Phase, ...]:
    counted = phases_that_count(history.notes_of("phase"), history.attempts)
    others = [name for name in dict.fromkeys(phase.name for phase in counted) if name not in PHASE_COLOURS]
    colours = PHASE_COLOURS | {
        name: OTHER_PHASE_COLOURS[place % len(OTHER_PHASE_COLOURS)] for place, name in enumerate(others)
    }
    return tuple(
        Phase(
            name=phase.name,
            start=float(phase.start),
            # the last shading reaches the edge, also where more phases follow that are not told
            end=float("inf") if phase.end is None or phase is counted[-1] else float(phase.end),
            colour=colours[phase.name],
        )
        for phase in counted
    )


def phase_name(phase: Phase, language: Language) -> str:
    """A phase's name for the reader."""
    return known(f"phase.{phase.name}", language, printable(phase.name))


def draw_phases(axes: Axes, marks: Marks, limits: Limits) -> None:
    """Shade the stretches that lie within the limits."""
    for phase in marks.phases:
        start, end = max(phase.start, limits[0]), min(phase.end, limits[1])
        if start < end:
            axes.axvspan(start, end, facecolor=phase.colour, edgecolor="none", linewidth=0, zorder=0, gid="phase")


def draw_ribbon(axes: Axes, marks: Marks, limits: Limits, inches: tuple[float, float], language: Language) -> float:
    """Name the phases in a ribbon on top of the axes, where the name fits.

    Args:
        axes: the panel that gets the ribbon.
        marks: its phases are named.
        limits: the panel's limits.
        inches: width and height of the axes.
        language: of the names.

    Returns:
        The ribbon's height as a share of the axes' height; 0 without phases.
    """
    if not marks.phases:
        return 0.0
    height = RIBBON_INCHES / inches[1]
    transform = axes.get_xaxis_transform()
    for phase in marks.phases:
        start, end = max(phase.start, limits[0]), min(phase.end, limits[1])
        if start >= end:
            continue
        axes.fill_between(
            [start, end], 1.0, 1.0 + height, transform=transform, facecolor=phase.colour, edgecolor=PAPER,
            linewidth=0.8, clip_on=False, zorder=0,
        )  # fmt: skip
        name = phase_name(phase, language)
        if width(name, 8.5) + 0.1 <= (end - start) / (limits[1] - limits[0]) * inches[0]:
            axes.text(
                (start + end) / 2, 1.0 + height * 0.46, name, transform=transform, ha="center", va="center",
                color=INK, fontproperties=font(8.5), parse_math=False, gid="phase name",
            )  # fmt: skip
    return height


def draw_restarts(axes: Axes, marks: Marks, limits: Limits) -> None:
    """A dashed vertical line at every step from which training was resumed."""
    for step in marks.restarts:
        if limits[0] <= step <= limits[1]:
            axes.axvline(
                step,
                color=RESTART,
                linewidth=0.9,
                linestyle=(0, (4, 3)),
                dash_capstyle="butt",
                alpha=0.75,
                zorder=1.6,
                gid="restart",
            )


def draw_lost_steps(axes: Axes, steps: Floats, limits: Limits, language: Language) -> None:
    """Crosses along the top edge for steps without a number, and how many there are.

    Crosses that would cover each other are drawn once; the count is of steps.
    """
    if not len(steps):
        return
    pixel = (limits[1] - limits[0]) / _MOST_CROSSES
    shown = steps[np.unique(np.floor((steps - limits[0]) / pixel), return_index=True)[1]]
    axes.plot(
        shown, np.full(len(shown), 0.945), transform=axes.get_xaxis_transform(), linestyle="none", marker="x",
        markersize=5.5, markeredgewidth=1.3, color=ALARM, zorder=6, gid="non-finite",
    )  # fmt: skip
    share = (shown - limits[0]) / (limits[1] - limits[0])
    at_left = np.count_nonzero(share < 0.4) < np.count_nonzero(share > 0.6)
    axes.text(
        0.012 if at_left else 0.988, 0.945, text("non_finite_count", language, f"{len(steps):,}"),
        transform=axes.transAxes, ha="left" if at_left else "right", va="center", color=ALARM, fontproperties=font(8.5),
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.5}, zorder=7, gid="non-finite count",
    )  # fmt: skip


def legend_phases(marks: Marks, limits: Limits, most: int) -> tuple[list[Phase], bool]:
    """The phases to explain, each name once, and whether some are left out."""
    visible: dict[str, Phase] = {}
    for phase in marks.phases:
        if max(phase.start, limits[0]) < min(phase.end, limits[1]):
            visible.setdefault(phase.name, phase)
    return list(visible.values())[:most], len(visible) > most
