"""Curves as they are drawn: few enough points for a page, every extreme among them, gaps where there is no number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kiseki.analysis.downsample import min_max
from kiseki.analysis.replicates import band
from kiseki.history import Column
from kiseki.report.document import Curves, Series
from kiseki.report.sections.given import visible
from kiseki.report.sections.numbers import decimal, integer
from kiseki.report.sections.phases import PhaseSpan
from kiseki.report.sections.wording import Speaker

MOST_POINTS = 2000
"""So many points of one curve are drawn at most."""

_BUCKETS = (MOST_POINTS - 2) // 2
# Between two chosen points there can be a gap each, so half as many points leave room for all gaps.
_BUCKETS_WITH_GAPS = (MOST_POINTS - 6) // 4
_NON_FINITE_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Marked:
    """What all diagrams of one report mark alike.

    Attributes:
        attempts: optimizer steps at which a later attempt took over.
        phases: phases to shade.
    """

    attempts: tuple[int, ...] = ()
    phases: tuple[PhaseSpan, ...] = ()


def series_of(column: Column, *, name: str | None = None, markers: bool = False) -> Series:
    """One recorded metric as a curve.

    Args:
        column: its values.
        name: what the legend says; the metric's own name by default.
        markers: its points are few and apart, such as evaluations.

    Example:
        >>> from array import array
        >>> steps, values = array("q", [1, 2, 3]), array("d", [2.0, float("nan"), 1.0])
        >>> series = series_of(Column("loss", array("q"), steps, values))
        >>> series.steps, series.values, series.non_finite_steps
        ((1, 2, 3), (2.0, None, 1.0), (2,))
    """
    drawn = _drawn_of(np.asarray(column.step), np.asarray(column.value))
    return Series(
        name=visible(column.name if name is None else name),
        steps=drawn.steps,
        values=drawn.values,
        recorded=len(column),
        non_finite_steps=drawn.non_finite_steps,
        markers=markers or len(column) == 1,
    )


def band_series(name: str, columns: Sequence[Column], *, markers: bool = False) -> Series:
    """Several columns of one kind as their mean with a band from the lowest to the highest: of layers, or of runs.

    Args:
        name: what the legend says.
        columns: at least one; only steps at which each has a finite value are drawn, and steps at which one has a
            value that is not finite are gaps.
        markers: its points are few and apart.
    """
    together = band(columns)
    lost = np.unique(np.concatenate([_lost_steps(column) for column in columns]))
    step = np.union1d(np.asarray(together.steps, dtype=np.int64), lost)
    low, mean, high = np.full((3, len(step)), np.nan)
    places = np.searchsorted(step, np.asarray(together.steps, dtype=np.int64))
    low[places], mean[places], high[places] = together.low, together.mean, together.high
    drawn = _drawn_of(step, mean)
    return Series(
        name=visible(name),
        steps=drawn.steps,
        values=drawn.values,
        recorded=len(step),
        band=tuple(zip(low[drawn.places].tolist(), high[drawn.places].tolist(), strict=True)),
        non_finite_steps=drawn.non_finite_steps,
        markers=markers or len(step) == 1,
    )


def diagram(
    title: str,
    unit: str,
    series: Sequence[Series],
    marked: Marked,
    say: Speaker,
    *,
    log_factor: float | None = None,
    remark: str = "",
) -> Curves:
    """One diagram.

    Args:
        title: its heading.
        unit: of the vertical axis.
        series: its curves.
        marked: takeovers and phases.
        say: in which language.
        log_factor: how many times the smallest value the largest must be for a logarithmic axis; None for never.
        remark: what else a reader must know of it.
    """
    return Curves(
        title=title,
        unit=unit,
        series=tuple(series),
        alternative=" ".join([title + say(ja="。", en="."), *(_told(one, say) for one in series)]),
        note=say.joined([_note(series, marked, say), remark]),
        logarithmic=log_factor is not None and _spread(series) >= log_factor,
        attempts=marked.attempts,
        phases=marked.phases,
    )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The points of a curve that are drawn, and where they stand among those that were recorded."""

    places: NDArray[np.int64]
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    non_finite_steps: tuple[int, ...]


