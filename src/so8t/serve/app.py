"""`POST /think`: question in; a validated final answer or a fixed text out, after its audit row is committed.

No exception and no validation error quotes what was sent or generated: clients learn a constant code.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException

from so8t.data.assistant_text import PARTS
from so8t.data.thinking import REFUSING, SafetyLabel
from so8t.serve.access_log import AccessLog
from so8t.serve.audit.errors import AuditUnavailable
from so8t.serve.audit.event import AuditEvent
from so8t.serve.gate import Gate, Judged
from so8t.serve.generation import GenerationFailed, GenerationRequest, GenerationStopped, Generator, PromptTooLong
from so8t.serve.messages import fixed_message
from so8t.serve.metrics import ServerMetrics
from so8t.serve.outcome import Outcome
from so8t.serve.page import PAGE_PATH, page_response
from so8t.serve.security import (
    BodyLimit,
    Guard,
    RateLimiter,
    expected_hosts,
    host_check,
    origin_check,
    rate_check,
    token_check,
)
from so8t.serve.settings import Settings

__all__ = ["Audit", "ThinkAnswer", "ThinkRequest", "create_app"]

_STREAMED_CHARACTERS = 64
_ORDINARY = "".join(f"<{part}>A text of {part}.</{part}>" for part in PARTS)
_STATUS = {Outcome.TIMED_OUT: 504, Outcome.ERROR: 500}
_CODES = {404: "not_found", 405: "method_not_allowed"}


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
    """What a client is told. `answer` is the only field with generated text."""

    answer: str
    safety_label: Literal["ALLOW", "ESCALATE", "REFUSE"]
    safety_conf: float
    escalated: bool
    audit_id: str


class Problem(BaseModel):
    """Why there is no answer: a constant, and for a malformed request the names of the fields that are wrong."""

    error: str
    fields: list[str] = []


class Audit(Protocol):
    """What the server needs of the audit log."""

    async def commit(self, event: AuditEvent) -> str:
        """Commit a row durably; gives its id, or raises AuditUnavailable."""
        ...


@dataclass(frozen=True)
class _Ended:
    """How a generation ended: a text for the gate, or an outcome without one."""

    raw: str | None
    outcome: Outcome | None = None
    error_code: str | None = None


class _Thinking:
    """Takes a request from generation through gate and audit log."""

    def __init__(
        self,
        settings: Settings,
        generator: Generator,
        gate: Gate,
        audit: Audit,
        metrics: ServerMetrics,
        clock: Callable[[], float],
        judge_in_thread: bool,
    ) -> None:
        self._judge_in_thread = judge_in_thread
        self._settings = settings
        self._generator = generator
        self._gate = gate
        self._audit = audit
        self._metrics = metrics
        self._clock = clock
        # unique without a call of the system for each; nobody outside sees them
        self._request_ids = (f"{start}-{number}" for start in [uuid.uuid4().hex] for number in itertools.count(1))

    async def answer(self, asked: ThinkRequest, request: Request) -> Response:
        """Answer one validated request."""
        if self._metrics.running >= self._settings.max_running:
            return _problem(429, "busy", {"Retry-After": "1"})
        self._metrics.running += 1
        try:
            return await self._answer(asked, request)
        except PromptTooLong:
            return _problem(422, "query_too_long")
        except AuditUnavailable:
            self._metrics.audit_failures += 1
            return _problem(503, "audit_unavailable")
        finally:
            self._metrics.running -= 1

    async def _answer(self, asked: ThinkRequest, request: Request) -> Response:
        began = self._clock()
        request_id = next(self._request_ids)
        ended = await self._generated(asked, request_id, request)
        judged = await self._judged(ended, asked)
        event = self._event(asked, request_id, ended, judged, self._clock() - began)
        audit_id = await self._audit.commit(event)
        self._metrics.finished(judged.outcome, self._clock() - began)
        self._metrics.judge_failures += judged.failed_judgements
        answer = ThinkAnswer(
            answer=judged.answer,
            safety_label=_three_class(judged.safety_label),
            safety_conf=judged.safety_confidence,
            escalated=judged.escalated,
            audit_id=audit_id,
        )
        status = _STATUS.get(judged.outcome, 200)
        if asked.stream and status == 200:
            return StreamingResponse(_events(answer), media_type="text/event-stream")
        return JSONResponse(answer.model_dump(), status_code=status)

    async def _generated(self, asked: ThinkRequest, request_id: str, request: Request) -> _Ended:
        """Generate until there is a text, the time is up or the client has gone."""
        wanted = GenerationRequest(
            request_id, asked.query, asked.language, asked.max_new_tokens, asked.temperature, asked.top_p
        )
        generation = asyncio.ensure_future(self._generator.generate(wanted))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait(
                {generation, gone},
                timeout=self._settings.generation_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not generation.done():
                partial = await _cancelled(generation)
                if gone.done():
                    return _Ended(partial, Outcome.ERROR, "client_gone")
                return _Ended(partial, Outcome.TIMED_OUT, "generation_timeout")
            if generation.cancelled():  # by the generator itself: nobody has gone
                return _Ended(None, Outcome.ERROR, "generator_error")
            return _Ended(generation.result())
        except PromptTooLong:
            raise
        except GenerationFailed as failed:
            return _Ended(None, Outcome.ERROR, failed.code)
        except Exception:  # noqa: BLE001 - a generator's boundary: its error may quote the text, so its type is all
            return _Ended(None, Outcome.ERROR, "generator_error")
        finally:
            gone.cancel()
            generation.cancel()

    async def _judged(self, ended: _Ended, asked: ThinkRequest) -> Judged:
        if ended.outcome is None and ended.raw is not None:
            if self._judge_in_thread:
                return await asyncio.to_thread(self._gate.judge, ended.raw, query=asked.query, language=asked.language)
            return self._gate.judge(ended.raw, query=asked.query, language=asked.language)
        outcome = ended.outcome or Outcome.ERROR
        return Judged(
            outcome=outcome,
            answer=fixed_message(outcome, asked.language),
            safety_label=SafetyLabel.REFUSE,
            safety_confidence=1.0,
            final_label=None,
            final_confidence=None,
            escalated=False,
            parts=None,
        )

    def _event(self, asked: ThinkRequest, request_id: str, ended: _Ended, judged: Judged, seconds: float) -> AuditEvent:
        return AuditEvent(
            request_id=request_id,
            user_id=asked.user_id,
            query=asked.query,
            answer=judged.answer,
            raw_output=ended.raw,
            parts=judged.parts,
            outcome=judged.outcome,
            safety_label=judged.safety_label,
            safety_confidence=judged.safety_confidence,
            final_label=judged.final_label,
            final_confidence=judged.final_confidence,
            latency_ms=seconds * 1e3,
            model_id=self._settings.model_id,
            model_sha=self._settings.model_sha,
            gate_version=self._gate.version,
            policy_digest=self._gate.policy_digest,
            error_code=ended.error_code,
        )


def create_app(
    settings: Settings,
    generator: Generator,
    gate: Gate,
    audit: Audit,
    *,
    judge_in_thread: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """Make the server's application.

    Args:
        settings: what the operator decided; `port` is the one that is really listened on.
        generator: writes the texts; closed when the application ends.
        gate: judges them.
        audit: commits a row before an answer is sent. It belongs to the caller, who closes it.
        judge_in_thread: False judges on the event loop, which is quicker for a gate without judges (half a
            millisecond for an ordinary text, 20 for a megabyte).
        clock: seconds that never go back.

    Returns:
        The application, for any ASGI server.
    """
    metrics = ServerMetrics()
    thinking = _Thinking(settings, generator, gate, audit, metrics, clock, judge_in_thread)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        gate.judge(_ORDINARY, query="", language="en")  # builds its tables, half a second that no client should wait
        yield
        await generator.close()

    app = FastAPI(
        title="/think",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        redirect_slashes=False,
        # spans and log events would carry exception texts
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_problem)

    @app.post("/think", response_model=ThinkAnswer, responses={code: {"model": Problem} for code in (422, 429, 503)})
    async def think(asked: ThinkRequest, request: Request) -> Response:
        """Ask a question."""
        return await thinking.answer(asked, request)

    @app.get("/health", include_in_schema=False)
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", include_in_schema=False)
    async def exposition() -> Response:
        return PlainTextResponse(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    if settings.ui:
        app.add_api_route(PAGE_PATH, page_response, methods=["GET"], include_in_schema=False)
    _protect(app, settings, metrics, clock)
    return app


def _protect(app: FastAPI, settings: Settings, metrics: ServerMetrics, clock: Callable[[], float]) -> None:
    """Put the layers around the application; the last that is added is the outermost."""
    without_token = frozenset({"/health", PAGE_PATH} if settings.ui else {"/health"})
    checks = [host_check(expected_hosts(settings.host, settings.port, settings.allowed_hosts))]
    if settings.requests_per_minute:
        checks.append(rate_check(RateLimiter(settings.requests_per_minute, clock)))
    checks += [origin_check(frozenset({PAGE_PATH})), token_check(settings.token, without_token)]
    app.add_middleware(BodyLimit, most_bytes=settings.max_body_bytes, seconds=settings.receive_seconds)
    app.add_middleware(Guard, checks=checks)
    app.add_middleware(AccessLog, metrics=metrics, clock=clock)


async def _invalid_request(request: Request, error: Exception) -> Response:
    """Name the fields of ours that are wrong; a name of the client's own making is not repeated."""
    places = [item["loc"] for item in error.errors()] if isinstance(error, RequestValidationError) else []
    named = {place[1] for place in places if len(place) > 1}
    return _problem(422, "invalid_request", fields=sorted(named & ThinkRequest.model_fields.keys()))


