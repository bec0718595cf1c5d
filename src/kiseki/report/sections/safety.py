"""NSFW and hidden reasoning: what configuration and record say, and nothing else."""

from collections.abc import Mapping

from kiseki.report.document import Block, Facts, Notice, Paragraph, Section, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.effective import leaves
from kiseki.report.sections.codes import divided
from kiseki.report.sections.data import data_splits, split_name
from kiseki.report.sections.given import as_blocks, lookup, stated, texts, value_text, visible
from kiseki.report.sections.statements import nsfw_purpose, nsfw_statement_blocks, serving_statement_blocks
from kiseki.report.sections.wording import Speaker

_NSFW_WORDS = ("nsfw", "safety", "toxic", "moderation")
_THINKING_WORDS = ("thinking", "hidden_reasoning", "audit")


def safety_section(dossier: Dossier, say: Speaker) -> Section:
    """Safety measures as stated, and settings that bear on them."""
    return Section(
        "safety",
        say(ja="安全対策（NSFWの取り扱い・思考過程の非公開）", en="Safety (NSFW, hidden reasoning)"),
        (),
        (
            Section("nsfw", say(ja="NSFWの取り扱い", en="Handling of NSFW content"), _nsfw(dossier, say)),
            Section("hidden_reasoning", say(ja="思考過程の非公開", en="Hidden reasoning"), _thinking(dossier, say)),
        ),
    )


def _nsfw(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    said = stated(dossier, "safety") + stated(dossier, "nsfw") + texts(lookup(dossier, "data.safety", "data.nsfw"))
    said = tuple(line for line in said if line not in nsfw_purpose(dossier, say))  # the statement says it below
    rows = [
        (
            say(
                ja=f"{split_name(name, say)}：安全ラベル別件数", en=f"{split_name(name, say)}: records by safety label"
            ),
            divided(split.get("labels"), say),
        )
        for name, split in data_splits(dossier).items()
    ]
    rows += _settings(dossier, _NSFW_WORDS, say)
    in_statement = nsfw_statement_blocks(dossier, say)
    blocks = as_blocks(said, say) if said or not in_statement else ()
    return (*blocks, *([Facts(tuple(rows))] if rows else []), *in_statement)


def _thinking(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    blocks: list[Block] = [*as_blocks(stated(dossier, "hidden_reasoning"), say)]
    logits = lookup(dossier, "training.save_logits", "save_logits")
    if logits is False:
        text = say(
            ja="設定上、ロジットの標本（学習データの内容を含み得るもの）は保存していません。",
            en="By the settings, samples of the logits, which can hold training data, are not saved.",
        )
        blocks.append(Notice(Tone.GOOD, text))
    elif logits:
        text = say(
            ja="設定上、ロジットの標本を保存しています。学習データの内容を含み得るため、取り扱いに注意してください。",
            en="By the settings, samples of the logits are saved. They can hold training data: handle them with care.",
        )
        blocks.append(Notice(Tone.CAUTION, text))
    rows = _settings(dossier, _THINKING_WORDS, say)
    if rows:
        blocks.append(Facts(tuple(rows)))
    text = say(
        ja="学習記録の各行に入るのは数値のみで、モデルの生成文や思考過程を記録する欄はありません。"
        "運用時に思考過程が非公開に保たれるかどうかは、この記録からは検証できません。",
        en="Rows of the record hold numbers only; there is no field for text that the model generates or for its "
        "reasoning. Whether reasoning stays hidden in operation cannot be checked from this record.",
    )
    blocks.append(Paragraph(text))
    return (*blocks, *serving_statement_blocks(dossier, say))


def _settings(dossier: Dossier, words: tuple[str, ...], say: Speaker) -> list[tuple[str, str]]:
    """Settings whose name bears one of the words; what the author said is shown as text above."""
    found = {
        name: value
        for source in (dossier.training_config, dossier.model_config)
        if isinstance(source, Mapping)
        for name, value in leaves(source)
        if any(word in name.lower() for word in words) and not name.startswith(("poc.", "data.safety", "data.nsfw"))
    }
    return [(visible(name), value_text(value, say)) for name, value in found.items()]
