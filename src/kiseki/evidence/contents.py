"""Which files of a run a pack holds, and in what form.

In: journals (with torn tails that were set aside), views, curves, reports of this run, side files without what must
not be seen, the data set manifest, lists of weights. Never in: weights, checkpoints, data sets, keys, locks, logs,
records of earlier runs.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from kiseki.errors import KisekiError, UsageError
from kiseki.evidence.derived import DATASETS, dataset_manifest, weight_lists
from kiseki.evidence.journal_facts import JournalFacts
from kiseki.evidence.rebuild import rebuild_views
from kiseki.evidence.reports import Report, reports_in
from kiseki.evidence.statement import NOT_RECORDED, Redacted, Weights, Withheld
from kiseki.evidence.withholding import redact, secrets_in
from kiseki.history import read_history
from kiseki.provenance.redaction import Redactor
from kiseki.record.line import CLOSE, NOTE, OPEN
from kiseki.record.opening import recorded_ranks
from kiseki.record.reader import JournalReader
from kiseki.report.side_files import NAMES
from kiseki.run_folder import RunFolder

_BLOCK = 1 << 20
_NOT_IN_A_PUBLIC_PACK = "it repeats configuration and environment, and the pack is public"
_REPEATS_THE_JOURNAL = ("metrics", "evaluation", "criteria", "imported", "attempts")
"""Sections of a report that say what the journal says, which is looked at itself."""


class SecretFound(KisekiError):
    """Something that looks like a secret stands where it cannot be taken out."""


class Member(NamedTuple):
    """One file of a pack: what it holds, or where that stands."""

    name: str
    source: Path | bytes
    limit: int | None = None
    """Only so many bytes of the file."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes, piece by piece."""
        if isinstance(self.source, bytes):
            yield self.source
            return
        left = self.limit
        with self.source.open("rb") as content:
            while block := content.read(_BLOCK if left is None else min(left, _BLOCK)):
                left = None if left is None else left - len(block)
                yield block


@dataclass
class Contents:
    """What goes into a pack, and what has to be said about it.

    Attributes:
        members: the files.
        reports: how much of the journal each summary was made from.
        redacted, withheld: what is not in the pack as it was recorded.
        openings: by file in the pack and pointer, what its commitments commit to.
        weights: as the statement names them.
    """

    members: list[Member] = field(default_factory=list)
    reports: dict[str, int] = field(default_factory=dict)
    redacted: list[Redacted] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)
    openings: dict[str, dict[str, str]] = field(default_factory=dict)
    weights: list[Weights] | str = NOT_RECORDED


def collect(
    folder: RunFolder,
    scratch: RunFolder,
    facts: JournalFacts,
    confidentiality: str,
    redactor: Redactor,
    *,
    journal_as_is: bool = False,
) -> Contents:
    """Decide what of a run goes into its pack.

    Args:
        folder: the run.
        scratch: a folder with the journal as it is packed; views are made in it.
        facts: of that journal.
        confidentiality: `partner` or `public`.
        redactor: knows this machine's user, host and home folder.
        journal_as_is: take the journal although it holds what looks like a secret.

    Raises:
        SecretFound: the journal or a report holds what looks like a secret; nothing of them can be taken out.
        UsageError: a file of the run is a symbolic link.
    """
    contents = Contents()
    if not journal_as_is:
        _refuse_secrets(folder.journal, scratch.journal, redactor)
        for rank in recorded_ranks(folder):
            _refuse_secrets(rank.journal, rank.journal, redactor)
    _add_journals(contents, folder, scratch)
    _add_views(contents, scratch)
    for path in sorted(folder.plots.glob("*.png")):
        _add_file(contents, folder, path)
    for report in reports_in(folder):
        if report.origin.run_id == facts.run_id and report.origin.journal_bytes <= facts.good_bytes:
            _add_report(contents, folder, report, confidentiality, redactor)
    shown = _add_side_files(contents, folder, facts, confidentiality, redactor)
    contents.members.append(Member(DATASETS, dataset_manifest(shown)))
    if lists := weight_lists(facts.weights):
        contents.weights = [one.entry for one in lists]
        contents.members += [Member(one.entry.listed_in, one.content) for one in lists]
    return contents


