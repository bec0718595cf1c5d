"""What is left to do, and on which conditions the model may go into production."""

from kiseki.report.document import Block, Bullets, Paragraph, Section
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import stated_blocks, visible
from kiseki.report.sections.numbers import decimal
from kiseki.report.sections.standing import answer_word
from kiseki.report.sections.wording import Speaker


def next_steps_section(dossier: Dossier, say: Speaker) -> Section:
    """The author's plans, and the criteria that are still open."""
    plans, conditions = stated_blocks(dossier, "next_steps", say), stated_blocks(dossier, "production_conditions", say)
    not_met = say(ja="達成に至っていない成功基準", en="Success criteria that are not met")
    return Section(
        "next_steps",
        say(ja="今後の課題と本番移行の条件", en="Next steps and conditions for production"),
        (),
        (
            Section("plans", say(ja="今後の課題", en="Next steps"), plans),
            Section("production", say(ja="本番移行の条件", en="Conditions for production"), conditions),
            Section("open_criteria", not_met, (_open(dossier, say),)),
        ),
    )


def _open(dossier: Dossier, say: Speaker) -> Block:
    verdicts = dossier.criteria.verdicts
    if not verdicts:
        return Paragraph(
            say(ja="成功基準が設定されていません（記載なし）。", en="No success criteria were set (not stated).")
        )
    items = [
        f"{visible(one.criterion.metric)} {one.criterion.operator} {decimal(one.criterion.threshold)}: "
        f"{answer_word(one.answer, say)}"
        for one in verdicts
        if one.answer != "met"
    ]
    return Bullets(tuple(items)) if items else Paragraph(say.none)
