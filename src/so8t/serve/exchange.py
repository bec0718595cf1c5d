"""What goes over the wire: the request, the answer, the problem, and an answer as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from so8t.data.thinking import REFUSING, SafetyLabel
from so8t.serve.gate import Judged

__all__ = ["Problem", "ThinkAnswer", "ThinkRequest", "answer_of", "events_of", "problem"]

_STREAMED_CHARACTERS = 64


class ThinkRequest(BaseModel):
    """What a client asks."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)

    user_id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
    language: Literal["ja", "en"] = "ja"
    max_new_tokens: Annotated[int, Field(ge=1, le=2048)] = 512
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    stream: bool = False


class ThinkAnswer(BaseModel):
    """What a client is told. `answer` is the only field with generated text; the last four exist where heads do."""

    answer: str
    safety_label: Literal["ALLOW", "ESCALATE", "REFUSE"]
    safety_conf: float
    escalated: bool
    audit_id: str
    domain_label: str | None = None
    domain_conf: float | None = None
    verifier_plausibility: float | None = None
    verifier_self_confidence: float | None = None


class Problem(BaseModel):
    """Why there is no answer: a constant, and for a malformed request the names of the fields that are wrong."""

    error: str
    fields: list[str] = []


def answer_of(judged: Judged, audit_id: str) -> ThinkAnswer:
    """What a client is told of a judgement.

    Args:
        judged: the gate's.
        audit_id: name of its row in the audit log.
    """
    reading = judged.reading
    return ThinkAnswer(
        answer=judged.answer,
        safety_label=_three_class(judged.safety_label),
        safety_conf=judged.safety_confidence,
        escalated=judged.escalated,
        audit_id=audit_id,
        domain_label=reading.domain.value if reading else None,
        domain_conf=reading.domain_confidence if reading else None,
        verifier_plausibility=reading.plausibility if reading else None,
        verifier_self_confidence=reading.self_confidence if reading else None,
    )


def _three_class(label: SafetyLabel) -> Literal["ALLOW", "ESCALATE", "REFUSE"]:
    if label in REFUSING:
        return "REFUSE"
    return "ESCALATE" if label is SafetyLabel.ESCALATION else "ALLOW"


def events_of(answer: ThinkAnswer) -> Iterator[str]:
    """Server-sent events: the validated text in pieces, then what stands beside it."""
    for start in range(0, len(answer.answer), _STREAMED_CHARACTERS):
        piece = {"text": answer.answer[start : start + _STREAMED_CHARACTERS]}
        yield f"event: answer\ndata: {json.dumps(piece, ensure_ascii=False)}\n\n"
    yield f"event: done\ndata: {json.dumps(answer.model_dump(exclude={'answer'}, exclude_none=True))}\n\n"


def problem(
    status: int, code: str, headers: dict[str, str] | None = None, fields: list[str] | None = None
) -> JSONResponse:
    """Give a response that says why there is no answer.

    Args:
        status: of HTTP.
        code: a constant of the program.
        headers: further headers.
        fields: names of our own fields that are wrong.
    """
    return JSONResponse({"error": code, **({"fields": fields} if fields else {})}, status, headers)
