"""What went wrong with a record: in a few words each, and event by event."""

from collections.abc import Iterator

from kiseki.report.document import Block, Bullets, Notice, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import value_text, visible
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.wording import Speaker


def problems(dossier: Dossier, say: Speaker) -> tuple[list[str], list[str]]:
    """What speaks against the record, and what a reader should merely know, each in a few words."""
    quality, history = dossier.quality, dossier.history
    non_finite = non_finite_values(dossier)
    only_noted = 0 if non_finite else quality.non_finite_step_count
    changed = sum(file.state == "changed" for file in dossier.side_files)
    warnings, failures = (len(history.notes_of(kind)) for kind in ("warning", "companion_failure"))
    bad = (
        (len(history.damage), "記録の損傷{}か所", "damaged places: {}"),
        (quality.dropped_rows, "書き込めなかった記録{}行", "rows that could not be written: {}"),
        (non_finite, "非有限値{}件", "non-finite values: {}"),
        (only_noted, "非有限値が生じたステップ{}件", "steps with a non-finite value: {}"),
        (changed, "記録後に変更された付属ファイル{}件", "side files changed since they were recorded: {}"),
    )
    short = (dossier.max_steps or 0) - dossier.total_steps if dossier.status == "completed" else 0
    caution = (
        (max(short, 0), "計画のうち未実施のステップ{}", "planned steps that were not made: {}"),
        (quality.missing_rows, "欠損{}行", "missing rows: {}"),
        (quality.repeated, "同一ステップの重複{}行", "repeated steps: {}"),
        (quality.out_of_order, "順序の逆転{}行", "rows out of order: {}"),
        (quality.superseded, "再開により置き換えられた記録{}行", "rows superseded by a resumed attempt: {}"),
        (quality.superseded_evaluations, "再開により置き換えられた評価{}回", "superseded evaluations: {}"),
        (quality.torn_tail_bytes, "末尾の書きかけ{}バイト", "bytes of a torn last line: {}"),
        (len(quality.repairs), "書きかけ行の退避{}回", "torn lines set aside: {}"),
        (quality.refused_count, "記録を拒否した値{}件", "refused values: {}"),
        (quality.recorder_errors, "記録処理のエラー{}件", "recorder errors: {}"),
        (warnings, "警告{}件", "warnings: {}"),
        (failures, "図表更新の失敗{}件", "failures in keeping files up to date: {}"),
    )

    def told(found: tuple[tuple[int, str, str], ...]) -> list[str]:
        return [say(ja=ja, en=en).format(integer(count)) for count, ja, en in found if count]

    return told(bad), told(caution)


def non_finite_values(dossier: Dossier) -> int:
    """How many recorded values are NaN or infinite."""
    return sum(facts["count"] or 0 for facts in dossier.quality.non_finite.values())


def events(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """Everything that was noted, one by one; of very many the first, saying so."""
    items = [*_about_rows(dossier, say), *_about_values(dossier, say), *_about_files(dossier, say)]
    if not items:
        return (Notice(Tone.GOOD, say(ja="特記すべき事象は記録されていません。", en="Nothing of note was recorded.")),)
    return (Bullets(tuple(items)),)


def _about_rows(dossier: Dossier, say: Speaker) -> Iterator[str]:
    quality = dossier.quality
    for gap in quality.gaps:
        after, before, missing = integer(gap.after_step), integer(gap.before_step), integer(gap.missing_rows)
        yield say(
            ja=f"欠損：ステップ{after}と{before}の間に{missing}行。",
            en=f"Gap: between steps {after} and {before}; missing rows: {missing}.",
        )
    yield from _and_more(quality.gap_count, len(quality.gaps), say)


def _about_values(dossier: Dossier, say: Speaker) -> Iterator[str]:
    quality = dossier.quality
    for name, facts in quality.non_finite.items():
        count, first = integer(facts["count"] or 0), integer(facts["first_step"] or 0)
        yield say(
            ja=f"非有限値：{visible(name)} {count}件（最初はステップ{first}）。",
            en=f"Non-finite: {visible(name)}; values: {count}, first at step {first}.",
        )
    if quality.non_finite_steps:
        steps = say.listed([integer(step) for step in quality.non_finite_steps])
        yield say(
            ja=f"学習プログラムが申告した、非有限値が生じたステップ：{steps}。",
            en=f"Steps with a non-finite value, as the trainer reported: {steps}.",
        )
    yield from _and_more(quality.non_finite_step_count, len(quality.non_finite_steps), say)
    for note in quality.refused:
        name, step, why = (value_text(note[key], say) for key in ("name", "step", "why"))
        yield say(
            ja=f"記録を拒否した値：{name}（ステップ{step}）：{why}",
            en=f"Refused value: {name} (step {step}): {why}",
        )
    yield from _and_more(quality.refused_count, len(quality.refused), say)


def _about_files(dossier: Dossier, say: Speaker) -> Iterator[str]:
    quality, history = dossier.quality, dossier.history
    for repair in quality.repairs:
        attempt, length, kept = (value_text(repair[key], say) for key in ("attempt", "bytes", "kept_as"))
        yield say(
            ja=f"書きかけ行の退避：試行{attempt}、{length}バイト、保存先 {kept}。",
            en=f"Torn line set aside: attempt {attempt}, {length} bytes, kept as {kept}.",
        )
    for damage in quality.damage:
        line, offset, what = integer(int(damage["line"])), integer(int(damage["offset"])), visible(str(damage["what"]))
        yield say(
            ja=f"損傷：{line}行目（先頭から{offset}バイトの位置）：{what}",
            en=f"Damage: line {line} (at byte {offset}): {what}",
        )
    yield from _and_more(len(history.damage), len(quality.damage), say)
    for text in quality.warnings:
        yield say(ja="警告：", en="Warning: ") + visible(text)
    yield from _and_more(len(history.notes_of("warning")), len(quality.warnings), say)
    for text in quality.companion_failures:
        yield say(ja="図表更新の失敗：", en="Keeping files up to date failed: ") + visible(text)
    yield from _and_more(len(history.notes_of("companion_failure")), len(quality.companion_failures), say)
    for kind, count in quality.other_notes.items():
        yield say(
            ja=f"その他の記録：{visible(kind)} {integer(count)}件。",
            en=f"Other notes: {visible(kind)}, {integer(count)}.",
        )


def _and_more(all_of_them: int, told: int, say: Speaker) -> Iterator[str]:
    if all_of_them > told:
        yield say(
            ja=f"（直前の項目は、全{integer(all_of_them)}件のうち最初の{integer(told)}件です。）",
            en=f"(Of {integer(all_of_them)} of the kind just listed, these are the first {integer(told)}.)",
        )
