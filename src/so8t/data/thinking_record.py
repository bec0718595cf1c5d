"""The quadruple-thinking record: what a row of training data says, and where it comes from.

The chat text is derived from the record when it is loaded and never stored, so its tags cannot be malformed.
`so8t.data.thinking` reads files of such rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Literal

import msgspec

from so8t.data.assistant_text import AssistantText
from so8t.errors import DataError

__all__ = [
    "REFUSING",
    "DomainLabel",
    "SafetyLabel",
    "Source",
    "Thinking",
    "ThinkingRecord",
    "Verifier",
    "content_sha256",
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


_CONTENT_FIELDS = ("language", "instruction", "thinking", "final", "safety_label", "policy_domain")


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


def _get(record: ThinkingRecord | Mapping[str, object], name: str, default: object = None) -> object:
    if isinstance(record, ThinkingRecord):
        return getattr(record, name)
    value = record.get(name, default)
    if value is None:
        raise DataError(f"a row's content cannot be hashed: {name} is missing")
    return value
