"""Checks a pack or a run folder: everything is computed again, nothing is believed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kiseki.evidence.check_journal import check_journal, check_nonce, check_since
from kiseki.evidence.check_pack import PackChecked, check_pack
from kiseki.evidence.check_rebuild import check_rebuild
from kiseki.evidence.check_side_files import check_packed_side_files, check_side_files, check_weights
from kiseki.evidence.check_statement import check_derived, check_predicate
from kiseki.evidence.check_tokens import check_tokens
from kiseki.evidence.checkpoint import Checkpoint
from kiseki.evidence.findings import Answer, Finding, Said, in_order
from kiseki.evidence.journal_facts import JournalFacts, read_facts
from kiseki.evidence.pack_files import JOURNAL
from kiseki.evidence.rebuild import place_journal
from kiseki.evidence.reports import Origin, prefix_digests, read_origin, reports_in
from kiseki.evidence.source import FolderSource, PackSource
from kiseki.evidence.statement import Predicate
from kiseki.evidence.zip_reading import NotAPack, ZipReader
from kiseki.run_folder import RunFolder

_LARGEST_REPORT = 1 << 29

_LINK = Said("シンボリックリンクで、記録の実体がありません", "it is a symbolic link and no file of the run")
_UNSIGNED = Said(
    "フォルダーに署名はありません（署名付きで渡すには `kiseki pack`）",
    "a folder has no signature (`kiseki pack` makes one)",
)
_NO_LIST = Said(
    "フォルダーには署名された一覧がないため、過不足は判定しません",
    "a folder has no signed list, so nothing is missing or extra",
)


def verify_pack(path: Path, *, named_key: Ed25519PublicKey | None = None, since: Sequence[Checkpoint] = ()) -> Answer:
    """Check a pack: its form, signature, files, journal, and what was made from the journal.

    Args:
        path: the zip file. Nothing of it is unpacked but the journal, into a folder that is removed again.
        named_key: the key that should have signed it.
        since: checkpoints that left the machine earlier.

    Raises:
        OSError: it cannot be read, or there is no room for the journal.
    """
    try:
        with ZipReader(path) as pack, TemporaryDirectory(prefix="kiseki-verify-") as scratch:
            checked = check_pack(pack, Path(scratch), named_key)
            found, language = list(checked.findings), "en"
            if checked.statement is not None and JOURNAL in checked.journals:
                facts = read_facts(checked.journals[JOURNAL])
                found += _of_the_pack(
                    pack, checked, checked.statement.predicate, RunFolder(Path(scratch)), facts, since
                )
                language = facts.language
            return Answer(in_order(found), checked.signer, named_key is not None, checked.key_id, language)
    except NotAPack as error:
        said = Said(f"kisekiのパックとして読み取れません：{error}", f"it cannot be read as a pack of kiseki: {error}")
        failed = Finding("container", "failed", said, error.file or path.name)
        return Answer((failed,), "none", named_key is not None, "", "en")


def _of_the_pack(
    pack: ZipReader,
    checked: PackChecked,
    predicate: Predicate,
    scratch: RunFolder,
    facts: JournalFacts,
    since: Sequence[Checkpoint],
) -> Iterator[Finding]:
    for name, path in checked.journals.items():
        yield from check_journal(facts if name == JOURNAL else read_facts(path), name)
    if not facts.opened:
        return
    yield from check_nonce(facts, JOURNAL)
    for checkpoint in since:
        yield check_since(facts, scratch.journal, JOURNAL, checkpoint)
    yield from check_predicate(predicate, facts)
    yield from check_derived(pack, facts)
    yield from check_packed_side_files(pack, checked.digests, predicate, facts)
    yield check_weights(facts)
    yield from check_tokens(pack, scratch.journal)
    source = PackSource(pack, checked.digests)
    yield from check_rebuild(scratch, facts, source, predicate.reports, may_be_older=False)
    origins = {
        name: read_origin(pack.read(name, _LARGEST_REPORT))
        for name in checked.digests
        if name.startswith("poc_reports/poc_report_") and name.endswith(".json")
    }
    yield from _check_origins(origins, scratch.journal, facts)


def verify_run(
    folder: RunFolder, *, named_key: Ed25519PublicKey | None = None, since: Sequence[Checkpoint] = ()
) -> Answer:
    """Check a run folder: there is no signature and no list of files, but everything else can be told.

    Args:
        folder: the run; nothing in it changes. It may be recorded while it is checked.
        named_key: that a key was named makes the answer no, since nothing is signed here.
        since: checkpoints that left the machine earlier.

    Raises:
        RunFolderError: there is no journal, or it cannot be read.
        OSError: there is no room for a copy of the journal.
    """
    source = FolderSource(folder)
    if source.is_link(JOURNAL):
        return Answer((Finding("file set", "failed", _LINK, JOURNAL),), "none", named_key is not None, "", "en")
    with TemporaryDirectory(prefix="kiseki-verify-") as temporary:
        scratch = place_journal(source.blocks(JOURNAL), Path(temporary))
        facts = read_facts(scratch.journal)
        found = [Finding("signature", "not checked", _UNSIGNED), Finding("file set", "not checked", _NO_LIST)]
        found += _of_the_folder(folder, scratch, facts, source, since)
        return Answer(in_order(found), "none", named_key is not None, "", facts.language)


def _of_the_folder(
    folder: RunFolder, scratch: RunFolder, facts: JournalFacts, source: FolderSource, since: Sequence[Checkpoint]
) -> Iterator[Finding]:
    yield from _links(folder, source)
    yield from check_journal(facts, JOURNAL)
    for path in sorted(folder.ranks.glob("rank_*.jsonl")):
        yield from check_journal(read_facts(path), folder.relative(path))
    if not facts.opened:
        return
    yield from check_nonce(facts, JOURNAL)
    for checkpoint in since:
        yield check_since(facts, scratch.journal, JOURNAL, checkpoint)
    yield from check_side_files(source, facts)
    yield check_weights(facts)
    reports = [report for report in reports_in(folder) if report.origin.run_id == facts.run_id]
    origins = {folder.relative(report.json): report.origin for report in reports}
    yield from _check_origins(origins, scratch.journal, facts)
    summaries = {
        folder.relative(report.summary): report.origin.journal_bytes
        for report in reports
        if report.summary in report.files and report.origin.journal_bytes <= facts.good_bytes
    }
    yield from check_rebuild(scratch, facts, source, summaries, may_be_older=not facts.closed)


def _links(folder: RunFolder, source: FolderSource) -> Iterator[Finding]:
    """Files of the record that are links, and may point at anything. Others are told where they are checked."""
    for pattern in ("metrics/ranks/rank_*.jsonl", "metrics/journal.broken-*", "plots/*.png", "poc_reports/poc_*"):
        for path in sorted(folder.root.glob(pattern)):
            if source.is_link(name := folder.relative(path)):
                yield Finding("file set", "failed", _LINK, name)


def _check_origins(origins: Mapping[str, Origin], journal: Path, facts: JournalFacts) -> Iterator[Finding]:
    """Whether each report was made from a piece of this journal."""
    digests = prefix_digests(journal, [origin.journal_bytes for origin in origins.values()])
    for name, origin in origins.items():
        if origin.run_id == facts.run_id and digests.get(origin.journal_bytes) == origin.journal_sha256:
            said = Said(
                f"記録の先頭 {origin.journal_bytes} バイトから作成",
                f"made from the first {origin.journal_bytes} bytes of the journal",
            )
            yield Finding("reports", "ok", said, name)
        elif origin.run_id == facts.run_id and origin.journal_bytes > facts.good_bytes:
            said = Said(
                f"{name} の作成時の {origin.journal_bytes} バイトより短くなっています（末尾の欠落）",
                f"{name} was made from {origin.journal_bytes} bytes of it, and there are {facts.good_bytes} now",
            )
            yield Finding("reports", "failed", said, JOURNAL, facts.lines)
        else:
            said = Said("この記録から作成された報告書ではありません", "it was not made from this journal")
            yield Finding("reports", "failed", said, name)
