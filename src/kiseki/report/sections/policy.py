"""Whether the rules of collecting data were kept: as the author says, else the settings, else the data statement."""

from collections.abc import Iterable, Mapping
from typing import Any

from kiseki.report.document import Block, Facts, Notice, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import are_counts, as_mapping, mappings_in, stated, texts, visible
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.wording import Speaker
from kiseki.telling import counted

Splits = Mapping[str, Mapping[str, Any]]


def policy_blocks(dossier: Dossier, splits: Splits, say: Speaker) -> tuple[Block, ...]:
    """One line for each rule, and what “not stated” means.

    Args:
        dossier: the facts.
        splits: the parts of the data that were counted.
        say: in which language.
    """

    def said(*keys: str, poc: str = "", kinds: str = "", statement: tuple[str, ...] = ()) -> str:
        lines = (stated(dossier, poc) if poc else ()) or _in_settings(dossier, keys) or statement
        return say.listed(lines or _kinds(splits, kinds)) or say.not_stated

    from_statement = _from_statement(dossier.data_statement, say)
    rows = (
        (
            say(ja="データの名称", en="Names of the data"),
            said("names", "name", "datasets", statement=from_statement["names"]),
        ),
        (
            say(ja="出所", en="Sources"),
            said("sources", "source", "provenance", kinds="tiers", statement=from_statement["sources"]),
        ),
        (
            say(ja="ライセンス・権利", en="Licences and rights"),
            said("licences", "licence", "licenses", "license", kinds="licences"),
        ),
        (say(ja="収集方針", en="Collection policy"), said("collection_policy", "policy", poc="data_policy")),
        (say(ja="利用規約の遵守", en="Terms of use"), said("terms", "terms_of_use", statement=from_statement["terms"])),
        (say(ja="robots.txtの遵守", en="robots.txt"), said("robots", "robots_txt", statement=from_statement["robots"])),
        (
            say(ja="個人情報・機密情報の除外", en="Personal and confidential data"),
            said("personal_data", "privacy", poc="personal_data", statement=from_statement["personal_data"]),
        ),
        (
            say(ja="収集台帳の集計", en="Ledger of the collection"),
            said("ledger", "ledger_summary", "collection", statement=from_statement["ledger"]),
        ),
        (
            say(ja="データ目録（マニフェスト）", en="Manifest"),
            said("manifest", statement=from_statement["manifest"]),
        ),
    )
    note = say(
        ja="本節は、設定・記録・データ説明書に記載された内容を転記したものです。「記載なし」は、遵守したことも、遵守して"
        "いないことも意味しません。",
        en="This repeats what configuration, record and data statement state. “Not stated” means neither that a rule "
        "was kept nor that it was broken.",
    )
    return (Facts(rows), Notice(Tone.NEUTRAL, note))


def _from_statement(statement: Mapping[str, Any], say: Speaker) -> dict[str, tuple[str, ...]]:
    """What a data statement answers to each rule; nothing where it says nothing."""
    dataset = as_mapping(statement.get("dataset"))
    sources = mappings_in(statement.get("sources"))
    return {
        "names": texts(dataset.get("name")),
        "sources": tuple(line for source in sources for line in texts(source.get("id"))),
        "terms": _terms(sources, say),
        "robots": _refused(sources, "refused_by_robots", "robots.txt", "robots.txt", say),
        "personal_data": _personal_data(as_mapping(statement.get("cleaning")), say),
        "ledger": _ledger(as_mapping(statement.get("ledger")), say),
        "manifest": _manifest(mappings_in(dataset.get("files")), say),
    }


def _terms(sources: list[Mapping[str, Any]], say: Speaker) -> tuple[str, ...]:
    if not sources:
        return ()
    reviewed, of_all = integer(sum(bool(texts(one.get("reviewed_by"))) for one in sources)), integer(len(sources))
    told = say(
        ja=f"利用規約を確認した出所：{reviewed}/{of_all}",
        en=f"Sources whose terms were reviewed: {reviewed} of {of_all}",
    )
    return (told, *_refused(sources, "refused_by_terms", "利用規約", "the terms", say))


def _refused(sources: list[Mapping[str, Any]], key: str, ja: str, en: str, say: Speaker) -> tuple[str, ...]:
    pages = [as_mapping(one.get("pages")) for one in sources]
    counts = [one[key] for one in pages if are_counts(one.get(key))]
    if not counts:
        return ()
    total = integer(sum(counts))
    return (say(ja=f"{ja}により取得しなかったページ：{total}", en=f"Pages left alone because of {en}: {total}"),)


def _personal_data(cleaning: Mapping[str, Any], say: Speaker) -> tuple[str, ...]:
    counts = [count for count in as_mapping(cleaning.get("redactions")).values() if are_counts(count)]
    if not counts:
        return ()
    total = integer(sum(counts))
    return (say(ja=f"個人情報の墨消し・除外：{total}件", en=f"Personal data removed: {total}"),)


def _ledger(ledger: Mapping[str, Any], say: Speaker) -> tuple[str, ...]:
    if not are_counts(ledger.get("lines")) or not texts(ledger.get("sha256")):
        return ()
    lines, sha256 = ledger["lines"], say.listed(texts(ledger["sha256"]))
    return (
        say(ja=f"{integer(lines)}行（SHA-256：{sha256}）", en=f"{counted(lines, 'line', ',')} (SHA-256: {sha256})"),
    )


def _manifest(files: list[Mapping[str, Any]], say: Speaker) -> tuple[str, ...]:
    if not files or not are_counts(*(one.get("records") for one in files)):
        return ()
    number, records = len(files), sum(one["records"] for one in files)
    return (
        say(
            ja=f"{integer(number)}ファイル、{integer(records)}件（各ファイルのSHA-256は後の表）",
            en=f"{counted(number, 'file', ',')}, {counted(records, 'record', ',')} (SHA-256 in a table below)",
        ),
    )


def _in_settings(dossier: Dossier, keys: Iterable[str]) -> tuple[str, ...]:
    settings = as_mapping(dossier.training_config)
    for source in (settings.get("data"), dossier.data):
        for key in keys:
            if said := texts(as_mapping(source).get(key)):
                return said
    return ()


def _kinds(splits: Splits, counted_as: str) -> tuple[str, ...]:
    """What the records themselves say: the licences or tiers that were counted in them."""
    counts = [as_mapping(split.get(counted_as)) for split in splits.values()]
    return tuple(dict.fromkeys(visible(str(kind)) for one in counts for kind in one))
