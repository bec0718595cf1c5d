"""The server's application: its routes, and the layers around them. No validation error quotes what was sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from so8t.data.assistant_text import PARTS
from so8t.serve.access_log import AccessLog
from so8t.serve.answering import Answering, Audit
from so8t.serve.exchange import Problem, ThinkAnswer, ThinkRequest, problem
from so8t.serve.gate import Gate
from so8t.serve.generation import Generator
from so8t.serve.metrics import ServerMetrics
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

__all__ = ["create_app"]

_ORDINARY = "".join(f"<{part}>A text of {part}.</{part}>" for part in PARTS)
_CODES = {404: "not_found", 405: "method_not_allowed"}


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
        judge_in_thread: False judges on the event loop, which is quicker where no judge computes for long: a thread
            costs more than the classifier does for an ordinary text. Heads belong in a thread.
        clock: seconds that never go back.

    Returns:
        The application, for any ASGI server.
    """
    metrics = ServerMetrics()
    answering = Answering(settings, generator, gate, audit, metrics, clock, judge_in_thread)

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

    @app.post(
        "/think",
        response_model=ThinkAnswer,
        response_model_exclude_none=True,
        responses={code: {"model": Problem} for code in (422, 429, 503)},
    )
    async def think(asked: ThinkRequest, request: Request) -> Response:
        """Ask a question."""
        return await answering.answer(asked, request)

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
    return problem(422, "invalid_request", fields=sorted(named & ThinkRequest.model_fields.keys()))


async def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return problem(status, _CODES.get(status, "bad_request"))
