"""What was promised before training, when, and the digest that fixes it."""

from kiseki.report.document import Block, Code, Facts, Notice, Paragraph, Section, Table, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import visible
from kiseki.report.sections.judgement import criteria_notices, measured, measured_at
from kiseki.report.sections.numbers import moment
from kiseki.report.sections.wording import Speaker


def criteria_section(dossier: Dossier, say: Speaker) -> Section:
    """The criteria as they were set, and the rule of the overall verdict."""
    criteria = dossier.criteria
    blocks: list[Block] = [*criteria_notices(dossier, say)]
    if criteria.verdicts:
        blocks += [_promises(dossier, say), _when_set(dossier, say), Paragraph(_rule(say))]
        blocks += [Paragraph(_digest_note(say)), Code(f"sha256(criteria) = {criteria.sha256}")]
    elif not criteria.unreadable:
        text = say(
            ja="学習開始前に設定された成功基準はありません（記載なし）。このため総合判定は行っていません。",
            en="No success criteria were set before training (not stated). There is therefore no overall verdict.",
        )
        blocks.append(Notice(Tone.NEUTRAL, text))
    title = say(ja="評価基準（学習開始前に設定）", en="Success criteria (set before training)")
    return Section("criteria", title, tuple(blocks))


def _promises(dossier: Dossier, say: Speaker) -> Table:
    rows = []
    for number, verdict in enumerate(dossier.criteria.verdicts, start=1):
        criterion = verdict.criterion
        rows.append(
            (
                str(number),
                visible(criterion.metric),
                f"{criterion.operator} {measured(verdict, say)[1]}",
                measured_at(criterion.when, say),
                visible(criterion.description) or say.not_stated,
            )
        )
    return Table(
        head=(
            say(ja="番号", en="No."),
            say(ja="指標", en="Metric"),
            say(ja="基準", en="Criterion"),
            say(ja="測定時点", en="Measured"),
            say(ja="説明（作成者の記載）", en="Description (author's words)"),
        ),
        rows=tuple(rows),
        numeric=frozenset({0}),
        caption=say(ja="学習開始前に設定された成功基準", en="Success criteria as they were set"),
    )


def _when_set(dossier: Dossier, say: Speaker) -> Facts:
    criteria = dossier.criteria
    matches = criteria.digest_matches
    return Facts(
        (
            (say(ja="設定日時", en="Set at"), moment(criteria.set_at) if criteria.set_at else say.unknown),
            (say(ja="設定した試行", en="Set in attempt"), str(criteria.set_in_attempt)),
            (say(ja="最初の学習記録より前の設定", en="Set before the first row"), say.yes_no(criteria.before_training)),
            (
                say(ja="記録されたダイジェストとの一致", en="Equal to the recorded digest"),
                say.not_recorded if matches is None else say.yes_no(matches),
            ),
        )
    )


def _rule(say: Speaker) -> str:
    return say(
        ja="総合判定の規則：学習が完了し全基準を達成した場合は「移行可」、未達が一つでもある場合は「移行見送り」、"
        "未達がなく、達成した基準があるものの、未測定の基準が残るか学習が完了していない場合は「条件付き移行可」、"
        "いずれの基準も測定されていない場合は「判定対象外」とします。",
        en="Rule of the overall verdict: Go when training completed and every criterion is met; No-Go when any is "
        "missed; Conditional Go when none is missed and some are met, but some were not measured or training did not "
        "complete; Not judged when nothing the criteria name was measured.",
    )


def _digest_note(say: Speaker) -> str:
    return say(
        ja="成功基準のダイジェスト：基準をJSON（キー昇順、空白なし、UTF-8）で表したもののSHA-256です。基準とともに、"
        "設定した試行の開始行に書き込まれています。",
        en="Digest of the criteria: the SHA-256 of their JSON (keys sorted, no spaces, UTF-8). It stands with them in "
        "the line that opens the attempt.",
    )
