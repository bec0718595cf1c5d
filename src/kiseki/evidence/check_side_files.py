"""Checks what stands beside a journal against the digests in it: configuration, environment, report inputs, weights."""

from collections.abc import Iterator, Mapping

import msgspec

from kiseki.evidence.derived import weight_lists
from kiseki.evidence.findings import Finding, Said
from kiseki.evidence.journal_facts import JournalFacts
from kiseki.evidence.source import FolderSource
from kiseki.evidence.statement import NOT_RECORDED, Predicate
from kiseki.evidence.zip_reading import ZipReader

_LARGEST = 1 << 26

_OK = Said("記録のダイジェストと一致", "what the journal names")
_CHANGED = Said("記録されたダイジェストと一致しません", "not what the journal names: it was changed")
_WRITTEN_AGAIN = Said(
    "記録の終了後に書き直されたため、記録のダイジェストとは異なります",
    "written again after the record ended, so not what it names",
)
_WITHHELD = Said("開示されていません（記録のダイジェストのみ）", "withheld; the journal holds its digest")
_LOST = Said(
    "記録にはありますが、パックにも非開示の一覧にもありません",
    "the journal names it, and it is neither here nor said to be withheld",
)


class _From(msgspec.Struct):
    path: str
    sha256: str


class _RedactedFile(msgspec.Struct):
    redacted_from: _From
    removed: dict[str, str]


def check_side_files(source: FolderSource, facts: JournalFacts) -> Iterator[Finding]:
    """Side files that stand in a run folder."""
    for name, recorded in facts.side_files.items():
        path = f"metrics/{name}"
        if "/" in name or "\\" in name or name in (".", ".."):
            said = Said("記録にあるファイル名が不正です", "the journal names a file outside its folder")
            yield Finding("side files", "failed", said, name)
        elif source.is_link(path):
            said = Said("シンボリックリンクです", "it is a symbolic link")
            yield Finding("side files", "failed", said, path)
        else:
            yield _state(name, path, recorded, source.digest(path))


def _state(name: str, path: str, recorded: str, found: str | None) -> Finding:
    if found is None:
        return Finding("side files", "remark", _WITHHELD, path)
    if found == recorded:
        return Finding("side files", "ok", _OK, path)
    if name.startswith("report_inputs."):
        # a report that is made after the record was closed writes its inputs again, and no line can say so any more
        return Finding("side files", "remark", _WRITTEN_AGAIN, path)
    return Finding("side files", "failed", _CHANGED, path)


def check_packed_side_files(
    pack: ZipReader, digests: Mapping[str, str], predicate: Predicate, facts: JournalFacts
) -> Iterator[Finding]:
    """Side files in a pack: as recorded, redacted with commitments, or withheld and said so."""
    redacted = {one.path: one for one in predicate.redacted}
    withheld = {one.path for one in predicate.withheld}
    for name, recorded in facts.side_files.items():
        path = f"metrics/{name}"
        if path in digests:
            yield _state(name, path, recorded, digests[path])
        elif path in redacted:
            one = redacted[path]
            yield _redacted(pack, path, one.redacted_as, one.sha256, _may_differ(name, recorded, one.sha256))
        elif path in withheld:
            yield Finding("side files", "remark", _WITHHELD, path)
        else:
            yield Finding("side files", "failed", _LOST, path)
    for path, one in redacted.items():
        if path.removeprefix("metrics/") not in facts.side_files:
            yield _redacted(pack, path, one.redacted_as, one.sha256, True)


def _may_differ(name: str, recorded: str, stated: str) -> bool:
    return recorded == stated or name.startswith("report_inputs.")


def _redacted(pack: ZipReader, path: str, redacted_as: str, stated: str, right: bool) -> Finding:
    try:
        file = msgspec.json.decode(pack.read(redacted_as, _LARGEST), type=_RedactedFile)
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = Said("伏せた版が読み取れません", "the redacted version cannot be read")
        return Finding("side files", "failed", said, redacted_as)
    if not right or (file.redacted_from.path, file.redacted_from.sha256) != (path, stated):
        said = Said(
            "記録されたファイルを伏せたものではありません", "it is no redacted version of the file that was recorded"
        )
        return Finding("side files", "failed", said, redacted_as)
    count = len(file.removed)
    said = Said(
        f"{count} 項目を伏せて収録（ソルト付きハッシュ値あり）",
        f"redacted: {count} value(s) taken out, commitments present",
    )
    return Finding("side files", "remark", said, redacted_as)


def check_weights(facts: JournalFacts) -> Finding:
    """Whether the record says which weights it belongs to."""
    lists = weight_lists(facts.weights)
    if not lists:
        said = Said("重みのSHA-256は記録されていません", f"SHA-256 of weights: {NOT_RECORDED}")
        return Finding("weights", "remark", said)
    named = ", ".join(f"{one.entry.role} ({one.entry.files})" for one in lists)
    said = Said(
        f"記録あり：{named}（重みのあるフォルダーで sha256sum -c により照合）",
        f"recorded: {named}; check them with sha256sum -c where they are",
    )
    return Finding("weights", "ok", said)
