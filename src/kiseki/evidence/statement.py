"""The in-toto Statement v1 of a pack: every file with its SHA-256, and what is to be known about the run.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from kiseki.evidence.strict_json import decode
from kiseki.record.side_files import canonical_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:kiseki:training-record:v1"
FORMAT = 1
NOT_RECORDED = "not recorded"


class JournalState(msgspec.Struct, frozen=True):
    """How long the packed journal is, and how much of it its last seal covers."""

    bytes: int
    sha256: str
    lines: int
    sealed_bytes: int
    sealed_sha256: str | None


class Redacted(msgspec.Struct, frozen=True):
    """A side file of which something was taken out: the pack holds `redacted_as`, the journal names `sha256`."""

    path: str
    sha256: str
    redacted_as: str
    removed: int


class Withheld(msgspec.Struct, frozen=True):
    """A file that the journal or the run folder has and the pack has not."""

    path: str
    why: str
    sha256: str | None = None


class Weights(msgspec.Struct, frozen=True):
    """The weights that the record is bound to: the list in the pack that `sha256sum -c` reads."""

    role: str
    name: str
    listed_in: str
    files: int


class Predicate(msgspec.Struct, frozen=True):
    """What a pack says beyond its list of files.

    Attributes:
        format: of the pack.
        packed_by: which kiseki made it.
        run_id, model_name, status, nonce: as the record says.
        confidentiality: `partner` or `public`.
        snapshot: the run was going on; the journal is packed up to its last seal.
        journal: the packed journal.
        sizes: bytes of every file.
        reports: for every report's summary, how many bytes of the journal it was made from.
        redacted, withheld: what is not in the pack as it was recorded.
        weights: the weights that were recorded, or `not recorded`.
    """

    format: int
    packed_by: str
    run_id: str
    model_name: str
    status: str
    nonce: str | None
    confidentiality: str
    snapshot: bool
    journal: JournalState
    sizes: dict[str, int]
    reports: dict[str, int]
    redacted: list[Redacted]
    withheld: list[Withheld]
    weights: list[Weights] | str


class _Subject(msgspec.Struct):
    name: str
    digest: dict[str, str]


class _Statement(msgspec.Struct, rename={"type": "_type"}):
    type: str
    subject: list[_Subject]
    predicateType: str  # noqa: N815 - the name in-toto gives it
    predicate: Predicate


class Statement(msgspec.Struct, frozen=True):
    """A statement that was read: digests by file, and the predicate."""

    digests: dict[str, str]
    predicate: Predicate


def encode_statement(digests: Mapping[str, str], predicate: Predicate) -> bytes:
    """The bytes that are signed; the same every time for the same facts."""
    whole: dict[str, Any] = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)],
        "predicateType": PREDICATE_TYPE,
        "predicate": msgspec.to_builtins(predicate),
    }
    return canonical_json(whole)


def parse_statement(payload: bytes) -> Statement:
    """Read a statement.

    Raises:
        NotStrict: no JSON of that form, or a key that stands twice.
        ValueError: another type or format, a file that stands twice or has no SHA-256.
    """
    whole = decode(payload, _Statement)
    if whole.type != STATEMENT_TYPE or whole.predicateType != PREDICATE_TYPE:
        raise ValueError(f"it is a statement of another type: {whole.type[:80]!r}, {whole.predicateType[:80]!r}")
    if whole.predicate.format != FORMAT:
        raise ValueError(
            f"it is a pack of format {whole.predicate.format}, this kiseki reads {FORMAT}; use a newer one"
        )
    digests: dict[str, str] = {}
    for subject in whole.subject:
        if subject.name in digests or "sha256" not in subject.digest:
            raise ValueError(f"{subject.name[:80]!r} is listed twice or without SHA-256")
        digests[subject.name] = subject.digest["sha256"]
    return Statement(digests, whole.predicate)
