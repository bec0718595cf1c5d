"""The figure of one run: exactly four panels, a header that says which run it is, a legend that explains the marks.

The loss takes the left half because its components hang below it, each on its own scale; learning rate, accuracy and
perplexity stand on the right. A figure is a pure function of the history: the same journal gives the same bytes.
"""

from collections.abc import Mapping
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from kiseki.curves import marks
from kiseki.curves.axis import step_limits, step_ticks
from kiseki.curves.curve import Curve, columns_of, prepare
from kiseki.curves.panels import PANELS, Frame, PanelKind, draw_panel, draw_strip
from kiseki.curves.style import (
    ALARM,
    EVALUATION,
    FAINT_INK,
    GRID,
    INK,
    PAPER,
    RESTART,
    STATUS_COLOURS,
    fitted,
    font,
    printable,
    width,
)  # fmt: skip
from kiseki.curves.texts import Language, known, text
from kiseki.history import Column, History

WIDTH, HEIGHT = 12.0, 8.4
"""Inches."""

_TOP, _BOTTOM = 1.2, 0.98
_LEFT, _LEFT_WIDTH = 0.85, 5.75
_RIGHT, _RIGHT_WIDTH = 7.5, 4.1
_BETWEEN_PANELS = 0.5
_MARGIN = 0.15
_STRIP_HEIGHT, _BETWEEN_STRIPS = 0.9, 0.38
_MOST_PHASES_EXPLAINED = 5


def draw_training_curves(history: History, *, language: Language = "en", dpi: int = 150) -> bytes:
    """Draw a run's training curves.

    Args:
        history: what was recorded; an empty run gives four panels that say so.
        language: of every word but the user's own.
        dpi: dots per inch; at 150 the picture has 1800 x 1260 pixels.

    Returns:
        A PNG without date or software name: the same history gives the same bytes.
    """
    figure = build_figure(history, language=language, dpi=dpi)
    png = BytesIO()
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return png.getvalue()


def build_figure(history: History, *, language: Language = "en", dpi: int = 150) -> Figure:
    """The figure before it becomes pixels; its four axes carry the panels' names as labels.

    Args:
        history: what was recorded.
        language: of every word but the user's own.
        dpi: dots per inch.
    """
    training, evaluations = history.rows.columns, history.evaluations.columns
    panels = [_curves_of(kind, training, evaluations) for kind in PANELS]
    every_step = [np.array(rows.steps, np.float64) for rows in (history.rows, history.evaluations)]
    the_marks = marks.marks_of(history)
    limits = step_limits([*every_step, np.array(the_marks.restarts, np.float64)])
    ticks = step_ticks(limits, most=6) if any(len(steps) for steps in every_step) else (np.zeros(0), [])
    frame = Frame(limits, ticks, the_marks, language, units_known="imported" not in history.opened)

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=dpi, facecolor=PAPER, edgecolor=PAPER)
    figure.set_layout_engine("none")
    (loss, loss_evaluation, strips), *others = panels
    _draw_cards(figure)
    _draw_loss(figure, loss, loss_evaluation, strips, frame)
    height = (HEIGHT - _TOP - _BOTTOM - 2 * _BETWEEN_PANELS) / 3
    for place, (kind, (curves, evaluation, _)) in enumerate(zip(PANELS[1:], others, strict=True)):
        is_last = place == 2
        axes = _axes(figure, _RIGHT, _BOTTOM + (2 - place) * (height + _BETWEEN_PANELS), _RIGHT_WIDTH, height)
        draw_panel(
            axes, kind, curves, evaluation, frame, (_RIGHT_WIDTH, height), ribbon=False, step_labels=is_last
        )  # fmt: skip
        if is_last:
            _step_title(axes, language)
    everything = [curve for curves, _, strips in panels for curve in (*curves, *strips)]
    at_evaluations = [evaluation for _, evaluation, _ in panels if evaluation]
    _header(figure, history, everything, language)
    _explain_marks(figure, everything, at_evaluations, frame)
    return figure


Panel = tuple[list[Curve], Curve | None, list[Curve]]


