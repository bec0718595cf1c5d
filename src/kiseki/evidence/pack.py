"""Makes a pack of a run: everything a partner needs to check the record, in one file, signed."""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kiseki.errors import KisekiError, RunFolderError, UsageError
from kiseki.evidence import envelope
from kiseki.evidence.check_pack import listed_sums
from kiseki.evidence.check_statement import journal_state
from kiseki.evidence.contents import Contents, Member, collect
from kiseki.evidence.derived import SUMS
from kiseki.evidence.findings import Answer
from kiseki.evidence.instructions import VERIFY, instructions
from kiseki.evidence.journal_facts import JournalFacts, read_facts
from kiseki.evidence.keys import key_id, public_pem
from kiseki.evidence.pack_files import ENVELOPE, PAE, SIGNATURE, SIGNER, STATEMENT
from kiseki.evidence.private_file import write_private
from kiseki.evidence.rebuild import place_journal
from kiseki.evidence.statement import FORMAT, Predicate, encode_statement
from kiseki.evidence.verify import verify_run
from kiseki.evidence.withholding import CONFIDENTIALITIES
from kiseki.evidence.zip_layout import moment_of
from kiseki.evidence.zip_writing import ZipWriter
from kiseki.filesystem import replacing
from kiseki.history import is_recorded
from kiseki.provenance.redaction import Redactor
from kiseki.record.side_files import canonical_json
from kiseki.run_folder import RunFolder

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all."""


class NotIntact(KisekiError):
    """The run does not pass its own checks, so no pack is made of it.

    Attributes:
        answer: what was found.
    """

    exit_code = 1

    def __init__(self, message: str, answer: Answer) -> None:
        super().__init__(message)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack that was made.

    Attributes:
        path: the pack.
        files: files that its statement names.
        bytes: its size.
        key_id: the signer's, None without a signature.
        salts: the file that opens the commitments, None where nothing was taken out.
        snapshot: the run was going on; its journal is packed up to the last seal.
        contents: what is in it.
    """

    path: Path
    files: int
    bytes: int
    key_id: str | None
    salts: Path | None
    snapshot: bool
    contents: Contents


def pack(
    folder: RunFolder,
    out: Path,
    *,
    key: Ed25519PrivateKey | None = None,
    confidentiality: str = "partner",
    journal_as_is: bool = False,
    redactor: Redactor | None = None,
    progress: Progress = lambda done, total: None,
) -> Packed:
    """Pack a run. The same run, key and confidentiality give the same bytes.

    A run that is being recorded is packed up to its last seal, and the statement says so.

    Args:
        folder: the run; nothing in it changes.
        out: the zip file; must not exist. What was taken out of side files can be shown later with
            `OUT.salts.json`, which is written beside it for its owner alone.
        key: signs the pack.
        confidentiality: `partner` or `public`, which takes out more.
        journal_as_is: pack although the journal holds what looks like a secret.
        redactor: takes out secrets, paths and names; the one that knows this machine by default.
        progress: told how far it is.

    Raises:
        NotIntact: the run does not pass its own checks.
        SecretFound: the journal or a report holds what looks like a secret.
        UsageError: the zip file exists, or a file of the run is a symbolic link.
        RunFolderError: there is nothing to pack, or more than a pack holds.
        OSError: the disk refused; nothing half-written is left.
    """
    if confidentiality not in CONFIDENTIALITIES:
        raise UsageError(f"confidentiality: expected {' or '.join(CONFIDENTIALITIES)}; found {confidentiality!r}")
    salts = out.with_name(f"{out.name}.salts.json")
    for path in (out, salts):
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path}: this file exists already and is never overwritten; name another one with -o")
    redactor = redactor or Redactor.of_this_machine(folder.root)
    answer = verify_run(folder)
    if not answer.intact:
        raise NotIntact(f"{folder.root}: this run does not pass its own checks, so no pack is made of it", answer)
    with TemporaryDirectory(prefix="kiseki-pack-") as temporary:
        scratch, facts, snapshot = _snapshot(folder, Path(temporary))
        contents = collect(folder, scratch, facts, confidentiality, redactor, journal_as_is=journal_as_is)
        return _write(out, salts, facts, contents, key, confidentiality, snapshot, progress)


