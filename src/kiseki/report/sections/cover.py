"""The first page."""

from kiseki.report.document import Cover, Notice, Tone
from kiseki.report.dossier import UNKNOWN, Dossier
from kiseki.report.sections.given import stated, stated_line, visible
from kiseki.report.sections.numbers import moment
from kiseki.report.sections.standing import import_facts, import_sentence, standing_sentence, status_word
from kiseki.report.sections.wording import Speaker


def cover(dossier: Dossier, say: Speaker) -> Cover:
    """Who reports what to whom, and what must stand above everything."""
    return Cover(
        kind=say(ja="PoC報告書", en="PoC Report"),
        title=" ".join(stated(dossier, "title")) or _title_of(dossier, say),
        facts=(
            (say(ja="宛先", en="Recipient"), stated_line(dossier, "recipient", say)),
            (say(ja="作成者", en="Author"), stated_line(dossier, "author", say)),
            (say(ja="承認者", en="Approver"), stated_line(dossier, "approver", say)),
            (say(ja="連絡先", en="Contact"), stated_line(dossier, "contact", say)),
            (say(ja="版", en="Version"), stated_line(dossier, "version", say)),
            (say(ja="契約", en="Contract"), stated_line(dossier, "contract", say)),
            (say(ja="作成日時", en="Date of report"), moment(dossier.generated_at)),
            (say(ja="対象モデル", en="Model"), model_name(dossier, say)),
            (say(ja="実行ID", en="Run"), visible(dossier.history.run_id)),
            *_times(dossier, say),
            (say(ja="学習の状態", en="Status of training"), status_word(dossier.status, say)),
            (say(ja="取扱区分", en="Confidentiality"), confidentiality(dossier, say) or say.not_stated),
        ),
        confidentiality=confidentiality(dossier, say),
        banner=_banner(dossier, say),
    )


def model_name(dossier: Dossier, say: Speaker) -> str:
    """The model as the run named it."""
    return say.unknown if dossier.model_name == UNKNOWN else visible(dossier.model_name)


def confidentiality(dossier: Dossier, say: Speaker) -> str:
    """Who may read the report; empty when that was not said."""
    said = say.listed(stated(dossier, "confidentiality"))
    return {
        "partner": say(ja="取扱注意（提携先限り）", en="Confidential: for the partner only"),
        "public": say(ja="公開", en="Public"),
    }.get(said, said)


def _title_of(dossier: Dossier, say: Speaker) -> str:
    name = model_name(dossier, say)
    return say(ja=f"モデル「{name}」の学習", en=f"Training of the model “{name}”")


def _times(dossier: Dossier, say: Speaker) -> tuple[tuple[str, str], ...]:
    started, ended = say(ja="学習開始", en="Training began"), say(ja="最後の記録", en="Last record")
    if import_facts(dossier):  # the times in the journal are those of the import
        imported = say(ja="取り込み日時", en="Imported at")
        return (started, say.unknown), (ended, say.unknown), (imported, moment(dossier.end_time))
    return (started, moment(dossier.start_time)), (ended, moment(dossier.end_time))


def _banner(dossier: Dossier, say: Speaker) -> Notice | None:
    sentences = [standing_sentence(dossier, say), import_sentence(dossier, say)]
    if dossier.history.damage:
        sentences.append(
            say(
                ja="記録の途中に、書き込み時の内容と一致しない箇所があります。",
                en="Inside the record there are places that are not what was written.",
            )
        )
    text = say.joined(sentences)
    bad = dossier.status == "failed" or bool(dossier.history.damage)
    return Notice(Tone.BAD if bad else Tone.CAUTION, text) if text else None
