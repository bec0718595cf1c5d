"""Appendix A: every setting, as it was recorded."""

from collections.abc import Mapping
from typing import Any

from kiseki.report.document import Block, Paragraph, Section, Table
from kiseki.report.dossier import Dossier
from kiseki.report.effective import leaves
from kiseki.report.sections.given import value_text, visible
from kiseki.report.sections.wording import Speaker


def settings_appendix(dossier: Dossier, say: Speaker) -> Section:
    """Every hyperparameter under its dotted name."""
    note = say(
        ja="値は記録のままの表記です（nullは指定なし）。秘密情報・個人名・パスは除去しています。",
        en="Values stand as they were recorded (null: not set). Secrets, personal names and paths are removed.",
    )
    sources = (
        (
            "settings_model",
            say(ja="モデルの設定（model_config）", en="Model settings (model_config)"),
            dossier.model_config,
        ),
        (
            "settings_training",
            say(ja="学習の設定（training_config）", en="Training settings (training_config)"),
            dossier.training_config,
        ),
        ("settings_live", say(ja="実際の構成（live）", en="What the live model has (live)"), dossier.live),
    )
    return Section(
        "settings",
        say(ja="全設定値", en="All settings"),
        (Paragraph(note),),
        tuple(Section(key, title, (_table(title, source, say),)) for key, title, source in sources),
    )


def _table(title: str, source: Any, say: Speaker) -> Block:
    if not isinstance(source, Mapping):
        return Paragraph(say.unknown)
    if not source:
        return Paragraph(say.none)
    return Table(
        head=(say(ja="設定項目", en="Setting"), say(ja="値", en="Value")),
        rows=tuple((visible(name), value_text(value, say)) for name, value in leaves(source)),
        caption=title,
    )
