"""Takes one request through gate, generation, gate again and audit log.

No exception quotes what was sent or generated: clients and audit rows learn a constant code.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from so8t.data.thinking import SafetyLabel
from so8t.serve.audit.errors import AuditUnavailable
from so8t.serve.audit.event import AuditEvent
from so8t.serve.exchange import ThinkRequest, answer_of, events_of, problem
from so8t.serve.gate import Gate, Judged
from so8t.serve.generation import GenerationFailed, GenerationRequest, GenerationStopped, Generator, PromptTooLong
from so8t.serve.messages import fixed_message
from so8t.serve.metrics import ServerMetrics
from so8t.serve.outcome import Outcome
from so8t.serve.settings import Settings

__all__ = ["SECONDS_TO_JUDGE", "SECONDS_TO_STOP", "Answering", "Audit", "longest_seconds"]

SECONDS_TO_STOP = 10.0
"""How long a cancelled generation is waited for, so that what it had is hashed."""

SECONDS_TO_JUDGE = 60.0
"""What judging one text may take when the server stops. Nothing bounds a judge, and heads wait for the model."""

_STATUS = {Outcome.TIMED_OUT: 504, Outcome.ERROR: 500}
_TOO_LONG = "query_too_long"
_Judgement = TypeVar("_Judgement")


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


def longest_seconds(settings: Settings, commit_seconds: float) -> float:
    """Give the longest that a request takes until its answer: what a server that stops has to wait for.

    Args:
        settings: the server's; a body, and a generation, take as long as they allow.
        commit_seconds: the longest that a row of the audit log takes.

    Returns:
        Seconds, from the first byte of the request's body.

    Example:
        >>> longest_seconds(Settings(receive_seconds=10, generation_seconds=120), commit_seconds=10)
        270.0
    """
    judged = 2 * SECONDS_TO_JUDGE  # the question, and what was generated
    return settings.receive_seconds + judged + settings.generation_seconds + SECONDS_TO_STOP + commit_seconds


class Answering:
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
            return problem(429, "busy", {"Retry-After": "1"})
        self._metrics.running += 1
        try:
            return await self._answer(asked, request)
        except AuditUnavailable:
            self._metrics.audit_failures += 1
            return problem(503, "audit_unavailable")
        finally:
            self._metrics.running -= 1

    async def _answer(self, asked: ThinkRequest, request: Request) -> Response:
        began = self._clock()
        request_id = next(self._request_ids)
        ended, judged = await self._ended(asked, request_id, request)
        event = self._event(asked, request_id, ended, judged, self._clock() - began)
        audit_id = await self._audit.commit(event)
        self._metrics.finished(judged.outcome, self._clock() - began)
        self._metrics.judge_failures += judged.failed_judgements
        if ended.error_code == _TOO_LONG:
            return problem(422, _TOO_LONG)
        answer = answer_of(judged, audit_id)
        status = _STATUS.get(judged.outcome, 200)
        if asked.stream and status == 200:
            return StreamingResponse(events_of(answer), media_type="text/event-stream")
        return JSONResponse(answer.model_dump(exclude_none=True), status_code=status)

    async def _ended(self, asked: ThinkRequest, request_id: str, request: Request) -> tuple[_Ended, Judged]:
        """Judge the question; if it may be answered, generate, and judge what came."""
        declined = await self._at_the_gate(lambda: self._gate.judge_query(asked.query, asked.language))
        if declined is not None:
            return _Ended(None), declined
        ended = await self._generated(asked, request_id, request)
        raw = ended.raw
        if ended.outcome is None and raw is not None:
            return ended, await self._at_the_gate(
                lambda: self._gate.judge(raw, query=asked.query, language=asked.language)
            )
        outcome = ended.outcome or Outcome.ERROR
        return ended, Judged(outcome, fixed_message(outcome, asked.language), SafetyLabel.REFUSE, 1.0)

    async def _at_the_gate(self, judge: Callable[[], _Judgement]) -> _Judgement:
        return await asyncio.to_thread(judge) if self._judge_in_thread else judge()

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
            return _Ended(None, Outcome.ERROR, _TOO_LONG)
        except GenerationFailed as failed:
            return _Ended(None, Outcome.ERROR, failed.code)
        except Exception:  # noqa: BLE001 - a generator's boundary: its error may quote the text, so its type is all
            return _Ended(None, Outcome.ERROR, "generator_error")
        finally:
            gone.cancel()
            generation.cancel()

    def _event(self, asked: ThinkRequest, request_id: str, ended: _Ended, judged: Judged, seconds: float) -> AuditEvent:
        reading = judged.reading
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
            domain_label=reading.domain if reading else None,
            verifier_plausibility=reading.plausibility if reading else None,
            verifier_self_confidence=reading.self_confidence if reading else None,
            latency_ms=seconds * 1e3,
            model_id=self._settings.model_id,
            model_sha=self._settings.model_sha,
            gate_version=self._gate.version,
            policy_digest=self._gate.policy_digest,
            error_code=ended.error_code,
        )


async def _disconnected(request: Request) -> None:
    """Wait until the client has gone; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancelled(generation: asyncio.Future[str]) -> str | None:
    """Cancel a generation and give what there was of it; None, too, where it does not end soon."""
    generation.cancel()
    await asyncio.wait({generation}, timeout=SECONDS_TO_STOP)
    if not generation.done() or generation.cancelled():
        return None
    error = generation.exception()
    if isinstance(error, GenerationStopped):
        return error.partial
    return generation.result() if error is None else None
