"""The quadruple-thinking record: one JSON object per line, checked field by field.

A file is JSONL in UTF-8 without a byte order mark. The chat text is derived from the record when it is
loaded and never stored, so its tags cannot be malformed. Every row that breaks a rule is named by line and
field; nothing is repaired, guessed or defaulted: a row without a safety label is refused, not taken for ALLOW.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from so8t.data.assistant_text import AssistantText, AssistantTextError, find_reserved, parse_assistant
from so8t.errors import DataError

__all__ = [
    "REFUSING",
    "AssistantText",
    "AssistantTextError",
    "DomainLabel",
    "Problem",
    "ReadResult",
    "RecordError",
    "SafetyLabel",
    "Source",
    "Thinking",
    "ThinkingRecord",
    "Verifier",
    "check",
    "content_sha256",
    "parse_assistant",
    "parse_line",
    "read_records",
    "record_id",
    "render_assistant",
]


class SafetyLabel(Enum):
    """What the system is to do with a request. `ESCALATE` is read as ESCALATION.

    Example:
        >>> SafetyLabel("ESCALATE")
        <SafetyLabel.ESCALATION: 'ESCALATION'>
    """

    ALLOW = "ALLOW"
    """Answer."""
    ESCALATION = "ESCALATION"
    """Hand over to a person."""
    DENY = "DENY"
    """Decline with a reason; alternatives may be offered."""
    REFUSE = "REFUSE"
    """Decline flatly."""

    @classmethod
    def _missing_(cls, value: object) -> SafetyLabel | None:
        return cls.ESCALATION if value == "ESCALATE" else None


class DomainLabel(Enum):
    """The field a request belongs to."""

    DEFENSE_PUBLIC = "defense_public"
    AEROSPACE = "aerospace"
    MEDICAL_REG = "medical_reg"
    LAW_POLICY = "law_policy"
    WIKIPEDIA_JA_EN = "wikipedia_ja_en"
    NSFW_ADULT = "nsfw_adult"
    NSFW_BLOCK = "nsfw_block"
    GENERAL = "general"


REFUSING = frozenset({SafetyLabel.DENY, SafetyLabel.REFUSE})
"""The only labels a row of an nsfw_* domain may carry: such text is a prompt to decline, never a target."""

_NSFW = frozenset({DomainLabel.NSFW_ADULT, DomainLabel.NSFW_BLOCK})
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A struct in which a misspelt key is an error."""


class Thinking(_Strict, frozen=True):
    """The three thoughts before an answer; internal, never shown to a user."""

    task: str
    safety: str
    policy: str


class Verifier(_Strict, frozen=True):
    """How sound a reviewer found the row, each from 0 to 1."""

    logical: _Share
    faithful: _Share


class Source(_Strict, frozen=True):
    """Where a row comes from and under which licence it may be used.

    Attributes:
        tier: how far the source is trusted, for example "synthetic" or "1".
        license: SPDX identifier or the name of the terms.
        retrieved_at: ISO 8601 time with an offset, for example 2025-12-01T00:00:00Z.
        sha256: SHA-256 of the row's canonical content (`content_sha256`), 64 lower-case hexadecimal digits.
        url: address, where there is one.
    """

    tier: _NonEmpty
    license: _NonEmpty
    retrieved_at: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    url: _NonEmpty | None = None


class ThinkingRecord(_Strict, frozen=True):
    """One row: a request, the thinking, the answer and what is known about them.

    Attributes:
        schema_version: always "1".
        id: first 16 hexadecimal digits of `content_sha256`.
        language: language of the answer.
        instruction: what the user asks, 1 to 8000 characters.
        thinking: the three thoughts.
        final: the answer the user sees.
        safety_label: what the system is to do.
        policy_domain: which policy the decision rests on.
        source: origin and licence.
        system: system prompt; empty means the default one of the language.
        input: material the instruction speaks about.
        domain_label: field of the request.
        verifier: reviewer's scores.
        split: the part of the corpus the row was assigned to.
    """

    schema_version: Literal["1"]
    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    language: Literal["ja", "en"]
    instruction: Annotated[str, msgspec.Meta(min_length=1, max_length=8000)]
    thinking: Thinking
    final: str
    safety_label: SafetyLabel
    policy_domain: str
    source: Source
    system: str = ""
    input: str = ""
    domain_label: DomainLabel | None = None
    verifier: Verifier | None = None
    split: Literal["train", "eval", "validation", "test"] | None = None


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


