"""One panel: its curves, its scale, its title and legend, or the words that nothing was recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from kiseki.curves import axis, marks
from kiseki.curves.axis import Floats, Limits
from kiseki.curves.curve import Curve, Line
from kiseki.curves.marks import Marks
from kiseki.curves.style import EVALUATION, FAINT_INK, FRAME, GRID, INK, METRIC_COLOURS, PAPER, font
from kiseki.curves.texts import Language, text

_MOST_DOTS, _MOST_DOTS_ALONE = 300, 30
_TITLE_INCHES = 0.1


@dataclass(frozen=True, slots=True)
class PanelKind:
    """What one of the four panels shows.

    Attributes:
        name: key of its title and unit in `texts`.
        metrics: the training metrics on its main scale.
        evaluation: the evaluation metric on the same scale, "" for none.
        strips: metrics of another size: each gets a narrow strip below, with a scale of its own.
        log_factor: how widely values must be spread for a logarithmic axis (`axis.log_helps`).
        smooth: whether its curves are noisy; a schedule is not.
    """

    name: str
    metrics: tuple[str, ...]
    evaluation: str
    strips: tuple[str, ...]
    log_factor: float
    smooth: bool


PANELS = (
    PanelKind("loss", ("loss", "lm_loss"), "eval_loss", ("pet_loss", "so8t_loss"), 20.0, True),
    PanelKind("learning_rate", ("learning_rate",), "", (), 100.0, False),
    PanelKind("accuracy", ("accuracy",), "eval_accuracy", (), float("inf"), True),
    # perplexity is an exponential: on a logarithmic axis it has the shape of the loss, so little is enough
    PanelKind("perplexity", ("perplexity",), "eval_perplexity", (), 5.0, True),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What all axes of one figure have in common.

    Attributes:
        limits: of the step axis.
        ticks: of the step axis, with their labels; none when nothing was recorded.
        marks: phases and restarts.
        language: of every word.
        units_known: the numbers are what the vocabulary says of their names; an imported record does not tell.
    """

    limits: Limits
    ticks: tuple[Floats, list[str]]
    marks: Marks
    language: Language
    units_known: bool = True


def draw_panel(
    axes: Axes, kind: PanelKind, training: Sequence[Curve], evaluation: Curve | None, frame: Frame,
    inches: tuple[float, float], *, ribbon: bool, step_labels: bool,
) -> None:  # fmt: skip
    """Draw one of the four.

    Args:
        axes: empty.
        kind: which one.
        training: its recorded training curves.
        evaluation: its recorded evaluation curve.
        frame: what all panels share.
        inches: width and height of the axes.
        ribbon: name the phases on top of it.
        step_labels: whether steps are written below it.
    """
    axes.set_label(kind.name)
    curves = [*training, evaluation] if evaluation else list(training)
    log = draw_scale(
        axes, curves, frame, log_factor=kind.log_factor, from_zero=False, margin=0.06,
        most=7 if inches[1] > 2.5 else 5, step_labels=step_labels,
    )  # fmt: skip
    for order, curve in enumerate(training):
        _draw_training(axes, curve, METRIC_COLOURS[curve.metric], order)
    if evaluation:
        _draw_evaluation(axes, evaluation)
    if curves:
        unit = text(f"{kind.name}.unit" if frame.units_known else "unit_unknown", frame.language)
        unit += f" ({text('log', frame.language)})" if log else ""
        axes.set_ylabel(unit, fontproperties=font(9), color=FAINT_INK, labelpad=4)

    raised = marks.draw_ribbon(axes, frame.marks, frame.limits, inches, frame.language) if ribbon else 0.0
    bottom = 1.0 + raised + _TITLE_INCHES / inches[1]
    axes.text(
        0.0, bottom, text(kind.name, frame.language), transform=axes.transAxes, ha="left", va="baseline", color=INK,
        fontproperties=font(12), gid="title",
    )  # fmt: skip
    _legend(axes, training, evaluation, "lower right", (1.0, bottom - 0.035 / inches[1]))


def draw_strip(
    axes: Axes, curve: Curve, frame: Frame, inches: tuple[float, float], *, step_labels: bool
) -> None:  # fmt: skip
    """Draw a component that has its own size in a strip of its own, so that its jumps are not taken for the loss's."""
    axes.set_label(curve.metric)
    log = draw_scale(
        axes, [curve], frame, log_factor=30.0, from_zero=True, margin=0.12, most=3, step_labels=step_labels
    )  # fmt: skip
    colour = METRIC_COLOURS[curve.metric]
    _draw_training(axes, curve, colour, 0)
    meaning = text(curve.metric, frame.language) + (f" ({text('log', frame.language)})" if log else "")
    bottom = 1.0 + 0.06 / inches[1]
    axes.text(
        1.0, bottom, meaning, transform=axes.transAxes, ha="right", va="baseline", color=FAINT_INK,
        fontproperties=font(8.5),
    )  # fmt: skip
    _legend(axes, [curve], None, "lower left", (0.0, bottom - 0.035 / inches[1]))


