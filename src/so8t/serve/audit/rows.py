"""The one table of the audit log: its columns, and the row of an event before it is chained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, String, Table

from so8t.serve.audit.digests import event_digests
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey

__all__ = ["COLUMNS", "METADATA", "ROWS", "Row", "Value", "bucket", "row_of"]

Value = str | int | float | None
"""What can stand in a column."""

Row = Mapping[str, Value]
"""One row: the value of every column by its name."""

METADATA = MetaData()

ROWS = Table(
    "audit_rows",
    METADATA,
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("audit_id", String(32), nullable=False, unique=True),
    Column("ts_utc", String(27), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("user_id_hmac", String(64), nullable=False),
    Column("event_type", String(32), nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("safety_label", String(16), nullable=False),
    Column("safety_conf", Double),
    Column("final_check_label", String(16)),
    Column("final_check_conf", Double),
    Column("domain_label", String(32)),
    Column("verifier_plausibility", Double),
    Column("verifier_self_confidence", Double),
    Column("query_hmac", String(64), nullable=False),
    Column("answer_hmac", String(64), nullable=False),
    Column("thinking_task_hmac", String(64)),
    Column("thinking_safety_hmac", String(64)),
    Column("thinking_policy_hmac", String(64)),
    Column("thinking_hmac", String(64)),
    Column("final_hmac", String(64)),
    Column("raw_output_hmac", String(64)),
    Column("thinking_characters", Integer),
    Column("final_characters", Integer),
    Column("raw_output_characters", Integer),
    Column("key_id", String(16), nullable=False),
    Column("model_id", String(200), nullable=False),
    Column("model_sha", String(64), nullable=False),
    Column("gate_version", String(64), nullable=False),
    Column("policy_digest", String(71), nullable=False),
    Column("latency_ms", BigInteger, nullable=False),
    Column("error_code", String(64)),
    Column("prev_row_hash", String(64), nullable=False),
    Column("row_hash", String(64), nullable=False),
    Column("row_hmac", String(64), nullable=False),
)

COLUMNS: tuple[str, ...] = tuple(column.name for column in ROWS.columns)
"""Names of the columns in the order in which they are exported."""

_SMALLEST_BUCKET = 64


def bucket(length: int | None) -> int | None:
    """Give the upper end of the range that a length lies in: 0, 64, or the next power of 2.

    An exact length would narrow down what the text can have been.

    Args:
        length: number of characters; None where there is no text.

    Example:
        >>> [bucket(length) for length in (0, 1, 64, 65, 1000, None)]
        [0, 64, 64, 128, 1024, None]
    """
    if length is None or length == 0:
        return length
    return max(_SMALLEST_BUCKET, 1 << (length - 1).bit_length())


def row_of(event: AuditEvent, key: AuditKey, *, audit_id: str, now: datetime) -> dict[str, Value]:
    """Turn an event into the columns of a row, digests in the place of texts; the chain's columns are not there yet.

    Args:
        event: what happened.
        key: the secret key.
        audit_id: random name of the row, 32 hexadecimal digits.
        now: aware time.
    """
    parts = event.parts
    thinking = len(parts.task) + len(parts.safety) + len(parts.policy) if parts else None
    return {
        "audit_id": audit_id,
        "ts_utc": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "request_id": event.request_id,
        "event_type": event.event_type or event.outcome.event_type,
        "outcome": event.outcome.value,
        "safety_label": event.safety_label.value,
        "safety_conf": _number(event.safety_confidence),
        "final_check_label": event.final_label and event.final_label.value,
        "final_check_conf": _number(event.final_confidence),
        "domain_label": event.domain_label and event.domain_label.value,
        "verifier_plausibility": _number(event.verifier_plausibility),
        "verifier_self_confidence": _number(event.verifier_self_confidence),
        "thinking_characters": bucket(thinking),
        "final_characters": bucket(len(parts.final) if parts else None),
        "raw_output_characters": bucket(None if event.raw_output is None else len(event.raw_output)),
        "key_id": key.key_id,
        "model_id": event.model_id,
        "model_sha": event.model_sha,
        "gate_version": event.gate_version,
        "policy_digest": event.policy_digest,
        "latency_ms": round(event.latency_ms),
        "error_code": event.error_code,
        **event_digests(key, event),
    }


def _number(value: float | None) -> float | None:
    """Give what every database gives back as it was: finite, and no negative zero."""
    return float(value) + 0.0 if value is not None and math.isfinite(value) else None