def _curves_of(kind: PanelKind, training: Mapping[str, Column], evaluations: Mapping[str, Column]) -> Panel:
    curves = [prepare(column, smooth=kind.smooth) for column in columns_of(training, *kind.metrics)]
    evaluation = [prepare(column, smooth=False) for column in columns_of(evaluations, kind.evaluation)]
    strips = [prepare(column, smooth=kind.smooth) for column in columns_of(training, *kind.strips)]
    return curves, evaluation[0] if evaluation else None, strips


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    return figure.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))


def _draw_cards(figure: Figure) -> None:
    """A quiet card behind each panel, so that the loss and the strips below it read as one of four."""
    height = (HEIGHT - _TOP - _BOTTOM - 2 * _BETWEEN_PANELS) / 3
    title, step_labels, padding = 0.33, 0.42, 0.1
    cards = [(_MARGIN, _BOTTOM - step_labels, _LEFT + _LEFT_WIDTH, HEIGHT - _TOP - _BOTTOM + title + step_labels)]
    for place in range(3):
        below = step_labels if place == 0 else padding
        bottom = _BOTTOM + place * (height + _BETWEEN_PANELS) - below
        left = _MARGIN + _LEFT + _LEFT_WIDTH + 0.07
        cards.append((left, bottom, WIDTH - _MARGIN - left, below + height + title))
    for x, y, card_width, card_height in cards:
        figure.add_artist(
            Rectangle(
                (x / WIDTH, y / HEIGHT), card_width / WIDTH, card_height / HEIGHT, transform=figure.transFigure,
                facecolor=PAPER, edgecolor=GRID, linewidth=0.8, zorder=-1, gid="card",
            )
        )  # fmt: skip


def _draw_loss(
    figure: Figure, curves: list[Curve], evaluation: Curve | None, strips: list[Curve], frame: Frame
) -> None:
    """The loss panel; its strips are children of it, so that the figure has four axes and not more."""
    below = len(strips) * (_STRIP_HEIGHT + _BETWEEN_STRIPS)
    height = HEIGHT - _TOP - _BOTTOM - below - (marks.RIBBON_INCHES if frame.marks.phases else 0.0)
    axes = lowest = _axes(figure, _LEFT, _BOTTOM + below, _LEFT_WIDTH, height)
    draw_panel(
        axes, PANELS[0], curves, evaluation, frame, (_LEFT_WIDTH, height), ribbon=True, step_labels=not strips
    )  # fmt: skip
    for place, curve in enumerate(strips):
        bottom = -(place + 1) * (_STRIP_HEIGHT + _BETWEEN_STRIPS) / height
        lowest = axes.inset_axes((0.0, bottom, 1.0, _STRIP_HEIGHT / height))
        draw_strip(lowest, curve, frame, (_LEFT_WIDTH, _STRIP_HEIGHT), step_labels=place == len(strips) - 1)
    _step_title(lowest, frame.language)


def _step_title(axes: Axes, language: Language) -> None:
    axes.set_xlabel(text("step", language), fontproperties=font(9), color=FAINT_INK, labelpad=4)


def _header(figure: Figure, history: History, curves: list[Curve], language: Language) -> None:
    """Which run this is, whether it ended badly, and how much of it is drawn."""
    right = _RIGHT + _RIGHT_WIDTH
    # Only how it ended badly is said: a picture drawn just before the close line must be the one drawn just after.
    ended_badly = history.status in ("failed", "interrupted")
    status = known(history.status, language, history.status) if ended_badly else ""
    figure.text(
        right / WIDTH, 1 - 0.42 / HEIGHT, status, ha="right", va="baseline", fontproperties=font(13),
        color=STATUS_COLOURS.get(history.status, INK), parse_math=False, gid="status",
    )  # fmt: skip
    model_name = printable(str(history.opened.get("model_name") or "")).strip()
    title = " — ".join(part for part in (model_name, text("title", language)) if part)
    room = right - 0.3 - width(status, 13) - 0.3
    if width(title, 16) > room:
        tail = f" — {text('title', language)}"
        title = fitted(model_name, 16, room - width(tail, 16)) + tail
    figure.text(
        0.3 / WIDTH, 1 - 0.42 / HEIGHT, title, ha="left", va="baseline", fontproperties=font(16), color=INK,
        parse_math=False, gid="figure title",
    )  # fmt: skip
    figure.text(
        0.3 / WIDTH, 1 - 0.7 / HEIGHT, fitted("  ·  ".join(_facts(history, curves, language)), 9.5, right - 0.3),
        ha="left", va="baseline", fontproperties=font(9.5), color=FAINT_INK, parse_math=False, gid="facts",
    )  # fmt: skip