def _snapshot(folder: RunFolder, temporary: Path) -> tuple[RunFolder, JournalFacts, bool]:
    """A copy of the journal as it is packed: all of it, or up to the last seal where somebody writes it."""
    being_recorded = is_recorded(folder)
    with folder.journal.open("rb") as journal:
        scratch = place_journal(_blocks(journal), temporary)
    facts = read_facts(scratch.journal)
    if not being_recorded or facts.ends_sealed:
        return scratch, facts, being_recorded and not facts.closed
    if facts.seal_sha256 is None:
        raise RunFolderError(f"{folder.root}: this run is being recorded and has no seal yet; try again in a second")
    with scratch.journal.open("r+b") as copy:
        copy.truncate(facts.line_ends[bisect_right(facts.line_ends, facts.sealed_bytes)])
    return scratch, read_facts(scratch.journal), True


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(1 << 20):
        yield block


def _write(
    out: Path,
    salts: Path,
    facts: JournalFacts,
    contents: Contents,
    key: Ed25519PrivateKey | None,
    confidentiality: str,
    snapshot: bool,
    progress: Progress,
) -> Packed:
    keyid = None if key is None else key_id(key.public_key())
    telling = _Telling(contents.members, progress)
    digests, sizes = {}, {}
    for member in contents.members:
        digests[member.name], sizes[member.name] = _digest(telling.blocks(member))
    predicate = Predicate(
        format=FORMAT,
        packed_by=f"kiseki {version('kiseki')}",
        run_id=facts.run_id,
        model_name=str(facts.opened[-1].get("model_name", "")),
        status="running" if snapshot else facts.status,
        nonce=facts.opened[0].get("nonce"),
        confidentiality=confidentiality,
        snapshot=snapshot,
        journal=journal_state(facts),
        sizes=sizes,
        reports=contents.reports,
        redacted=contents.redacted,
        withheld=contents.withheld,
        weights=contents.weights,
    )
    for name, content in ((VERIFY, instructions(predicate, keyid)), (SUMS, b"")):
        content = content or listed_sums(digests)
        digests[name], sizes[name] = hashlib.sha256(content).hexdigest(), len(content)
        contents.members.append(Member(name, content))
    statement = encode_statement(digests, predicate)
    members = [*contents.members, *_statement_files(statement, key)]
    if contents.openings:
        write_private(salts, canonical_json({"run_id": facts.run_id, "openings": contents.openings}) + b"\n")
    try:
        with replacing(out) as file:
            writer = ZipWriter(file, moment_of(str(facts.opened[0].get("timestamp", ""))))
            for member in sorted(members, key=lambda member: member.name):
                writer.add(member.name, _unchanged(member, digests.get(member.name), telling))
            writer.finish()
            size = file.tell()
    except BaseException:
        if contents.openings:
            salts.unlink(missing_ok=True)
        raise
    return Packed(out, len(digests), size, keyid, salts if contents.openings else None, snapshot, contents)


def _statement_files(statement: bytes, key: Ed25519PrivateKey | None) -> list[Member]:
    if key is None:
        return [Member(STATEMENT, statement)]
    signature = envelope.sign(statement, key)
    return [
        Member(ENVELOPE, envelope.encode(statement, signature, key_id(key.public_key()))),
        Member(PAE, envelope.pae(statement)),
        Member(SIGNATURE, signature),
        Member(SIGNER, public_pem(key.public_key())),
    ]


def _digest(blocks: Iterator[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def _unchanged(member: Member, digest: str | None, telling: "_Telling") -> Iterator[bytes]:
    """The member's bytes; an error where they are no longer those that the statement names."""
    found = hashlib.sha256()
    for block in telling.blocks(member):
        found.update(block)
        yield block
    if digest is not None and found.hexdigest() != digest:
        raise RunFolderError(f"{member.name}: this file was changed while it was packed; try again")


class _Telling:
    """Tells how far it is: every member is read twice, once to hash it and once to pack it."""

    def __init__(self, members: list[Member], progress: Progress) -> None:
        self._total = 2 * sum(
            len(one.source) if isinstance(one.source, bytes) else one.source.stat().st_size for one in members
        )
        self._done = 0
        self._progress = progress

    def blocks(self, member: Member) -> Iterator[bytes]:
        for block in member.blocks():
            yield block
            self._done += len(block)
            self._progress(min(self._done, self._total), self._total)
