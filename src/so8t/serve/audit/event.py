"""What the server hands to the audit log when a request has ended."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from so8t.data.thinking_record import DomainLabel, SafetyLabel
from so8t.serve.audit.errors import AuditInputError
from so8t.serve.outcome import Outcome

if TYPE_CHECKING:
    from so8t.serve.gate import Parts

__all__ = ["EVENT_TYPES", "AuditEvent"]

EVENT_TYPES = frozenset(
    {
        "think_received",
        "think_internal_reasoning",
        "think_format_violation",
        "think_escalation",
        "think_refused",
        "think_final_answer_rejected",
        "think_final_answer",
        "think_error",
        "think_audit_unavailable",
    }
)
"""What a row can be about. `Outcome.event_type` gives the one of a request that has ended."""

# These columns are stored as they are. The alphabets leave no room for a text; the model's name is the operator's.
_PLAIN = {
    "request_id": re.compile(r"[A-Za-z0-9._-]{1,64}"),
    "model_id": re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}"),
    "model_sha": re.compile(r"[0-9a-f]{0,64}"),
    "gate_version": re.compile(r"[A-Za-z0-9._-]{0,64}"),
    "policy_digest": re.compile(r"(?:sha256:)?[0-9a-f]{0,64}"),
    "error_code": re.compile(r"[a-z][a-z0-9_]{0,63}"),
}
_LARGEST_LATENCY = 1 << 53


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """One request that has ended, with its texts; the log keeps digests of them only.

    Attributes:
        request_id: unique, made by the server: 1 to 64 letters, digits, dots, hyphens and underscores.
        user_id: who asked, as the client says.
        query: the question.
        answer: what is about to be sent: the validated final or the fixed message.
        raw_output: the whole generated text, the forced opening tag included; None where nothing was generated.
        parts: the parts of it; None where they cannot be told apart.
        outcome: how the request ended.
        event_type: one of `EVENT_TYPES`; None means the outcome's own.
        safety_label: the decision on thinking and final.
        safety_confidence: from 0 to 1; None or not finite where there is no number.
        final_label: the decision on the final alone.
        final_confidence: from 0 to 1.
        domain_label: field of the request, where a head gives it.
        verifier_plausibility: from 0 to 1, where a head gives it.
        verifier_self_confidence: from 0 to 1, where a head gives it.
        latency_ms: from the arrival of the request until now, in milliseconds.
        model_id: name of the model; no local path.
        model_sha: SHA-256 of its weights, hexadecimal; "" where it is not known (an upstream server).
        gate_version: version of the gate.
        policy_digest: digest of the gate's policy, hexadecimal.
        error_code: a constant of the program such as "generation_failed", never an exception's text.

    Raises:
        AuditInputError: a field that is stored as it is could hold text. The message does not quote it.
    """

    request_id: str
    user_id: str = field(repr=False)
    query: str = field(repr=False)
    answer: str = field(repr=False)
    raw_output: str | None = field(repr=False)
    parts: Parts | None = field(repr=False)
    outcome: Outcome
    event_type: str | None = None
    safety_label: SafetyLabel
    safety_confidence: float | None = None
    final_label: SafetyLabel | None = None
    final_confidence: float | None = None
    domain_label: DomainLabel | None = None
    verifier_plausibility: float | None = None
    verifier_self_confidence: float | None = None
    latency_ms: float
    model_id: str
    model_sha: str = ""
    gate_version: str = ""
    policy_digest: str = ""
    error_code: str | None = None

    def __post_init__(self) -> None:
        for name, pattern in _PLAIN.items():
            value = getattr(self, name)
            if value is not None and pattern.fullmatch(value) is None:
                raise AuditInputError(f"{name} does not match {pattern.pattern}: texts do not belong in an audit row")
        if self.event_type is not None and self.event_type not in EVENT_TYPES:
            raise AuditInputError("event_type is none of the audit log's event types")
        if not math.isfinite(self.latency_ms) or not 0 <= self.latency_ms < _LARGEST_LATENCY:
            raise AuditInputError("latency_ms is not a number of milliseconds")
