"""The reports that stand beside a run, and which piece of which journal each was made from."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from kiseki.run_folder import RunFolder

_NAME = re.compile(r"poc_(?:report|summary)_(?P<stamp>\d{8}_\d{6}(?:_\d+)?)\.[a-z]+")


class _Journal(msgspec.Struct):
    bytes: int
    sha256: str


class _Evidence(msgspec.Struct):
    journal: _Journal


class _Report(msgspec.Struct):
    run_id: str
    evidence: _Evidence


class Origin(NamedTuple):
    """Which piece of which journal a report was made from.

    Attributes:
        run_id: empty where the report cannot be read.
        journal_bytes: so many bytes from its beginning.
        journal_sha256: digest of those.
    """

    run_id: str
    journal_bytes: int
    journal_sha256: str


class Report(NamedTuple):
    """The files of one report.

    Attributes:
        files: all that have its time in their names, sorted.
        json: the report itself, whether it is there or not.
        summary: its summary, whether it is there or not.
        origin: as `json` says.
    """

    files: tuple[Path, ...]
    json: Path
    summary: Path
    origin: Origin


def reports_in(folder: RunFolder) -> list[Report]:
    """Every report in the run's report folder, of this run or of an earlier one; in order of time."""
    by_stamp: dict[str, list[Path]] = {}
    for path in sorted(folder.reports.glob("poc_*")):
        if (name := _NAME.fullmatch(path.name)) and path.is_file():
            by_stamp.setdefault(name["stamp"], []).append(path)
    return [_report(folder, stamp, tuple(files)) for stamp, files in sorted(by_stamp.items())]


def _report(folder: RunFolder, stamp: str, files: tuple[Path, ...]) -> Report:
    json, summary = folder.reports / f"poc_report_{stamp}.json", folder.reports / f"poc_summary_{stamp}.csv"
    return Report(files, json, summary, read_origin(json.read_bytes() if json in files else b""))


def read_origin(raw: bytes) -> Origin:
    """What a report's JSON says of where it comes from."""
    try:
        facts = msgspec.json.decode(raw, type=_Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Origin("", 0, "")
    return Origin(facts.run_id, facts.evidence.journal.bytes, facts.evidence.journal.sha256)


def prefix_digests(journal: Path, lengths: Iterable[int]) -> dict[int, str]:
    """SHA-256 of the first so many bytes of a file, for each length that the file has; read once.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x"
        >>> path.write_bytes(b"abc")
        3
        >>> {length: digest[:8] for length, digest in prefix_digests(path, [3, 0, 9]).items()}
        {0: 'e3b0c442', 3: 'ba7816bf'}
    """
    digest, digests, at = hashlib.sha256(), dict[int, str](), 0
    with journal.open("rb") as content:
        for length in sorted({length for length in lengths if length >= 0}):
            while at < length and (block := content.read(min(length - at, 1 << 20))):
                digest.update(block)
                at += len(block)
            if at < length:
                break
            digests[length] = digest.hexdigest()
    return digests
