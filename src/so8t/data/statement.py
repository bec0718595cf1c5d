"""The data statement of a dataset: where it was collected, how it was cleaned, which files it is, what NSFW is for.

`so8t collect` and `so8t clean` each leave their part; here the parts are joined with what the training files themselves
say. Nothing is taken on trust where it can be looked at: sources are counted anew from the sealed ledger, digests and
labels are read from the files. kiseki's report takes the result as it is (`data.statement` in the configuration, or
`kiseki report --data-statement`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from kiseki.record.opening import has_record
from so8t.data.collect.ledger import LedgerFolder, read_ledger
from so8t.data.collect.statement import SCHEMA_VERSION, STATEMENT_FILE, collection_statement
from so8t.data.safety.purpose import PURPOSE
from so8t.data.thinking import read_records
from so8t.data.thinking_record import DomainLabel, ThinkingRecord
from so8t.errors import DataError

__all__ = ["DatasetFile", "data_statement", "describe_file"]

_NSFW = frozenset({DomainLabel.NSFW_ADULT, DomainLabel.NSFW_BLOCK})


@dataclass(frozen=True)
class DatasetFile:
    """One JSONL file of the dataset.

    Attributes:
        path: where it stands.
        bytes: its size.
        sha256: digest of its bytes, hexadecimal.
        records: number of its rows.
        kind: "thinking" for quadruple-thinking records, "text" for the records of `so8t clean`.
        languages: rows by language.
        licences: rows by licence.
        tiers: rows by trust tier.
        labels: rows by safety label; empty for texts, which bear none.
        nsfw_records: rows of an NSFW domain.
        nsfw_labels: the same by domain and by safety label.
    """

    path: Path
    bytes: int
    sha256: str
    records: int
    kind: Literal["thinking", "text"]
    languages: Counter[str]
    licences: Counter[str]
    tiers: Counter[str]
    labels: Counter[str]
    nsfw_records: int
    nsfw_labels: Counter[str]


class _Source(msgspec.Struct):
    tier: str
    license: str


class _Text(msgspec.Struct):
    """What of a cleaned record is counted; `so8t.data.clean.schema` has the whole."""

    text: str
    language: str
    source: _Source


class _File(msgspec.Struct):
    path: str
    sha256: str


class _Dataset(msgspec.Struct):
    files: list[_File]


class _Nsfw(msgspec.Struct):
    labels: dict[str, int] = {}


class _Cleaning(msgspec.Struct):
    """What `so8t clean` states; sources and ledger only where it cleaned a collection."""

    dataset: _Dataset
    cleaning: dict[str, Any]
    nsfw: _Nsfw = msgspec.field(default_factory=_Nsfw)
    sources: list[dict[str, Any]] | None = None
    ledger: dict[str, Any] | None = None


_TEXT = msgspec.json.Decoder(_Text)


def data_statement(
    files: Sequence[Path],
    *,
    generated_at: str,
    name: str,
    folder: Path,
    collected: Path | None = None,
    cleaned: Path | None = None,
) -> tuple[dict[str, Any], list[DatasetFile]]:
    """Join what is known of a dataset.

    Args:
        files: JSONL files of the dataset; those of the cleaning when empty.
        generated_at: UTC, RFC 3339.
        name: of the dataset.
        folder: where the statement will stand; files below it are named by their path from there, others by their name.
        collected: folder of `so8t collect`.
        cleaned: folder of `so8t clean`.

    Returns:
        The statement, and the files it is about.

    Raises:
        DataError: a part is missing or damaged, a file has a bad row, or the parts do not belong together.
        RunFolderError: the collection's ledger cannot be read.
    """
    sources = {} if collected is None else _sources(collected)
    cleaning = None if cleaned is None else _cleaning(cleaned)
    if cleaned is not None and cleaning is not None:
        if sources and cleaning.ledger != sources["ledger"]:
            raise DataError(f"{cleaned} was not made from {collected} as it is now: clean it again")
        files = files or [cleaned / one.path for one in cleaning.dataset.files]
    if not files:
        raise DataError("there is no dataset to state anything about: name its files with --dataset")
    described = [describe_file(path) for path in files]
    if cleaned is not None and cleaning is not None:
        _compare(cleaned, cleaning, described)
        if not sources and cleaning.ledger is not None:
            sources = {"sources": cleaning.sources, "ledger": cleaning.ledger}
    statement = {
        "schema_version": SCHEMA_VERSION,
        "dataset": _dataset(name, described, folder),
        **sources,
        **({} if cleaning is None else {"cleaning": cleaning.cleaning}),
        "nsfw": _nsfw(described, {} if cleaning is None else cleaning.nsfw.labels),
        "generated_at": generated_at,
    }
    return statement, described


def describe_file(path: Path) -> DatasetFile:
    """Digest a file and count what its rows say.

    Args:
        path: quadruple-thinking records, or the records of `so8t clean`.

    Raises:
        DataError: it cannot be read, is empty or has a bad row.

    Example:
        >>> described = describe_file(Path("examples/data/quadruple_thinking_eval.jsonl"))
        >>> described.kind, described.records, described.nsfw_records
        ('thinking', 44, 2)
    """
    texts = _texts(path)
    if texts is not None:
        return texts
    read = read_records(path)
    if read.problems:
        raise DataError(
            f"{path} has bad rows ({read.bad_rows}), the first: {read.problems[0]}; to see all of them: "
            f"so8t data validate {path}"
        )
    nsfw = [record for record in read.records if record.domain_label in _NSFW]
    return DatasetFile(
        path=path,
        bytes=path.stat().st_size,
        sha256=read.sha256,
        records=len(read.records),
        kind="thinking",
        languages=Counter(record.language for record in read.records),
        licences=Counter(record.source.license for record in read.records),
        tiers=Counter(record.source.tier for record in read.records),
        labels=Counter(record.safety_label.value for record in read.records),
        nsfw_records=len(nsfw),
        nsfw_labels=Counter(label for record in nsfw for label in _labels(record)),
    )


def _labels(record: ThinkingRecord) -> Iterator[str]:
    if record.domain_label is not None:
        yield record.domain_label.value
    yield record.safety_label.value


def _texts(path: Path) -> DatasetFile | None:
    """The description of a file of cleaned records; None where the first row is no such record."""
    digest, languages, licences, tiers = hashlib.sha256(), Counter[str](), Counter[str](), Counter[str]()
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                digest.update(line)
                try:
                    record = _TEXT.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    if number == 1:
                        return None
                    raise DataError(f"{path}, line {number} is no record of so8t clean: {error}") from None
                languages[record.language] += 1
                licences[record.source.license] += 1
                tiers[record.source.tier] += 1
    except OSError:
        return None  # whoever reads it next says what is wrong with it
    if not languages:
        return None
    size, records = path.stat().st_size, languages.total()
    nothing = Counter[str]()
    return DatasetFile(path, size, digest.hexdigest(), records, "text", languages, licences, tiers, nothing, 0, nothing)


def _sources(collected: Path) -> dict[str, Any]:
    ledger = LedgerFolder(collected)
    if not has_record(ledger):
        raise DataError(
            f"{collected} is not a folder of so8t collect: it holds no {ledger.journal.name}; name the one given to "
            f"so8t collect --out with --collected"
        )
    content = read_ledger(collected)
    if content.damage:
        raise DataError(f"{collected}: the ledger is not what was written: {content.damage[0]}")
    stated = collection_statement(content, "")
    return {"sources": stated["sources"], "ledger": stated["ledger"]}


def _cleaning(cleaned: Path) -> _Cleaning:
    file = cleaned / STATEMENT_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Cleaning)
    except OSError as error:
        raise DataError(
            f"{file} cannot be read ({error.strerror or error}): name the folder of a so8t clean that has ended"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{file} is not the statement of so8t clean ({error}): clean again") from error


def _compare(cleaned: Path, cleaning: _Cleaning, described: Iterable[DatasetFile]) -> None:
    """See that cleaned files are still what the cleaning left."""
    left = {(cleaned / one.path).resolve(): one.sha256 for one in cleaning.dataset.files}
    for file in described:
        if left.get(file.path.resolve(), file.sha256) != file.sha256:
            raise DataError(f"{file.path} was changed after it was cleaned: clean again, or leave --cleaned out")


def _dataset(name: str, described: Sequence[DatasetFile], folder: Path) -> dict[str, Any]:
    names = [_name(file.path, folder) for file in described]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise DataError(
            f"two files of the dataset would both be called {twice}: write the statement beside them with -o"
        )
    return {
        "name": name,
        "files": [
            {"path": name, "bytes": file.bytes, "sha256": file.sha256, "records": file.records}
            for name, file in zip(names, described, strict=True)
        ],
        **{
            what: dict(sorted(sum((getattr(file, what) for file in described), Counter[str]()).items()))
            for what in ("languages", "licences", "tiers", "labels")
        },
    }


def _name(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _nsfw(described: Sequence[DatasetFile], left_out: Mapping[str, int]) -> dict[str, Any]:
    records = sum(file.nsfw_records for file in described)
    labels = sum((file.nsfw_labels for file in described), Counter[str]())
    return {
        "used": records > 0,
        "purpose": dict(PURPOSE),
        "records": records,
        "labels": dict(sorted(labels.items())),
        # labels of what the cleaning left out; none of it is in the dataset
        **({"left_out": dict(left_out)} if left_out else {}),
    }
