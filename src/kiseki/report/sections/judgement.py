"""The success criteria, what became of them, and the verdict on the whole."""

import math

from kiseki.analysis.criteria import Verdict
from kiseki.report.document import Notice, Table, Tone, VerdictBlock
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import visible
from kiseki.report.sections.numbers import apart, decimal, integer
from kiseki.report.sections.standing import answer_tone, answer_word, overall_tone, overall_word
from kiseki.report.sections.wording import Speaker


def overall_verdict(dossier: Dossier, say: Speaker) -> VerdictBlock:
    """The verdict that the summary opens with. A run that goes on is not judged yet."""
    overall = dossier.criteria.overall
    if dossier.status == "running":
        return VerdictBlock(Tone.NEUTRAL, overall_word("not_judged", say), _preliminary(dossier, say))
    return VerdictBlock(overall_tone(overall), overall_word(overall, say), _reason(dossier, say))


def verdict_table(dossier: Dossier, say: Speaker) -> Table:
    """Every criterion with the measured value and its verdict."""
    verdicts = dossier.criteria.verdicts
    return Table(
        head=(
            say(ja="番号", en="No."),
            say(ja="指標", en="Metric"),
            say(ja="基準", en="Criterion"),
            say(ja="測定時点", en="Measured"),
            say(ja="実測値", en="Value"),
            say(ja="ステップ", en="Step"),
            say(ja="判定", en="Verdict"),
        ),
        rows=tuple(_row(number, verdict, say) for number, verdict in enumerate(verdicts, start=1)),
        numeric=frozenset({0, 4, 5}),
        caption=say(ja="成功基準と判定", en="Success criteria and verdicts"),
        tones=tuple(answer_tone(verdict.answer) for verdict in verdicts),
    )


def criteria_notices(dossier: Dossier, say: Speaker) -> tuple[Notice, ...]:
    """What weakens the criteria: set too late, changed, unreadable, not what their digest says."""
    criteria = dossier.criteria
    notices = []
    if criteria.unreadable:
        why = visible(criteria.unreadable)
        text = say(
            ja=f"記録された成功基準を読み取れませんでした：{why}",
            en=f"The recorded success criteria could not be read: {why}",
        )
        notices.append(Notice(Tone.BAD, text))
    if criteria.verdicts and not criteria.before_training:
        text = say(
            ja="成功基準は、学習の記録が始まった後に設定されています。事前に設定した基準とはいえません。",
            en="The success criteria were set after rows had been recorded: they were not fixed before training.",
        )
        notices.append(Notice(Tone.CAUTION, text))
    if criteria.digest_matches is False:
        text = say(
            ja="成功基準のダイジェストが記録と一致しません。基準が書き換えられた可能性があります。",
            en="The digest of the success criteria is not the recorded one: they may have been altered.",
        )
        notices.append(Notice(Tone.BAD, text))
    if criteria.changed_in_attempts:
        which = say.listed([str(number) for number in criteria.changed_in_attempts])
        text = say(
            ja=f"後の試行（{which}）では異なる基準が示されています。判定には最初に設定された基準だけを用いました。",
            en=f"Later attempts ({which}) stated other criteria. Only those set first were judged by.",
        )
        notices.append(Notice(Tone.CAUTION, text))
    return tuple(notices)


def measured_at(when: str, say: Speaker) -> str:
    """At which moment a criterion is measured."""
    return {
        "final": say(ja="最終値", en="last value"),
        "best": say(ja="最良値", en="best value"),
        "last_evaluation": say(ja="最後の評価", en="last evaluation"),
    }[when]


def _row(number: int, verdict: Verdict, say: Speaker) -> tuple[str, ...]:
    criterion = verdict.criterion
    value, threshold = measured(verdict, say)
    return (
        str(number),
        visible(criterion.metric),
        f"{criterion.operator} {threshold}",
        measured_at(criterion.when, say),
        value,
        "—" if verdict.step is None else integer(verdict.step),
        answer_word(verdict.answer, say),
    )


def measured(verdict: Verdict, say: Speaker) -> tuple[str, str]:
    """The measured value and the threshold, with digits enough to tell them apart."""
    threshold = verdict.criterion.threshold
    if verdict.value is None:
        return say.not_recorded, decimal(threshold)
    if not math.isfinite(verdict.value):
        return decimal(verdict.value), decimal(threshold)
    return apart(verdict.value, threshold)


def _reason(dossier: Dossier, say: Speaker) -> str:
    verdicts = dossier.criteria.verdicts
    if dossier.criteria.unreadable:
        return say(
            ja="記録された成功基準を読み取れないため、判定できません。", en="The recorded criteria cannot be read."
        )
    if not verdicts:
        return say(
            ja="成功基準が学習開始前に設定されていないため、判定できません。",
            en="No success criteria were set before training, so there is nothing to judge by.",
        )
    sentences = [_counts(dossier, say)]
    sentences += [_missed(verdict, say) for verdict in verdicts if verdict.answer == "missed"]
    unmeasured = [visible(verdict.criterion.metric) for verdict in verdicts if verdict.answer == "not_measured"]
    if unmeasured:
        names = say.listed(unmeasured)
        sentences.append(say(ja=f"未測定の指標：{names}。", en=f"Not measured: {names}."))
    if dossier.status != "completed":
        sentences.append(say(ja="学習は完了していません。", en="Training did not complete."))
    return say.joined(sentences)


def _preliminary(dossier: Dossier, say: Speaker) -> str:
    running = say(
        ja="学習が継続中のため、総合判定は行っていません。", en="Training is still running, so there is no verdict yet."
    )
    if not dossier.criteria.verdicts:
        return running
    return say.joined([running, say(ja="現時点の内訳：", en="As it stands:"), _counts(dossier, say)])


def _counts(dossier: Dossier, say: Speaker) -> str:
    verdicts = dossier.criteria.verdicts
    met, missed, open_ = (
        sum(verdict.answer == answer for verdict in verdicts) for answer in ("met", "missed", "not_measured")
    )
    return say(
        ja=f"成功基準{len(verdicts)}件のうち、達成{met}件、未達{missed}件、未測定{open_}件です。",
        en=f"Success criteria: {len(verdicts)}; met: {met}, missed: {missed}, not measured: {open_}.",
    )


def _missed(verdict: Verdict, say: Speaker) -> str:
    criterion = verdict.criterion
    value, threshold = measured(verdict, say)
    name = visible(criterion.metric)
    return say(
        ja=f"未達：{name}（基準 {criterion.operator} {threshold}、実測 {value}）。",
        en=f"Missed: {name} (criterion {criterion.operator} {threshold}, measured {value}).",
    )