def _drawn_of(step: NDArray[np.int64], value: NDArray[np.float64]) -> _Drawn:
    broken = np.flatnonzero(~np.isfinite(value))
    chosen = min_max(step, value, _BUCKETS_WITH_GAPS if len(broken) else _BUCKETS)
    chosen = np.union1d(chosen, _one_in_each_gap(broken, chosen))
    return _Drawn(
        places=chosen,
        steps=tuple(step[chosen].tolist()),
        values=tuple(number if np.isfinite(number) else None for number in value[chosen].tolist()),
        non_finite_steps=tuple(step[broken[:_NON_FINITE_LISTED]].tolist()),
    )


def _lost_steps(column: Column) -> NDArray[np.int64]:
    return np.asarray(column.step, dtype=np.int64)[~np.isfinite(column.value)]


def _one_in_each_gap(broken: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first value that is not finite between two neighbouring points that are drawn."""
    return broken[np.unique(np.searchsorted(chosen, broken), return_index=True)[1]]


def _spread(series: Sequence[Series]) -> float:
    values = [value for one in series for value in one.values if value is not None]
    return max(values) / min(values) if values and min(values) > 0 else 0.0


def _note(series: Sequence[Series], marked: Marked, say: Speaker) -> str:
    drawn = say.listed([f"{one.name} {integer(_drawn(one))}/{integer(one.recorded)}" for one in series])
    sentences = [say(ja=f"描画点数/記録点数：{drawn}。", en=f"Points drawn of points recorded: {drawn}.")]
    if any(_thinned(one) for one in series):
        sentences.append(say(ja="極値を残して間引いています。", en="Thinned for drawing; extremes are kept."))
    if any(one.non_finite_steps for one in series):
        sentences.append(_non_finite(series, say))
    if marked.phases:
        sentences.append(say(ja="背景の色分けは学習段階です。", en="Shading marks the phases of training."))
    if marked.attempts:
        sentences.append(say(ja="縦線は再開位置です。", en="Vertical lines mark where training was resumed."))
    return say.joined(sentences)


def _non_finite(series: Sequence[Series], say: Speaker) -> str:
    count = sum(len(one.non_finite_steps) for one in series)
    capped = any(len(one.non_finite_steps) == _NON_FINITE_LISTED for one in series)
    told = say(ja=f"{integer(count)}件以上", en=f"at least {integer(count)}") if capped else integer(count)
    return say(
        ja=f"非有限値（NaN・±∞）：{told}{'' if capped else '件'}（線は途切れます）。",
        en=f"Not finite (NaN, ±∞): {told} (the line breaks there).",
    )


def _drawn(series: Series) -> int:
    return sum(value is not None for value in series.values)


def _thinned(series: Series) -> bool:
    listed = len(series.non_finite_steps)
    return listed < _NON_FINITE_LISTED and _drawn(series) < series.recorded - listed


def _told(series: Series, say: Speaker) -> str:
    finite = [(step, value) for step, value in zip(series.steps, series.values, strict=True) if value is not None]
    if not finite:
        return say(ja=f"{series.name}：有限値の記録なし。", en=f"{series.name}: no finite value was recorded.")
    (first_step, first), (last_step, last) = finite[0], finite[-1]
    low, high = decimal(min(value for _, value in finite)), decimal(max(value for _, value in finite))
    return say(
        ja=f"{series.name}：ステップ{integer(first_step)}で{decimal(first)}、ステップ{integer(last_step)}で"
        f"{decimal(last)}、最小{low}、最大{high}。",
        en=f"{series.name}: {decimal(first)} at step {integer(first_step)}, {decimal(last)} "
        f"at step {integer(last_step)}, minimum {low}, maximum {high}.",
    )