def draw_scale(
    axes: Axes, curves: Sequence[Curve], frame: Frame, *, log_factor: float, from_zero: bool, margin: float,
    most: int, step_labels: bool,
) -> bool:  # fmt: skip
    """Frame, grid, limits, ticks and marks; or the words that say why there is no curve.

    Returns:
        Whether the value axis is logarithmic.
    """
    axes.set_facecolor(PAPER)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=FRAME, linewidth=0.8)
    axes.grid(
        True, axis="both", which="major", color=GRID, linewidth=0.7, linestyle="-", alpha=1.0, solid_capstyle="butt"
    )  # fmt: skip
    axes.tick_params(
        axis="both", which="both", length=0, pad=4, top=False, right=False, labelcolor=INK, colors=INK,
        grid_color=GRID, bottom=False, left=False, labelrotation=0,
    )  # fmt: skip
    ticks, tick_labels = frame.ticks
    axes.set_xticks(ticks, tick_labels if step_labels else [""] * len(ticks), fontproperties=font(9), color=INK)
    axes.set_xlim(*frame.limits)
    marks.draw_phases(axes, frame.marks, frame.limits)
    marks.draw_restarts(axes, frame.marks, frame.limits)
    lost_steps = np.unique(np.concatenate([*(curve.lost_steps for curve in curves), np.zeros(0)]))
    marks.draw_lost_steps(axes, lost_steps, frame.limits, frame.language)

    value = np.concatenate([*(curve.value for curve in curves), np.zeros(0)])
    if not len(value):
        axes.grid(False)
        axes.set_yticks([])
        axes.set_ylim(0.0, 1.0)
        axes.text(
            0.5, 0.5, text("no_finite" if curves else "not_recorded", frame.language), transform=axes.transAxes,
            ha="center", va="center", color=FAINT_INK, fontproperties=font(11), gid="no curve",
        )  # fmt: skip
        return False
    log = axis.log_helps(value, log_factor)
    headroom = 0.16 if len(lost_steps) else 0.0
    limits = axis.value_limits(value, log=log, from_zero=from_zero, margin=margin, headroom=headroom)
    if log:
        axes.set_yscale("log")
        axes.minorticks_off()
    axes.set_ylim(*limits)
    value_ticks, value_labels = axis.value_ticks(limits, log=log, most=most)
    axes.set_yticks(value_ticks, value_labels, fontproperties=font(9), color=INK)
    return log


def _draw_training(axes: Axes, curve: Curve, colour: str, order: int) -> None:
    alone = curve.smooth is None
    dots = curve.recorded <= (_MOST_DOTS_ALONE if alone else _MOST_DOTS)
    _plot(
        axes, curve.raw, colour=colour, order=order, gid=f"{curve.metric}:raw",
        linewidth=1.8 if alone else 0.8, alpha=1.0 if alone else 0.35 if dots else 0.25,
        marker="o" if dots else "none", markersize=(5.0 if curve.recorded < 4 else 3.4) if alone else 2.4,
    )  # fmt: skip
    if not dots:
        _plot(axes, curve.lone, colour=colour, order=order, gid=f"{curve.metric}:lone", linewidth=0.0, alpha=0.6,
              marker="o", markersize=2.4)  # fmt: skip
    if curve.smooth is not None:
        _plot(axes, curve.smooth, colour=colour, order=order + 2, gid=f"{curve.metric}:smooth", linewidth=2.0,
              alpha=1.0, marker="none", markersize=0.0)  # fmt: skip


def _plot(
    axes: Axes, line: Line, *, colour: str, order: int, gid: str, linewidth: float, alpha: float, marker: str,
    markersize: float,
) -> None:  # fmt: skip
    axes.plot(
        line.step, line.value, color=colour, linewidth=linewidth, linestyle="-" if linewidth else "none", alpha=alpha,
        marker=marker, markersize=markersize, markeredgewidth=0.0, markerfacecolor=colour, solid_capstyle="round",
        solid_joinstyle="round", zorder=2 + order / 10, gid=gid,
    )  # fmt: skip


def _draw_evaluation(axes: Axes, curve: Curve) -> None:
    size = 6.0 if curve.recorded <= 60 else 3.6
    axes.plot(
        curve.raw.step, curve.raw.value, color=EVALUATION, linewidth=0.9, linestyle=(0, (1, 2)), dash_capstyle="butt",
        marker="D", markersize=size, markerfacecolor=EVALUATION, markeredgecolor=PAPER, markeredgewidth=0.8, zorder=4,
        gid=f"{curve.metric}:evaluation",
    )  # fmt: skip


def _legend(
    axes: Axes,
    training: Sequence[Curve],
    evaluation: Curve | None,
    corner: Literal["lower left", "lower right"],
    place: tuple[float, float],
) -> None:
    """Names and last values, above the axes."""
    handles = [
        Line2D(
            [],
            [],
            color=METRIC_COLOURS[curve.metric],
            linewidth=2.0,
            solid_capstyle="butt",
            label=_name_and_last(curve),
        )
        for curve in training
    ]
    if evaluation:
        handles.append(
            Line2D([], [], color=EVALUATION, linestyle="none", marker="D", markersize=5.0, markeredgewidth=0.0,
                   label=_name_and_last(evaluation))
        )  # fmt: skip
    if not handles:
        return
    legend = axes.legend(
        handles=handles, loc=corner, bbox_to_anchor=place, ncols=len(handles),
        prop=font(9), labelcolor=INK, frameon=False, borderpad=0.0, borderaxespad=0.0, handlelength=1.1,
        handletextpad=0.4, columnspacing=1.1, handleheight=0.7, labelspacing=0.0,
    )  # fmt: skip
    legend.set_gid("legend")


def _name_and_last(curve: Curve) -> str:
    return f"{curve.metric} {axis.number(curve.last)}"
