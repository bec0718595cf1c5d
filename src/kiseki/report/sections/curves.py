"""Which metrics are drawn together, and how many."""

import re
from dataclasses import dataclass, replace

from kiseki.analysis.phases import takeovers
from kiseki.report.document import Block, Curves, Notice, Paragraph, Series, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.diagrams import Marked, band_series, diagram, series_of
from kiseki.report.sections.given import visible
from kiseki.report.sections.metrics import known_meaning, readable, unit_in
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.phases import phase_spans
from kiseki.report.sections.wording import Speaker

FURTHER_DIAGRAMS = 12
"""Metrics beyond the known ones get a diagram each, so many of them at most; all are in the tables."""

_LAYER = re.compile(r"(?<=layer_)\d+(?=/)")


@dataclass(frozen=True, slots=True)
class _Panel:
    """Metrics that are drawn together, and how widely values must spread for a logarithmic axis."""

    ja: str
    en: str
    metrics: tuple[str, ...]
    log_factor: float | None = None


_PANELS = (
    _Panel("損失", "Loss", ("loss", "lm_loss", "eval_loss"), 20.0),
    _Panel("PET損失（正則化項 × 重みλ）", "PET loss (penalty × weight λ)", ("pet_loss",), 100.0),
    _Panel("SO8T損失（ゲートの直交性からのずれ）", "SO8T loss (deviation from orthogonality)", ("so8t_loss",), 100.0),
    _Panel("学習率", "Learning rate", ("learning_rate",)),
    _Panel("正解率", "Accuracy", ("accuracy", "eval_accuracy")),
    # perplexity is an exponential: on a logarithmic axis it has the shape of the loss, so little is enough
    _Panel("パープレキシティ", "Perplexity", ("perplexity", "eval_perplexity"), 5.0),
    _Panel("勾配ノルム", "Gradient norm", ("grad_norm",), 50.0),
)
_IN_PANELS = frozenset(name for panel in _PANELS for name in panel.metrics)


def known_curves(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """The diagrams every reader expects: loss and its parts, learning rate, accuracy, perplexity, gradient norm."""
    marked = _marked(dossier, say)
    blocks: list[Block] = []
    if not dossier.training:
        blocks.append(Notice(Tone.CAUTION, say(ja="学習記録は0件です。", en="There are 0 training rows.")))
    found = {name: _series(dossier, name) for panel in _PANELS for name in panel.metrics}
    for panel in _PANELS:
        recorded = [name for name in panel.metrics if found[name]]
        if recorded:
            series = [one for name in recorded for one in found[name]] + _baseline_series(dossier, panel)
            title, measured = say(ja=panel.ja, en=panel.en), unit_in(dossier, recorded[0], say)
            blocks.append(diagram(title, measured, series, marked, say, log_factor=panel.log_factor))
    missing = [name for name, series in found.items() if not series]
    if missing:
        names = say.listed(missing)
        blocks.append(Paragraph(say(ja=f"記録のない指標：{names}。", en=f"Metrics that were not recorded: {names}.")))
    return tuple(blocks)


def further_curves(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """A diagram for each of the other metrics; of those that each layer has, one for all layers."""
    groups = _groups(dossier)
    if not groups:
        return (Paragraph(say(ja="上記以外の指標は記録されていません。", en="No further metrics were recorded.")),)
    marked = _marked(dossier, say)
    shown = list(groups.items())[:FURTHER_DIAGRAMS]
    blocks: list[Block] = []
    if len(shown) < len(groups):
        text = say(
            ja=f"その他の指標{integer(len(groups))}種のうち、{integer(len(shown))}種を図示します。"
            "残りを含む全指標の統計量は、次の表に示します。",
            en=f"Of {integer(len(groups))} further kinds of metrics, {integer(len(shown))} are drawn. "
            "The statistics of all, the others too, are in the tables below.",
        )
        blocks.append(Notice(Tone.NEUTRAL, text))
    blocks += [_further(dossier, group, names, marked, say) for group, names in shown]
    return tuple(blocks)


def _groups(dossier: Dossier) -> dict[str, list[str]]:
    """The other metrics by what they are called without the layer's number; those that are defined come first.

    The epoch is not among them: it is no result but another name for the step.
    """
    names = dict.fromkeys([*dossier.training, *dossier.evaluation])
    others = [name for name in names if name not in _IN_PANELS and name != "epoch"]
    groups: dict[str, list[str]] = {}
    for name in sorted(others, key=lambda name: known_meaning(dossier, name) is None):
        groups.setdefault(_LAYER.sub("*", name), []).append(name)
    return groups


def _further(dossier: Dossier, group: str, names: list[str], marked: Marked, say: Speaker) -> Curves:
    columns = dossier.history.rows.columns
    word = readable(names[0], say)
    shown = visible(group)
    title = say(ja=f"{word}（{shown}）", en=f"{word} ({shown})") if word else shown
    if len(names) > 1 and all(name in columns for name in names):
        count = integer(len(names))
        series = [band_series(group, [columns[name] for name in names])]
        remark = say(
            ja=f"線は{count}層の平均、帯は{count}層の最小から最大です。",
            en=f"The line is the mean of {count} layers, the band reaches from the lowest of {count} to the highest.",
        )
        return diagram(title, unit_in(dossier, names[0], say), series, marked, say, remark=remark)
    series = [one for name in names for one in _series(dossier, name)]
    return diagram(title, unit_in(dossier, names[0], say), series, marked, say, log_factor=1e4)


def _series(dossier: Dossier, name: str) -> list[Series]:
    """The metric in the training rows and in the evaluations; a name that both have is told apart."""
    training = dossier.history.rows.columns.get(name)
    evaluation = dossier.history.evaluations.columns.get(name)
    found = [series_of(training)] if training else []
    if evaluation:
        found.append(series_of(evaluation, name=f"{name} (evaluation)" if training else name, markers=True))
    return found


def _baseline_series(dossier: Dossier, panel: _Panel) -> list[Series]:
    """The baseline's curves in the same diagram, told apart; parts of its loss would only crowd it."""
    if dossier.baseline is None:
        return []
    names = [name for name in panel.metrics if name != "lm_loss"]
    found = [one for name in names for one in _series(dossier.baseline, name)]
    return [replace(one, name=f"{one.name} (baseline)") for one in found]


def _marked(dossier: Dossier, say: Speaker) -> Marked:
    return Marked(takeovers(dossier.attempts), phase_spans(dossier, say))
