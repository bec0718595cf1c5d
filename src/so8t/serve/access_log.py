"""Logs without texts: one line per request, and exceptions by type and place only.

An exception's message may quote what was being worked on, and so may the source line beside a traceback's frame. So
nothing that goes through these handlers prints either.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import PurePath
from types import TracebackType
from typing import TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from so8t.serve.metrics import ServerMetrics
from so8t.serve.security import Refusal, refuse

__all__ = ["AccessLog", "TextlessFormatter", "log_to", "one_line"]

_LOGGER = logging.getLogger("so8t.serve")
_LONGEST_PATH = 100
_INTERNAL = Refusal(500, "internal_error", ((b"connection", b"close"),))
_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class AccessLog:
    """The outermost layer: logs and counts each request, and lets no exception through.

    Args:
        app: everything else.
        metrics: counts the responses.
        clock: seconds that never go back.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = self._clock(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001 - the server's boundary: whatever it is, a client learns a constant
            _LOGGER.error("%s at %s", type(error).__name__, places(error.__traceback__))
            if status == 0:
                await refuse(noted, _INTERNAL)
        finally:
            self._metrics.responded(status or 499)  # 499: the client had gone before there was an answer
            milliseconds = (self._clock() - began) * 1e3
            path = one_line(scope["path"])[:_LONGEST_PATH]
            _LOGGER.info("%s %s %d %.1f ms", one_line(scope["method"])[:16], path, status or 499, milliseconds)


class TextlessFormatter(logging.Formatter):
    """Formats a record as one line; of an exception it names type and places."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, control characters escaped."""
        record.exc_text = None  # another handler may have left a traceback there
        message = f"{self.formatTime(record)} {record.levelname} {record.name} {record.getMessage()}"
        if record.exc_info:
            message += " " + self.formatException(record.exc_info)
        return one_line(message)

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - logging's name
        """Name an exception's type and the places it came through."""
        return "" if ei[0] is None else f"{ei[0].__name__} at {places(ei[2])}"


def log_to(stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Send everything that is logged in this process to a stream, as single lines without texts.

    Args:
        stream: where to.
        level: of the root logger.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextlessFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    # a library's warning or debug line may quote a value; these say how things went, ours say what
    for name in ("py.warnings", "sqlalchemy", "transformers", "torch", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)


def places(traceback: TracebackType | None) -> str:
    """Give a traceback's files and lines, without their text.

    Example:
        >>> places(None)
        'unknown place'
    """
    found = []
    while traceback is not None:
        found.append(f"{PurePath(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return " > ".join(found[-4:]) or "unknown place"


def one_line(text: str) -> str:
    r"""Write control, format and separator characters as escapes: a log line stays one and steers no terminal.

    Example:
        >>> print(one_line("GET /a\r\n\x1b[31m"))
        GET /a\r\n\x1b[31m
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
