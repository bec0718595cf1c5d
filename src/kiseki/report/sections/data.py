"""On what the model was trained, and whether the rules of collecting it were kept, as far as that is stated."""

from collections.abc import Mapping
from typing import Any

from kiseki.report.document import Block, Facts, Notice, Section, Table, Tone
from kiseki.report.dossier import UNKNOWN, Dossier
from kiseki.report.sections.codes import divided
from kiseki.report.sections.given import are_counts, value_text, visible
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.policy import policy_blocks
from kiseki.report.sections.statements import data_statement_blocks
from kiseki.report.sections.wording import Speaker

_COUNTED = ("records", "rows", "kept", "tokens", "sha256")
_ORDER = ("train", "eval", "test")


def data_section(dossier: Dossier, say: Speaker) -> Section:
    """Splits, counts, digests, licences; then the collection policy as stated."""
    splits = data_splits(dossier)
    unknown = say(
        ja="使用データの件数・トークン数・SHA-256は不明です（記録なし）。",
        en="Counts, tokens and SHA-256 of the data are unknown (not recorded).",
    )
    used: Block = _table(splits, say) if splits else Notice(Tone.CAUTION, unknown)
    parts = tuple(
        Section(f"split_{number}", split_name(name, say), (Facts(_facts(split, say)),))
        for number, (name, split) in enumerate(splits.items(), start=1)
    )
    policy = say(ja="収集方針の遵守状況", en="Compliance with the collection policy")
    return Section(
        "data",
        say(ja="使用データと収集方針の遵守状況", en="Data and compliance with the collection policy"),
        (),
        (
            Section("splits", say(ja="使用データ", en="Data used"), (used,), parts),
            Section("collection", policy, (*policy_blocks(dossier, splits, say), *data_statement_blocks(dossier, say))),
        ),
    )


def data_splits(dossier: Dossier) -> dict[str, Mapping[str, Any]]:
    """The parts of the data that were counted, by name; training data first."""
    data = dossier.data if isinstance(dossier.data, Mapping) else {}
    names = [name for name in _ORDER if name in data] + [str(name) for name in data if name not in _ORDER]
    return {
        name: data[name]
        for name in names
        if isinstance(data[name], Mapping) and any(key in data[name] for key in _COUNTED)
    }


def split_name(name: str, say: Speaker) -> str:
    """What a part of the data is for."""
    return {
        "train": say(ja="学習データ", en="Training data"),
        "eval": say(ja="評価データ", en="Evaluation data"),
        "test": say(ja="テストデータ", en="Test data"),
    }.get(name, visible(name))


def count_of(split: Mapping[str, Any], *keys: str) -> int | None:
    """The first of the counts that is there."""
    counts = (split.get(key) for key in keys)
    return next((count for count in counts if are_counts(count)), None)


def _table(splits: Mapping[str, Mapping[str, Any]], say: Speaker) -> Table:
    def cell(split: Mapping[str, Any], *keys: str) -> str:
        count = count_of(split, *keys)
        return say.unknown if count is None else integer(count)

    return Table(
        head=(
            say(ja="区分", en="Part"),
            say(ja="全件数", en="Records"),
            say(ja="使用件数", en="Used"),
            say(ja="トークン数", en="Tokens"),
            say(ja="損失計算の対象トークン数", en="Tokens in the loss"),
        ),
        rows=tuple(
            (
                split_name(name, say),
                cell(split, "records", "rows"),
                cell(split, "kept"),
                cell(split, "tokens"),
                cell(split, "assistant_tokens"),
            )
            for name, split in splits.items()
        ),
        numeric=frozenset({1, 2, 3, 4}),
        caption=say(ja="使用データの件数とトークン数", en="Records and tokens"),
    )


def _facts(split: Mapping[str, Any], say: Speaker) -> tuple[tuple[str, str], ...]:
    return (
        (say(ja="ファイル", en="File"), value_text(split.get("file", UNKNOWN), say)),
        ("SHA-256", value_text(split.get("sha256", UNKNOWN), say)),
        (say(ja="ライセンス別件数", en="Records by licence"), divided(split.get("licences"), say)),
        (say(ja="言語別件数", en="Records by language"), divided(split.get("languages"), say)),
        (say(ja="出所区分別件数", en="Records by tier of source"), divided(split.get("tiers"), say)),
        (say(ja="安全ラベル別件数", en="Records by safety label"), divided(split.get("labels"), say)),
        (say(ja="除外件数（理由別）", en="Left out, by reason"), divided(split.get("dropped_by_reason"), say)),
    )
