"""The files that a report rests on, each with its size and digest at that moment."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kiseki.history import History
from kiseki.report.side_files import NAMES
from kiseki.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of the run as it stood when the facts were gathered."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class JournalFact:
    """What of the journal the report rests on: `head -c BYTES journal.jsonl | sha256sum` prints the digest."""

    path: str
    bytes: int
    sha256: str
    sealed_bytes: int
    sealed_sha256: str | None


def standing_files(history: History) -> tuple[FileFact, ...]:
    """Views, curves and side files of a run, as far as they stand in its folder."""
    folder = history.folder
    views = [folder.training_json, folder.training_csv, folder.evaluation_json, folder.evaluation_csv]
    beside = [folder.side_file(name, attempt.number) for attempt in history.attempts for name in NAMES]
    return tuple(_file_fact(folder, path) for path in [*views, folder.curves_png, *beside] if path.is_file())


def journal_fact(history: History) -> JournalFact:
    """The journal as far as it was read: a run that goes on has written more by now, and that is not hashed."""
    sealed, digest = None, hashlib.sha256()
    with history.folder.journal.open("rb") as journal:
        for length in (history.sealed_bytes, history.good_bytes - history.sealed_bytes):
            for start in range(0, length, 1 << 20):
                digest.update(journal.read(min(1 << 20, length - start)))
            sealed = sealed or digest.hexdigest()
    return JournalFact(
        path=history.folder.relative(history.folder.journal),
        bytes=history.good_bytes,
        sha256=digest.hexdigest(),
        sealed_bytes=history.sealed_bytes,
        sealed_sha256=sealed if history.sealed_bytes else None,
    )


def _file_fact(folder: RunFolder, path: Path) -> FileFact:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return FileFact(folder.relative(path), content.tell(), digest)