def _add_journals(contents: Contents, folder: RunFolder, scratch: RunFolder) -> None:
    contents.members.append(Member(folder.relative(folder.journal), scratch.journal))
    for rank in recorded_ranks(folder):
        _add_file(contents, folder, rank.journal)
    for broken in sorted(folder.metrics.glob("journal.broken-*")):
        _add_file(contents, folder, broken)


def _refuse_secrets(shown_as: Path, journal: Path, redactor: Redactor) -> None:
    reader = JournalReader(journal)
    for (kind, payload, _), _ in reader:
        if kind in (OPEN, NOTE, CLOSE) and secrets_in(_decoded(payload), redactor):
            raise SecretFound(
                f"{shown_as}: line {reader.lines} holds what looks like a secret. A journal is packed whole, as its "
                f"seals cover every byte: revoke that secret, and pack with --journal-as-is if the record must be shown"
            )


def _decoded(raw: bytes | msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _add_views(contents: Contents, scratch: RunFolder) -> None:
    views = rebuild_views(read_history(scratch))
    contents.members += [Member(view.name, view.path) for view in views]


def _add_report(
    contents: Contents, folder: RunFolder, report: Report, confidentiality: str, redactor: Redactor
) -> None:
    if confidentiality == "public":
        withheld = [path for path in report.files if path != report.summary]
        contents.withheld += [
            Withheld(folder.relative(path), _NOT_IN_A_PUBLIC_PACK, _sha256(path)) for path in withheld
        ]
    else:
        _refuse_secrets_in_report(report.json, redactor)
        for path in report.files:
            if path != report.summary:
                _add_file(contents, folder, path)
    if report.summary in report.files:
        _add_file(contents, folder, report.summary)
        contents.reports[folder.relative(report.summary)] = report.origin.journal_bytes


def _refuse_secrets_in_report(path: Path, redactor: Redactor) -> None:
    sections = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
    for name, raw in sections.items():
        if name not in _REPEATS_THE_JOURNAL and secrets_in(_decoded(raw), redactor):
            raise SecretFound(
                f"{path}: the section {name} holds what looks like a secret; remove this report and make it again "
                f"with `kiseki report`, which takes secrets out"
            )


def _add_side_files(
    contents: Contents, folder: RunFolder, facts: JournalFacts, confidentiality: str, redactor: Redactor
) -> dict[str, bytes]:
    """Add every attempt's side files as they may be shown; gives them back by name in the pack."""
    shown: dict[str, bytes] = {}
    for attempt in range(1, len(facts.opened) + 1):
        for name in NAMES:
            path = folder.side_file(name, attempt)
            recorded = facts.side_files.get(path.name)
            if not path.is_file():
                if recorded is not None:
                    contents.withheld.append(Withheld(folder.relative(path), "it is not in the run folder", recorded))
                continue
            _refuse_link(folder, path)
            packed = _shown(contents, folder.relative(path), path.read_bytes(), name, confidentiality, redactor)
            if packed is not None:
                shown[packed.name] = b"".join(packed.blocks())
                contents.members.append(packed)
    return shown


def _shown(
    contents: Contents, path: str, raw: bytes, name: str, confidentiality: str, redactor: Redactor
) -> Member | None:
    sha256 = hashlib.sha256(raw).hexdigest()
    try:
        redaction = redact(raw, name, path, confidentiality, redactor, sha256)
    except ValueError as error:
        contents.withheld.append(Withheld(path, str(error), sha256))
        return None
    if redaction is None:
        return Member(path, raw)
    redacted_as = f"{path.removesuffix('.json')}.redacted.json"
    contents.redacted.append(Redacted(path, sha256, redacted_as, len(redaction.openings)))
    contents.openings[redacted_as] = redaction.openings
    return Member(redacted_as, redaction.content)


def _add_file(contents: Contents, folder: RunFolder, path: Path) -> None:
    _refuse_link(folder, path)
    contents.members.append(Member(folder.relative(path), path, path.stat().st_size))


def _refuse_link(folder: RunFolder, path: Path) -> None:
    inside = [parent for parent in path.parents if parent.is_relative_to(folder.root) and parent != folder.root]
    if any(part.is_symlink() for part in (path, *inside)):
        raise UsageError(
            f"{path}: this is a symbolic link, and what it points at may change; put the file itself there"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
