"""The tables of a report on several runs."""

from collections.abc import Sequence

from kiseki.report.document import Table
from kiseki.report.sections.cover import model_name
from kiseki.report.sections.given import value_text, visible
from kiseki.report.sections.metrics import definition, unit
from kiseki.report.sections.numbers import decimal, decimal_or, integer, moment
from kiseki.report.sections.record_quality import quality_notice
from kiseki.report.sections.standing import overall_tone, overall_word, status_word
from kiseki.report.sections.wording import Speaker
from kiseki.report.several.facts import Several


def interval_table(several: Several, names: Sequence[str], caption: str, say: Speaker) -> Table:
    """Mean, spread and interval of metrics, the value of each run beside them."""
    return Table(
        head=(
            say(ja="指標", en="Metric"),
            say(ja="単位", en="Unit"),
            "n",
            say(ja="平均", en="Mean"),
            say(ja="信頼区間", en="Interval"),
            say(ja="標準偏差", en="Std"),
            say(ja="各回の値", en="Value of each run"),
        ),
        rows=tuple(_interval_row(several, name, say) for name in names),
        numeric=frozenset({2, 3, 4, 5}),
        caption=caption,
    )


def _interval_row(several: Several, name: str, say: Speaker) -> tuple[str, ...]:
    one = several.training[name] if name in several.training else several.evaluation[name]
    interval = say.unknown if one.low is None or one.high is None else f"{decimal(one.low)} – {decimal(one.high)}"
    return (
        visible(name),
        unit(name, say),
        integer(one.n),
        decimal(one.mean),
        interval,
        decimal_or(one.std, say.unknown),
        say.listed([decimal(value) for value in one.values]),
    )


def runs_table(several: Several, say: Speaker) -> Table:
    """The runs: what they are, how they ended, how they were judged."""
    return Table(
        head=(
            say(ja="番号", en="No."),
            say(ja="実行ID", en="Run"),
            say(ja="モデル", en="Model"),
            say(ja="状態", en="Status"),
            say(ja="開始", en="Started"),
            say(ja="ステップ", en="Steps"),
            say(ja="総合判定", en="Verdict"),
        ),
        rows=tuple(
            (
                str(number),
                visible(dossier.history.run_id),
                model_name(dossier, say),
                status_word(dossier.status, say),
                moment(dossier.start_time),
                integer(dossier.total_steps),
                overall_word(dossier.criteria.overall, say),
            )
            for number, dossier in enumerate(several.dossiers, start=1)
        ),
        numeric=frozenset({0, 5}),
        caption=say(ja="学習の一覧", en="The runs"),
        tones=tuple(overall_tone(dossier.criteria.overall) for dossier in several.dossiers),
    )


def differing_table(several: Several, say: Speaker) -> Table:
    """Settings that are not the same in all runs."""
    numbers = [str(number) for number in range(1, len(several.dossiers) + 1)]
    return Table(
        head=(say(ja="設定項目", en="Setting"), *numbers),
        rows=tuple(
            (visible(name), *(value_text(value, say) for value in values)) for name, values in several.differing.items()
        ),
        caption=say(ja="回ごとに異なる設定", en="Settings that differ between the runs"),
    )


def quality_table(several: Several, say: Speaker) -> Table:
    """How far each record can be trusted."""
    notices = [quality_notice(dossier, say) for dossier in several.dossiers]
    return Table(
        head=(
            say(ja="番号", en="No."),
            say(ja="行数", en="Rows"),
            say(ja="欠損", en="Missing"),
            say(ja="置換済み", en="Superseded"),
            say(ja="記録エラー", en="Errors"),
            say(ja="所見", en="Finding"),
        ),
        rows=tuple(
            (
                str(number),
                integer(dossier.quality.recorded_rows),
                integer(dossier.quality.missing_rows),
                integer(dossier.quality.superseded),
                integer(dossier.quality.recorder_errors),
                notice.text,
            )
            for number, (dossier, notice) in enumerate(zip(several.dossiers, notices, strict=True), start=1)
        ),
        numeric=frozenset({0, 1, 2, 3, 4}),
        caption=say(ja="各回の記録の状態", en="State of each record"),
        tones=tuple(notice.tone for notice in notices),
    )


def definitions_table(several: Several, say: Speaker) -> Table:
    """What each metric means."""
    return Table(
        head=(say(ja="指標", en="Metric"), say(ja="単位", en="Unit"), say(ja="定義", en="Definition")),
        rows=tuple((visible(name), unit(name, say), definition(name, say)) for name in several.columns),
        caption=say(ja="指標の定義", en="Definitions of the metrics"),
    )
