"""What a data statement and a serving statement say: sources and cleaning, gate and outcomes."""

from collections.abc import Mapping, Sequence
from typing import Any

from kiseki.report.document import Block, Facts, Paragraph, Table
from kiseki.report.dossier import Dossier
from kiseki.report.effective import leaves
from kiseki.report.sections.codes import code_text, count_text, divided
from kiseki.report.sections.given import as_mapping, mappings_in, texts, value_text, visible
from kiseki.report.sections.numbers import moment
from kiseki.report.sections.wording import Speaker

_PAGES = (
    "fetched",
    "kept",
    "dropped",
    "refused_by_robots",
    "refused_by_terms",
    "refused_by_scope",
    "stopped",
    "failed",
)


def data_statement_blocks(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """Sources with licence and review, pages, cleaning, redactions; empty without a statement."""
    statement = dossier.data_statement
    if not statement:
        return ()
    blocks: list[Block] = []
    sources = mappings_in(statement.get("sources"))
    if sources:
        blocks += [_sources(sources, say), _pages(sources, say)]
    cleaning = as_mapping(statement.get("cleaning"))
    steps = mappings_in(cleaning.get("blocks"))
    if steps:
        blocks.append(_steps(steps, say))
    redactions = as_mapping(cleaning.get("redactions"))
    if redactions:
        caption = say(ja="個人情報の墨消し・除外（種類別）", en="Personal data removed, by kind")
        blocks.append(_counts(redactions, caption, say))
    files = mappings_in(as_mapping(statement.get("dataset")).get("files"))
    if files:
        blocks.append(_files(files, say))
    ledger = as_mapping(statement.get("ledger"))
    if ledger:
        blocks.append(
            Facts(
                (
                    (say(ja="収集台帳のSHA-256", en="SHA-256 of the ledger"), _said(ledger, "sha256", say)),
                    (say(ja="収集台帳の行数", en="Lines of the ledger"), _said(ledger, "lines", say)),
                )
            )
        )
    return tuple(blocks)


def nsfw_statement_blocks(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """Whether NSFW text was used and for what, as the data statement says; empty without one."""
    nsfw = as_mapping(dossier.data_statement.get("nsfw"))
    if not nsfw:
        return ()
    purpose = as_mapping(nsfw.get("purpose")).get(say.language)
    used = nsfw.get("used")
    rows = [
        (say(ja="NSFWデータの使用", en="NSFW data used"), say.yes_no(used) if isinstance(used, bool) else say.unknown),
        (say(ja="NSFWデータの件数", en="NSFW records"), _said(nsfw, "records", say)),
    ]
    labelled = {
        "labels": say(ja="NSFWデータの内訳", en="NSFW records by label"),
        "left_out": say(ja="整形で除外したNSFWデータの内訳", en="NSFW left out by the cleaning, by label"),
    }
    rows += [(word, divided(counts, say)) for key, word in labelled.items() if (counts := as_mapping(nsfw.get(key)))]
    return (*(Paragraph(line) for line in texts(purpose)), Facts(tuple(rows)))


def nsfw_purpose(dossier: Dossier, say: Speaker) -> tuple[str, ...]:
    """The same purpose in every language, where the statement says it in the report's own; else nothing."""
    purpose = as_mapping(as_mapping(dossier.data_statement.get("nsfw")).get("purpose"))
    return texts(list(purpose.values())) if texts(purpose.get(say.language)) else ()


def serving_statement_blocks(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """Gate, policy, audit log and outcomes, as the serving statement says; empty without one."""
    statement = dossier.serving_statement
    if not statement:
        return ()
    outcomes = as_mapping(statement.get("outcomes"))
    rest = {key: value for key, value in statement.items() if key not in ("outcomes", "schema_version")}
    rows = tuple((visible(name), value_text(value, say)) for name, value in leaves(rest))
    what = say(
        ja="推論サーバーの記載（運用時の設定と監査記録の集計）：", en="As the server states (settings, audit log):"
    )
    blocks: list[Block] = [Paragraph(what), Facts(rows)]
    if outcomes:
        blocks.append(_counts(outcomes, say(ja="応答の結果（監査記録の件数）", en="Outcomes in the audit log"), say))
    return tuple(blocks)


def _sources(sources: Sequence[Mapping[str, Any]], say: Speaker) -> Table:
    return Table(
        head=(
            say(ja="出所", en="Source"),
            say(ja="信頼区分", en="Tier"),
            say(ja="ライセンス", en="Licence"),
            say(ja="利用規約", en="Terms"),
            say(ja="確認者", en="Reviewed by"),
            say(ja="確認日", en="Reviewed"),
            say(ja="目的", en="Purpose"),
        ),
        rows=tuple(
            tuple(
                _said(source, key, say)
                for key in ("id", "tier", "licence", "terms_url", "reviewed_by", "reviewed_at", "purpose")
            )
            for source in sources
        ),
        caption=say(ja="データの出所", en="Sources of the data"),
    )


def _pages(sources: Sequence[Mapping[str, Any]], say: Speaker) -> Table:
    counts = [as_mapping(source.get("pages")) for source in sources]
    known = [name for name in _PAGES if any(name in one for one in counts)]
    others = list(dict.fromkeys(str(name) for one in counts for name in one if name not in _PAGES))
    words = {
        "fetched": say(ja="取得", en="Fetched"),
        "kept": say(ja="採用", en="Kept"),
        "dropped": say(ja="除外", en="Dropped"),
        "refused_by_scope": say(ja="範囲外", en="Out of scope"),
        "refused_by_robots": say(ja="robots.txtによる拒否", en="Refused by robots.txt"),
        "refused_by_terms": say(ja="利用規約による拒否", en="Refused by terms"),
        "stopped": say(ja="停止", en="Stopped"),
        "failed": say(ja="失敗", en="Failed"),
    }
    names = [*known, *others]
    return Table(
        head=(say(ja="出所", en="Source"), *(words.get(name, visible(name)) for name in names)),
        rows=tuple(
            (_said(source, "id", say), *(count_text(one.get(name), say) for name in names))
            for source, one in zip(sources, counts, strict=True)
        ),
        numeric=frozenset(range(1, len(names) + 1)),
        caption=say(ja="ページ数（出所別）", en="Pages, by source"),
    )


def _steps(steps: Sequence[Mapping[str, Any]], say: Speaker) -> Table:
    return Table(
        head=(
            say(ja="処理", en="Step"),
            say(ja="入力", en="In"),
            say(ja="出力", en="Out"),
            say(ja="除外（理由別）", en="Dropped, by reason"),
        ),
        rows=tuple(
            (
                code_text(str(step["name"]), say) if "name" in step else say.not_stated,
                count_text(step.get("in"), say),
                count_text(step.get("out"), say),
                divided(step.get("dropped", {}), say),
            )
            for step in steps
        ),
        numeric=frozenset({1, 2}),
        caption=say(ja="データの整形・除外", en="Cleaning"),
    )


def _files(files: Sequence[Mapping[str, Any]], say: Speaker) -> Table:
    return Table(
        head=(say(ja="ファイル", en="File"), say(ja="件数", en="Records"), "SHA-256"),
        rows=tuple(
            (_said(one, "path", say), count_text(one.get("records"), say), _said(one, "sha256", say)) for one in files
        ),
        numeric=frozenset({1}),
        caption=say(ja="データセットのファイル", en="Files of the dataset"),
    )


def _counts(counts: Mapping[str, Any], caption: str, say: Speaker) -> Table:
    return Table(
        head=(say(ja="種類", en="Kind"), say(ja="件数", en="Count")),
        rows=tuple((code_text(str(kind), say), count_text(count, say)) for kind, count in counts.items()),
        numeric=frozenset({1}),
        caption=caption,
    )


def _said(source: Mapping[str, Any], key: str, say: Speaker) -> str:
    value = source.get(key)
    if value is None:
        return say.not_stated
    if isinstance(value, str) and key.endswith("_at"):
        return visible(moment(value))
    return count_text(value, say) if isinstance(value, int) else value_text(value, say)
