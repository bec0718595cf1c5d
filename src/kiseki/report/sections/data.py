"""On what the model was trained, and whether the rules of collecting it were kept, as far as that is stated."""

from collections.abc import Iterable, Mapping
from typing import Any

from kiseki.report.document import Block, Facts, Notice, Section, Table, Tone
from kiseki.report.dossier import UNKNOWN, Dossier
from kiseki.report.sections.given import are_counts, stated, texts, value_text, visible
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.statements import data_statement_blocks
from kiseki.report.sections.wording import Speaker

_COUNTED = ("records", "rows", "kept", "tokens", "sha256")
_ORDER = ("train", "eval", "test")


def data_section(dossier: Dossier, say: Speaker) -> Section:
    """Splits, counts, digests, licences; then the collection policy as stated."""
    splits = data_splits(dossier)
    unknown = say(
        ja="使用データの件数・トークン数・SHA-256は不明です(記録なし)。",
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
            Section("collection", policy, (*_policy(dossier, say), *data_statement_blocks(dossier, say))),
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


def divided(counts: Any, say: Speaker) -> str:
    """Counts by kind, such as records by language.

    Example:
        >>> from kiseki.report.sections.wording import speaker
        >>> divided({"ja": 1250, "en": 3}, speaker("en")), divided({}, speaker("en")), divided(None, speaker("ja"))
        ('ja: 1,250, en: 3', 'none', '不明')
    """
    if not isinstance(counts, Mapping):
        return say.unknown
    told = [
        f"{visible(str(key))}: {integer(count) if isinstance(count, int) else value_text(count, say)}"
        for key, count in counts.items()
    ]
    return say.listed(told) or say.none


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
        (say(ja="除外件数(理由別)", en="Left out, by reason"), divided(split.get("dropped_by_reason"), say)),
    )


def _policy(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    def said(*keys: str, poc: str = "", counted: str = "") -> str:
        lines = (stated(dossier, poc) if poc else ()) or _in_data(dossier, keys) or _kinds(dossier, counted)
        return say.listed(lines) or say.not_stated

    rows = (
        (say(ja="データの名称", en="Names of the data"), said("names", "name", "datasets")),
        (say(ja="出所", en="Sources"), said("sources", "source", "provenance", counted="tiers")),
        (
            say(ja="ライセンス・権利", en="Licences and rights"),
            said("licences", "licence", "licenses", "license", counted="licences"),
        ),
        (say(ja="収集方針", en="Collection policy"), said("collection_policy", "policy", poc="data_policy")),
        (say(ja="利用規約の遵守", en="Terms of use"), said("terms", "terms_of_use")),
        (say(ja="robots.txtの遵守", en="robots.txt"), said("robots", "robots_txt")),
        (
            say(ja="個人情報・機密情報の除外", en="Personal and confidential data"),
            said("personal_data", "privacy", poc="personal_data"),
        ),
        (say(ja="収集台帳の集計", en="Ledger of the collection"), said("ledger", "ledger_summary", "collection")),
        (say(ja="データ目録(マニフェスト)", en="Manifest"), said("manifest")),
    )
    note = say(
        ja="本節は、設定と記録に記載された内容を転記したものです。「記載なし」は、遵守したことも、遵守していないことも"
        "意味しません。",
        en="This repeats what configuration and record state. “Not stated” means neither that a rule was kept nor that "
        "it was broken.",
    )
    return (Facts(rows), Notice(Tone.NEUTRAL, note))


def _in_data(dossier: Dossier, keys: Iterable[str]) -> tuple[str, ...]:
    settings = dossier.training_config if isinstance(dossier.training_config, Mapping) else {}
    for source in (settings.get("data"), dossier.data):
        for key in keys:
            if isinstance(source, Mapping) and (said := texts(source.get(key))):
                return said
    return ()


def _kinds(dossier: Dossier, counted: str) -> tuple[str, ...]:
    """What the records themselves say: the licences or tiers that were counted in them."""
    counts = [split.get(counted) for split in data_splits(dossier).values()]
    return tuple(dict.fromkeys(visible(str(kind)) for one in counts if isinstance(one, Mapping) for kind in one))