def _facts(history: History, curves: list[Curve], language: Language) -> list[str]:
    rows, evaluations, attempts = len(history.rows), len(history.evaluations), len(history.attempts)
    facts = [f"{text('run', language)} {fitted(printable(history.run_id), 9.5, 3.5)}"]
    if rows:
        first, last = f"{history.rows.steps[0]:,}", f"{history.rows.steps[-1]:,}"
        facts.append(text("one_step", language, first) if rows == 1 else text("steps", language, first, last))
    facts.append(text("one_row", language) if rows == 1 else text("rows", language, f"{rows:,}"))
    if evaluations == 1:
        facts.append(text("one_evaluation", language))
    elif evaluations:
        facts.append(text("evaluations", language, f"{evaluations:,}"))
    if attempts > 1:
        facts.append(text("attempts", language, f"{attempts:,}"))
    fullest = max(curves, key=lambda curve: curve.recorded - curve.drawn, default=None)
    if fullest and fullest.drawn < len(fullest.value):
        facts.append(text("drawn", language, f"{fullest.drawn:,}", f"{fullest.recorded:,}"))
    return facts


def _explain_marks(figure: Figure, curves: list[Curve], evaluations: list[Curve], frame: Frame) -> None:
    """One legend at the foot for what is the same in every panel; only what occurs is explained."""
    language = frame.language
    entries: list[tuple[Line2D | Patch, str]] = []
    if any(curve.smooth for curve in curves):
        raw = Line2D(
            [], [], color=FAINT_INK, alpha=0.5, linewidth=0.8, solid_capstyle="butt", marker="o", markersize=2.4,
            markeredgewidth=0.0,
        )  # fmt: skip
        smooth = Line2D([], [], color=FAINT_INK, linewidth=2.0, solid_capstyle="butt")
        entries += [(raw, text("raw", language)), (smooth, text("smoothed", language))]
    if evaluations:
        points = Line2D(
            [], [], color=EVALUATION, linestyle=(0, (1, 2)), dash_capstyle="butt", linewidth=0.9,
            marker="D", markersize=5.0, markeredgewidth=0.0,
        )  # fmt: skip
        entries.append((points, text("evaluation", language)))
    if any(len(curve.lost_steps) for curve in (*curves, *evaluations)):
        cross = Line2D([], [], color=ALARM, linestyle="none", marker="x", markersize=5.5, markeredgewidth=1.3)
        entries.append((cross, text("non_finite", language)))
    if frame.marks.restarts:
        dashes = Line2D([], [], color=RESTART, linestyle=(0, (4, 3)), dash_capstyle="butt", linewidth=0.9, alpha=0.75)
        entries.append((dashes, text("resumed", language)))
    phases, left_out = marks.legend_phases(frame.marks, frame.limits, _MOST_PHASES_EXPLAINED)
    for phase in phases:
        patch = Patch(facecolor=phase.colour, edgecolor=GRID, linewidth=0.6)
        entries.append((patch, fitted(marks.phase_name(phase, language), 9, 1.4)))
    if left_out:
        entries.append((Patch(facecolor=PAPER, edgecolor=PAPER), f"… {text('more_phases', language)}"))
    if entries:
        _legend_at_foot(figure, entries)


def _legend_at_foot(figure: Figure, entries: list[tuple[Line2D | Patch, str]]) -> None:
    legend = figure.legend(
        handles=[handle for handle, _ in entries], labels=["."] * len(entries), loc="lower left",
        bbox_to_anchor=(0.3 / WIDTH, 0.12 / HEIGHT), ncols=len(entries),
        prop=font(9), labelcolor=INK, frameon=False, borderpad=0.0, borderaxespad=0.0, handlelength=1.5,
        handletextpad=0.5, columnspacing=1.5, handleheight=0.8, labelspacing=0.4,
    )  # fmt: skip
    legend.set_gid("marks")
    for shown, (_, label) in zip(legend.get_texts(), entries, strict=True):
        shown.set_parse_math(False)
        shown.set_text(label)  # only now, because a legend refuses labels that begin with an underscore