def content_sha256(record: ThinkingRecord | Mapping[str, object]) -> str:
    """Hash what a row says, leaving out where it comes from and how it was rated.

    The hashed bytes are the JSON, with sorted keys and no white space, of exactly: language, system,
    instruction, input, thinking {task, safety, policy}, final, safety_label, policy_domain. Without a system
    or an input, these are "".

    Args:
        record: a record, or the same fields as a mapping (which needs no id or source yet).

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: the mapping lacks one of these fields, or has one of a wrong type.

    Example:
        >>> row = dict(language="en", instruction="Hi", thinking=dict(task="t", safety="s", policy="p"),
        ...            final="Hello.", safety_label="ALLOW", policy_domain="general")
        >>> content_sha256(row) == content_sha256({**row, "input": ""})
        True
    """
    content = {name: _get(record, name) for name in _CONTENT_FIELDS} | {
        name: _get(record, name, "") for name in ("system", "input")
    }
    try:
        content["safety_label"] = SafetyLabel(content["safety_label"])
        content["thinking"] = msgspec.convert(content["thinking"], Thinking, from_attributes=True)
    except (ValueError, msgspec.ValidationError) as error:
        raise DataError(f"a row's content cannot be hashed: {error}") from error
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def record_id(record: ThinkingRecord | Mapping[str, object]) -> str:
    """Give the row's id: the first 16 hexadecimal digits of `content_sha256`."""
    return content_sha256(record)[:16]


def render_assistant(record: ThinkingRecord) -> str:
    """Give the assistant's turn: the four tagged parts, without separators.

    Raises:
        AssistantTextError: a part is blank or holds a reserved tag (a checked record never does).
    """
    thinking = record.thinking
    return AssistantText(thinking.task, thinking.safety, thinking.policy, record.final).render()


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


Check = Callable[["ThinkingRecord"], Iterable[tuple[str, str]]]
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
    for number, line in _lines(path, digest):
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


_CONTENT_FIELDS = ("language", "instruction", "thinking", "final", "safety_label", "policy_domain")
_DECODER = msgspec.json.Decoder(ThinkingRecord)
_PATH = re.compile(r"^(?P<message>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED_FIELD = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`")
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def _get(record: ThinkingRecord | Mapping[str, object], name: str, default: object = None) -> object:
    if isinstance(record, ThinkingRecord):
        return getattr(record, name)
    value = record.get(name, default)
    if value is None:
        raise DataError(f"a row's content cannot be hashed: {name} is missing")
    return value


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


def _lines(path: Path, digest: hashlib._Hash) -> Iterator[tuple[int, bytes]]:
    """Yield the file's lines with their numbers, feeding every byte to the digest."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                digest.update(line)
                _check_encoding(path, number, line)
                if line.strip():
                    yield number, line
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check the path (data.train_data or --dataset)") from error
    except OSError as error:
        if path.is_dir():
            raise DataError(f"{path} is a folder; name the .jsonl file in it") from error
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _check_encoding(path: Path, number: int, line: bytes) -> None:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if number == 1 and line.startswith(mark):
            raise DataError(f"{path} begins with a {encoding} byte order mark; save it as UTF-8 without BOM")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number} is not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start + 1}); "
            "convert the file, for example: iconv -f CP932 -t UTF-8 old.jsonl > new.jsonl"
        ) from error
