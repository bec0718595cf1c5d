"""Runs the application on a socket until a signal asks it to stop, then lets it finish what runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import HANDLED_SIGNALS

from so8t.errors import ConfigError, So8tError
from so8t.serve.access_log import places

__all__ = ["listening_socket", "make_server", "run_until_signal"]

_LOGGER = logging.getLogger("so8t.serve")
_BACKLOG = 2048
_SWITCH_SECONDS = 0.0005  # a tenth of Python's: a thread that computes otherwise holds an answer up for 5 ms at a time


def listening_socket(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Args:
        host: IP address, or localhost for 127.0.0.1.
        port: 0 takes a free one.

    Raises:
        ConfigError: it cannot be listened on.
    """
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is spelt out; with it an answer is 40 ms late
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere the option would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or "no such address"
        raise ConfigError(
            f"{host} port {port} cannot be listened on ({reason}): give another --port or --host"
        ) from None
    return listener


def make_server(app: ASGIApp, *, header_seconds: float, drain_seconds: float) -> uvicorn.Server:
    """Make a server that has not started; `should_exit = True` stops it as a signal does.

    Args:
        app: the application.
        header_seconds: time in which a client must have sent a request's headers.
        drain_seconds: how long what runs may take after a signal.
    """
    config = uvicorn.Config(
        app,
        http=_protocol(header_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )
    return _Server(config)


def run_until_signal(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until SIGINT, SIGTERM or SIGBREAK comes, then finish what runs and return.

    Args:
        server: of `make_server`.
        listener: a listening socket; it is closed.

    Raises:
        So8tError: the application did not start.
    """
    with _textless_hooks(), _short_pauses():
        asyncio.run(_serve(server, listener))
    if not server.started:
        raise So8tError("the server could not start: see the log above")


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    asyncio.get_running_loop().set_exception_handler(_loop_error)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn raises a captured signal again when it has stopped, so that the process dies of it; this one returns."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while serving."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _protocol(header_seconds: float) -> type[H11Protocol]:
    """uvicorn's HTTP, which waits for headers for ever, with an end to its patience."""

    class TimedHeaders(H11Protocol):
        _headers_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._headers_due = self.loop.call_later(header_seconds, transport.close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            waiting = self.conn.their_state is h11.IDLE
            if not waiting and self._headers_due is not None:
                self._headers_due.cancel()
                self._headers_due = None
            elif waiting and self._headers_due is None:
                self._headers_due = self.loop.call_later(header_seconds, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._headers_due is not None:
                self._headers_due.cancel()

    return TimedHeaders


@contextlib.contextmanager
def _short_pauses() -> Iterator[None]:
    """Keep the event loop from waiting for other threads and for the garbage of a loaded model."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)


def _loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio would print the task, and with it the exception's text."""
    error = context.get("exception")
    _LOGGER.error("event loop: %s", _named(error) if error is not None else "a task was lost")


@contextlib.contextmanager
def _textless_hooks() -> Iterator[None]:
    """Keep exceptions that nobody catches from being printed with their texts."""
    before = sys.excepthook, threading.excepthook, sys.unraisablehook

    def uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        _LOGGER.critical("uncaught: %s", _named(error))

    sys.excepthook = uncaught
    threading.excepthook = lambda told: _LOGGER.error("thread: %s", told.exc_type.__name__)
    sys.unraisablehook = lambda told: _LOGGER.error("unraisable: %s", told.exc_type.__name__)
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = before


def _named(error: BaseException) -> str:
    return f"{type(error).__name__} at {places(error.__traceback__)}"
