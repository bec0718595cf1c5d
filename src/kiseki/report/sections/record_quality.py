"""How far the record can be trusted, with what each figure means."""

from typing import Any

from kiseki.history import Attempt
from kiseki.report.document import Block, Facts, Notice, Section, Table, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.effective import leaves
from kiseki.report.sections.given import value_text, visible
from kiseki.report.sections.numbers import integer, moment, size
from kiseki.report.sections.quality_counts import quality_counts
from kiseki.report.sections.standing import import_facts, import_sentence, status_word
from kiseki.report.sections.troubles import events, problems
from kiseki.report.sections.wording import Speaker


def quality_section(dossier: Dossier, say: Speaker) -> Section:
    """Counts of everything that can be wrong with a record, and every trouble that was noted."""
    title = say(
        ja="記録の信頼性（欠損・重複・再開・異常値）",
        en="Reliability of the record (gaps, duplicates, restarts, anomalies)",
    )
    return Section(
        "record_quality",
        title,
        (quality_notice(dossier, say), quality_counts(dossier, say)),
        (
            *_import(dossier, say),
            Section("attempts", say(ja="試行（開始・再開）の履歴", en="Attempts"), (_attempts(dossier, say),)),
            Section("events", say(ja="個別の事象", en="What was noted"), events(dossier, say)),
            Section("seals", say(ja="封印", en="Seals"), _seals(dossier, say)),
        ),
    )


def quality_notice(dossier: Dossier, say: Speaker) -> Notice:
    """The state of the record in a sentence."""
    bad, caution = problems(dossier, say)
    quality = dossier.quality
    rows = say(
        ja=f"記録の信頼性：学習記録{integer(quality.recorded_rows)}行（想定{integer(quality.expected_rows)}行）。",
        en=f"Reliability of the record: training rows: {integer(quality.recorded_rows)} "
        f"(expected: {integer(quality.expected_rows)}).",
    )
    if bad or caution:
        found = say.listed([*bad, *caution])
        noted = say(ja=f"確認すべき点：{found}。", en=f"To be noted: {found}.")
        return Notice(Tone.BAD if bad else Tone.CAUTION, say.joined([rows, noted]))
    if not quality.recorded_rows:
        return Notice(Tone.CAUTION, rows)
    clean = say(
        ja="欠損・重複・損傷・非有限値は検出されていません。",
        en="No gap, duplicate, damage or non-finite value was found.",
    )
    return Notice(Tone.GOOD, say.joined([rows, clean]))


def _import(dossier: Dossier, say: Speaker) -> tuple[Section, ...]:
    facts = import_facts(dossier)
    if not facts:
        return ()
    blocks: tuple[Block, ...] = (
        Notice(Tone.CAUTION, import_sentence(dossier, say)),
        Facts(tuple((visible(name), value_text(value, say)) for name, value in leaves({**facts, **_taken(dossier)}))),
    )
    return (Section("import", say(ja="取り込み元", en="Source of the import"), blocks),)


def _taken(dossier: Dossier) -> dict[str, Any]:
    """What the importer counted, and what the source's trainer summed up."""
    counted = {f"import_{number}": note for number, note in enumerate(dossier.history.notes_of("import"), start=1)}
    summed = dossier.history.notes_of("trainer_summary")
    counted |= {f"trainer_summary_{number}": note for number, note in enumerate(summed, start=1)}
    unsaid = ("kind", "timestamp", "attempt")
    return {name: {key: of[key] for key in of if key not in unsaid} for name, of in counted.items()}


def _attempts(dossier: Dossier, say: Speaker) -> Table:
    return Table(
        head=(
            say(ja="試行", en="Attempt"),
            say(ja="状態", en="Status"),
            say(ja="開始", en="Started"),
            say(ja="最後の記録", en="Last record"),
            say(ja="再開ステップ", en="Resumed after"),
            say(ja="記録ステップ", en="Steps"),
            say(ja="行数", en="Rows"),
            say(ja="置換済み", en="Superseded"),
        ),
        rows=tuple(
            (
                str(attempt.number),
                status_word(dossier.status if attempt is dossier.attempts[-1] else attempt.status, say),
                *_times(dossier, attempt, say),
                _resumed(attempt.resume_step, say),
                _steps(attempt.first_step, attempt.last_step, say),
                integer(attempt.rows),
                integer(attempt.superseded),
            )
            for attempt in dossier.attempts
        ),
        numeric=frozenset({0, 4, 6, 7}),
        caption=say(ja="試行の履歴", en="Attempts"),
    )


def _times(dossier: Dossier, attempt: Attempt, say: Speaker) -> tuple[str, str]:
    if import_facts(dossier):  # the times in the journal are those of the import
        return say.unknown, say.unknown
    return moment(attempt.started), moment(attempt.ended) if attempt.ended else say.not_recorded


def _resumed(step: int | None, say: Speaker) -> str:
    return say(ja="最初から", en="from the start") if step is None else integer(step)


def _steps(first: int | None, last: int | None, say: Speaker) -> str:
    return say.none if first is None or last is None else f"{integer(first)}–{integer(last)}"


def _seals(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    quality, journal = dossier.quality, dossier.journal
    facts = Facts(
        (
            (say(ja="最後の封印が及ぶ範囲", en="Covered by the last seal"), size(quality.sealed_bytes, say)),
            (say(ja="最後の封印より後", en="After the last seal"), size(quality.unsealed_bytes, say)),
            (say(ja="封印範囲のSHA-256", en="SHA-256 of what is sealed"), journal.sealed_sha256 or say.none),
        )
    )
    text = say(
        ja="封印とは、それまでの記録全体のSHA-256を記録自体に書き込むことです。封印の行自体は、その封印の範囲に含まれません。",
        en="A seal is the SHA-256 of everything recorded so far, written into the record itself. The line that holds a "
        "seal is not covered by that seal.",
    )
    return (facts, Notice(Tone.NEUTRAL, text))
