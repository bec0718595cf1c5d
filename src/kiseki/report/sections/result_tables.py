"""The numbers behind the curves: statistics of every metric, every evaluation, what the trainer handed over."""

from collections.abc import Mapping, Sequence

from kiseki.analysis.statistics import Summary
from kiseki.history import number
from kiseki.report.document import Block, Notice, Paragraph, Table, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.effective import leaves
from kiseki.report.sections.given import value_text, visible
from kiseki.report.sections.metrics import brief_unit_in
from kiseki.report.sections.numbers import decimal, decimal_or, integer
from kiseki.report.sections.wording import Speaker

_EVALUATIONS_SHOWN = 50
_METRICS_ACROSS = 5
_NOTHING = "—"


def statistics_tables(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """Statistics of training rows and of evaluations, and the final metrics that the trainer gave."""
    blocks: list[Block] = []
    if dossier.training:
        blocks.append(_summary_table(dossier, dossier.training, say(ja="学習記録の統計量", en="Training rows"), say))
    if dossier.evaluation:
        blocks.append(_summary_table(dossier, dossier.evaluation, say(ja="評価記録の統計量", en="Evaluations"), say))
    text = say(
        ja="最小・最大・平均・標準偏差は有限値のみから算出し、nはその個数です。最終値は最後に記録された値です（非有限値も"
        "そのまま示します）。標準偏差は記録値そのもののばらつき（ddof=0）であり、指標の不確かさを示すものではありません。",
        en="Min, max, mean and std are over finite values only; n counts them. “Last” is the value recorded last, "
        "finite or not. The standard deviation (ddof=0) describes the recorded values themselves; it is no uncertainty "
        "of the metric.",
    )
    blocks.append(Paragraph(text))
    if isinstance(dossier.final_metrics_given, Mapping):
        blocks.append(_given_table(dossier.final_metrics_given, say))
    return tuple(blocks)


def evaluation_tables(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """Every evaluation by step, or evenly chosen ones where there are very many."""
    total = len(dossier.history.evaluations)
    if not total:
        text = say(
            ja="評価記録は0件です。学習に用いていないデータでの性能は、この記録からは分かりません。",
            en="There are 0 evaluations: this record does not show how the model does on data it was not trained on.",
        )
        return (Notice(Tone.CAUTION, text),)
    positions = _evenly(total, _EVALUATIONS_SHOWN)
    names = [name for name in dossier.evaluation if name != "epoch"]
    blocks: list[Block] = [
        _evaluation_table(dossier, positions, names[start : start + _METRICS_ACROSS], say)
        for start in range(0, max(len(names), 1), _METRICS_ACROSS)
    ]
    if len(positions) < total:
        text = say(
            ja=f"評価{integer(total)}回のうち、等間隔に選んだ{integer(len(positions))}回を示します（最初と最後を含む）。"
            "全評価は、評価指標のJSON・CSVファイルにあります。",
            en=f"Of {integer(total)} evaluations, {integer(len(positions))} evenly chosen ones are shown, the first "
            "and the last among them. All are in the JSON and CSV files of evaluation metrics.",
        )
        blocks.append(Paragraph(text))
    return tuple(blocks)


def _summary_table(dossier: Dossier, summaries: Mapping[str, Summary], caption: str, say: Speaker) -> Table:
    return Table(
        head=(
            say(ja="指標", en="Metric"),
            say(ja="単位", en="Unit"),
            say(ja="最小", en="Min"),
            say(ja="最大", en="Max"),
            say(ja="平均", en="Mean"),
            say(ja="標準偏差", en="Std"),
            say(ja="最終値", en="Last"),
            say(ja="最終ステップ", en="Last step"),
            "n",
            say(ja="非有限", en="Not finite"),
        ),
        rows=tuple(
            (
                visible(name),
                brief_unit_in(dossier, name, say),
                *(decimal_or(value, _NOTHING) for value in (one.min, one.max, one.mean, one.std, one.final)),
                _NOTHING if one.final_step is None else integer(one.final_step),
                integer(one.n),
                integer(one.non_finite),
            )
            for name, one in summaries.items()
        ),
        numeric=frozenset(range(2, 10)),
        caption=caption,
        tones=tuple(Tone.CAUTION if one.non_finite else Tone.NEUTRAL for one in summaries.values())
        if any(one.non_finite for one in summaries.values())
        else (),
    )


def _given_table(given: Mapping[str, object], say: Speaker) -> Table:
    return Table(
        head=(say(ja="指標", en="Metric"), say(ja="値", en="Value")),
        rows=tuple(
            (visible(name), value_text(value, say) if (plain := number(value)) is None else decimal(plain))
            for name, value in leaves(given)
        ),
        numeric=frozenset({1}),
        caption=say(ja="学習プログラムから渡された最終指標", en="Final metrics that the trainer handed over"),
    )


def _evenly(total: int, most: int) -> list[int]:
    if total <= most:
        return list(range(total))
    return [index * (total - 1) // (most - 1) for index in range(most)]


def _evaluation_table(dossier: Dossier, positions: Sequence[int], names: Sequence[str], say: Speaker) -> Table:
    evaluations = dossier.history.evaluations
    columns = [evaluations.columns[name] for name in names]
    by_position = [dict(zip(column.position, column.value, strict=True)) for column in columns]
    return Table(
        head=(say(ja="ステップ", en="Step"), *(visible(name) for name in names)),
        rows=tuple(
            (
                integer(evaluations.steps[position]),
                *(decimal_or(values.get(position), _NOTHING) for values in by_position),
            )
            for position in positions
        ),
        numeric=frozenset(range(len(names) + 1)),
        caption=say(ja="評価結果", en="Evaluations"),
    )
