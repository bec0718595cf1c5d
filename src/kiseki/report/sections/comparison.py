"""The run beside a baseline: last values of both, and what a difference between two single runs can show."""

from collections.abc import Mapping

from kiseki.analysis.statistics import Summary, difference
from kiseki.report.document import Block, Facts, Notice, Paragraph, Table, Tone
from kiseki.report.dossier import UNKNOWN, Dossier
from kiseki.report.sections.given import value_text, visible
from kiseki.report.sections.metrics import unit_in
from kiseki.report.sections.numbers import decimal, decimal_or, integer
from kiseki.report.sections.standing import status_word
from kiseki.report.sections.wording import Speaker


def comparison(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """The last values of both runs, metric by metric."""
    baseline = dossier.baseline
    if baseline is None:
        return (Paragraph(say(ja="比較対象（ベースライン）は指定されていません。", en="No baseline was named.")),)
    facts = Facts(
        (
            (
                say(ja="ベースラインのモデル", en="Model of the baseline"),
                value_text(baseline.model_name or UNKNOWN, say),
            ),
            (say(ja="ベースラインの実行ID", en="Run of the baseline"), visible(baseline.history.run_id)),
            (say(ja="ベースラインの状態", en="Status of the baseline"), status_word(baseline.status, say)),
            (say(ja="ベースラインの最終ステップ", en="Last step of the baseline"), integer(baseline.total_steps)),
            (say(ja="ベースラインの記録のSHA-256", en="SHA-256 of its journal"), baseline.journal.sha256),
        )
    )
    return (facts, _table(dossier, baseline, say), Notice(Tone.CAUTION, comparison_limit(dossier, say)))


def comparison_limit(dossier: Dossier, say: Speaker) -> str:
    """What the comparison cannot show, or that there is none."""
    if dossier.baseline is None:
        return say(
            ja="比較対象（ベースライン）の実行は指定されていないため、他の手法より優れているかどうかは判断できません。",
            en="No baseline run was named, so whether the method is better than another cannot be told.",
        )
    return say(
        ja="ベースラインとの比較は各1回の実行によるものです。差が偶然によるものかどうかは判断できません。",
        en="The comparison with the baseline rests on 1 run each: whether a difference is chance cannot be told.",
    )


def _table(dossier: Dossier, baseline: Dossier, say: Speaker) -> Table:
    ours, theirs = _finals(dossier), _finals(baseline)
    shared = [name for name in ours if name in theirs]
    return Table(
        head=(
            say(ja="指標", en="Metric"),
            say(ja="単位", en="Unit"),
            say(ja="本実行（最終値）", en="This run (last)"),
            say(ja="ベースライン（最終値）", en="Baseline (last)"),
            say(ja="差（本実行 − ベースライン）", en="Difference (this run − baseline)"),
        ),
        rows=tuple(
            (
                visible(name),
                unit_in(dossier, name, say),
                decimal(ours[name]),
                decimal(theirs[name]),
                decimal_or(difference(ours[name], theirs[name]), "—"),
            )
            for name in shared
        ),
        numeric=frozenset({2, 3, 4}),
        caption=say(ja="ベースラインとの比較", en="Comparison with the baseline"),
    )


def _finals(dossier: Dossier) -> dict[str, float]:
    summaries: Mapping[str, Summary] = {**dossier.training, **dossier.evaluation}
    return {name: one.final for name, one in summaries.items() if one.final is not None and name != "epoch"}
