"""Reading quadruple-thinking records: one JSON object per line, checked field by field.

A file is JSONL in UTF-8 without a byte order mark. Every row that breaks a rule is named by line and field; nothing
is repaired, guessed or defaulted: a row without a safety label is refused, not taken for ALLOW.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from so8t.data.assistant_text import find_reserved
from so8t.data.thinking_record import (
    REFUSING,
    DomainLabel,
    SafetyLabel,
    ThinkingRecord,
    content_sha256,
    render_assistant,
)
from so8t.data.utf8_lines import numbered_lines
from so8t.errors import DataError

__all__ = [
    "REFUSING",
    "DomainLabel",
    "Problem",
    "ReadResult",
    "RecordError",
    "SafetyLabel",
    "ThinkingRecord",
    "check",
    "parse_line",
    "read_records",
    "render_assistant",
]

_NSFW = frozenset({DomainLabel.NSFW_ADULT, DomainLabel.NSFW_BLOCK})
_DECODER = msgspec.json.Decoder(ThinkingRecord)
_PATH = re.compile(r"^(?P<message>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED_FIELD = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`")


@dataclass(frozen=True)
class Problem:
    """One broken rule.

    Attributes:
        line: where it stands, counted from 1.
        field: dotted name of the field; empty when the whole row is meant.
        message: what is wrong and what to do.
    """

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field + ': ' if self.field else ''}{self.message}"


class RecordError(DataError):
    """A row breaks the schema; `problems` names every broken rule that could be determined."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class ReadResult:
    """What a file held.

    Attributes:
        path: the file.
        sha256: SHA-256 of its bytes, hexadecimal.
        records: the good rows, in file order.
        problems: every broken rule, in file order.
    """

    path: Path
    sha256: str
    records: tuple[ThinkingRecord, ...]
    problems: tuple[Problem, ...]

    @property
    def bad_rows(self) -> int:
        """Number of rows with at least one problem."""
        return len({problem.line for problem in self.problems})


def check(record: ThinkingRecord) -> Iterator[tuple[str, str]]:
    """Check the rules that types cannot express.

    Yields:
        Field and message of each broken rule.
    """
    thinking = record.thinking
    yield from _check_text("instruction", record.instruction)
    yield from _check_text("policy_domain", record.policy_domain)
    for field, text in (
        ("thinking.task", thinking.task),
        ("thinking.safety", thinking.safety),
        ("thinking.policy", thinking.policy),
        ("final", record.final),
    ):
        yield from _check_text(field, text)
        reserved = find_reserved(text)
        if reserved is not None:
            yield (
                field,
                f"holds the reserved tag or role token {reserved!r}; describe it in words instead",
            )
    if record.domain_label in _NSFW and record.safety_label not in REFUSING:
        yield (
            "safety_label",
            f"is {record.safety_label.value}; {record.domain_label.value} rows may only be DENY or REFUSE",
        )
    yield from _check_time(record.source.retrieved_at)
    digest = content_sha256(record)
    if record.id != digest[:16]:
        yield (
            "id",
            f"is {record.id}, but the content hashes to {digest[:16]}; was the row edited after its id was set?",
        )
    if record.source.sha256 != digest:
        yield "source.sha256", f"does not match the content, whose SHA-256 is {digest}"


def parse_line(line: bytes, line_number: int) -> ThinkingRecord:
    """Read and check one row.

    Args:
        line: the row's bytes, with or without line end.
        line_number: 1-based, for the message.

    Returns:
        The record.

    Raises:
        RecordError: the row breaks a rule; it names line and field.
    """
    try:
        record = _DECODER.decode(line)
    except msgspec.ValidationError as error:
        raise RecordError((_problem_of(line_number, str(error)),)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError((Problem(line_number, "", f"is not one JSON object: {error}"),)) from error
    problems = tuple(Problem(line_number, field, message) for field, message in check(record))
    if problems:
        raise RecordError(problems)
    return record


Check = Callable[[ThinkingRecord], Iterable[tuple[str, str]]]
"""Names field and message of each rule that a record breaks."""


def _nothing_more(record: ThinkingRecord) -> Iterable[tuple[str, str]]:
    return ()


def read_records(path: Path | str, *, guard: Check = _nothing_more) -> ReadResult:
    """Read a whole file and collect every bad row.

    Blank lines are passed over; line numbers count them. A row that says the same as an earlier one is a
    problem.

    Args:
        path: a JSONL file.
        guard: what a record must satisfy beyond the format, such as `so8t.data.safety.guard.Guard`.

    Returns:
        Good rows, problems and the file's SHA-256.

    Raises:
        DataError: there is no such file, it is a folder, cannot be read, is empty, or is not UTF-8 without a
            byte order mark.
    """
    path = Path(path)
    digest = hashlib.sha256()
    records: list[ThinkingRecord] = []
    problems: list[Problem] = []
    first_line_of: dict[str, int] = {}
    for number, line in numbered_lines(path, digest):
        try:
            record = parse_line(line, number)
        except RecordError as error:
            problems.extend(error.problems)
            continue
        first = first_line_of.setdefault(record.id, number)
        if first != number:
            problems.append(Problem(number, "id", f"says the same as line {first}; remove one of them"))
            continue
        broken = [Problem(number, field, message) for field, message in guard(record)]
        if broken:
            problems.extend(broken)
            continue
        records.append(record)
    if not records and not problems:
        raise DataError(f"{path} is empty; write one JSON object per line, as in examples/data")
    return ReadResult(path, digest.hexdigest(), tuple(records), tuple(problems))


def _check_text(field: str, text: str) -> Iterator[tuple[str, str]]:
    if not text.strip():
        yield field, "is blank; write it or remove the row"


def _check_time(text: str) -> Iterator[tuple[str, str]]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        yield "source.retrieved_at", f"is {text!r}, not a time with offset such as 2025-12-01T00:00:00Z"


def _problem_of(line: int, error: str) -> Problem:
    """Turn msgspec's "message - at `$.path`" into a problem that names the field itself."""
    match = _PATH.match(error)
    path = (match.group("path") or "") if match else ""
    message = match.group("message") if match else error
    named = _NAMED_FIELD.search(message)
    if named:
        path = f"{path}.{named.group('name')}" if path else named.group("name")
        message = "is missing" if "missing" in message else "is no field of this format; remove or rename it"
    return Problem(line, path, message)