async def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _problem(status, _CODES.get(status, "bad_request"))


def _problem(
    status: int, code: str, headers: dict[str, str] | None = None, fields: list[str] | None = None
) -> Response:
    return JSONResponse({"error": code, **({"fields": fields} if fields else {})}, status, headers)


def _three_class(label: SafetyLabel) -> Literal["ALLOW", "ESCALATE", "REFUSE"]:
    if label in REFUSING:
        return "REFUSE"
    return "ESCALATE" if label is SafetyLabel.ESCALATION else "ALLOW"


async def _disconnected(request: Request) -> None:
    """Wait until the client has gone; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancelled(generation: asyncio.Future[str]) -> str | None:
    """Cancel a generation and give what there was of it."""
    generation.cancel()
    await asyncio.wait({generation})
    if generation.cancelled():
        return None
    error = generation.exception()
    if isinstance(error, GenerationStopped):
        return error.partial
    return generation.result() if error is None else None


def _events(answer: ThinkAnswer) -> Iterator[str]:
    """Server-sent events: the validated text in pieces, then what stands beside it."""
    for start in range(0, len(answer.answer), _STREAMED_CHARACTERS):
        piece = {"text": answer.answer[start : start + _STREAMED_CHARACTERS]}
        yield f"event: answer\ndata: {json.dumps(piece, ensure_ascii=False)}\n\n"
    yield f"event: done\ndata: {json.dumps(answer.model_dump(exclude={'answer'}))}\n\n"
