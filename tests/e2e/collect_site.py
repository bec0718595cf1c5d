"""A web site with everything a collector meets: rules in many shapes, walls, traps, bodies without end.

One server answers for every name; `site.answers[host, path]` says what. Names end in `.test` and are resolved by the
program that collects (see `collect_program.py`), so nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PARAGRAPH = "これは規則を守って集められることになっている文章です。 A sentence that says so in English, too. "
DROPPED = "この文は保存されてはならない"
"""Stands in every page that must not be kept."""


@dataclass(frozen=True)
class Answer:
    """What the server says.

    Attributes:
        body: bytes; or an iterable of them, sent one by one.
        status: HTTP status.
        headers: beside `Content-Type` and `Content-Length`.
        kind: the `Content-Type`.
        length: what `Content-Length` claims; that of the body when None; left out for an iterable.
        wait: seconds before anything is sent.
    """

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "text/html; charset=utf-8"
    length: int | None = None
    wait: float = 0.0


@dataclass(frozen=True)
class Asked:
    """One request that came in."""

    host: str
    path: str
    agent: str
    cookie: str | None
    at: float


class Site:
    """The server. Use as a context manager.

    Attributes:
        answers: by host and path, query included.
        asked: every request, in order.
        sent: bytes of bodies that were sent.
    """

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.asked: list[Asked] = []
        self.sent = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    def paths(self, host: str) -> list[str]:
        """What was asked of a host, in order."""
        return [asked.path for asked in self.asked if asked.host == host]

    def pages(self, host: str) -> list[str]:
        """The same without a site's own files."""
        return [path for path in self.paths(host) if path not in ("/robots.txt", "/.well-known/tdmrep.json")]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host = (self.headers["Host"] or "").rpartition(":")[0]
                agent, cookie = self.headers.get("User-Agent", ""), self.headers.get("Cookie")
                site.asked.append(Asked(host, self.path, agent, cookie, time.monotonic()))
                with contextlib.suppress(OSError):
                    site._send(self, site.answers.get((host, self.path), Answer(b"nothing here", 404)))

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        time.sleep(answer.wait)
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.kind)
        handler.send_header("Set-Cookie", "visitor=1")
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        whole = isinstance(answer.body, bytes)
        length = len(answer.body) if isinstance(answer.body, bytes) and answer.length is None else answer.length
        if length is not None:
            handler.send_header("Content-Length", str(length))
        if not whole or length != len(answer.body):
            handler.send_header("Connection", "close")
            handler.close_connection = True
        handler.end_headers()
        for piece in [answer.body] if isinstance(answer.body, bytes) else answer.body:
            handler.wfile.write(piece)
            self.sent += len(piece)


def page(title: str, *links: str, head: str = "", text: str = PARAGRAPH) -> bytes:
    """A page with text of its own and links."""
    anchors = "".join(f'<a href="{link}">{link}</a>\n' for link in links)
    return (
        f'<!DOCTYPE html><html lang="ja"><head><title>{title}</title>{head}</head>'
        f"<body><h1>{title}</h1><p>{text}{title}</p>{anchors}</body></html>"
    ).encode()


TERMS = page("Terms", text="You may use this for training models.")


def robots(*lines: str) -> Answer:
    """A robots.txt file."""
    return Answer("\n".join(lines).encode(), kind="text/plain")


def redirect(target: str, status: int = 302) -> Answer:
    return Answer(b"", status, {"Location": target})


def without_end(piece: bytes = b"x" * 65536) -> Iterator[bytes]:
    """A body of ten gigabytes."""
    for _ in range(10 * 1024**3 // len(piece)):
        yield piece


def drop_by_drop(body: bytes, seconds: float) -> Iterator[bytes]:
    """A body that comes one byte at a time."""
    for byte in body:
        time.sleep(seconds)
        yield bytes([byte])


def gzip_bomb(megabytes: int) -> Answer:
    """A small body that unpacks to a large one."""
    return Answer(gzip.compress(b"\0" * megabytes * 1024 * 1024), headers={"Content-Encoding": "gzip"})


def registry(site: Site, sources: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A source registry whose terms all stand on one host; each source names its `host`."""
    return {
        "contact": "https://example.org/crawler",
        "sources": [
            {
                "id": source["host"].removesuffix(".test"),
                "base_urls": [site.url(source["host"], source.get("start", "/"))],
                "tier": source.get("tier", 1),
                "terms_url": site.url("terms.test", "/terms"),
                "licence": "CC-BY-4.0",
                "purpose": "testing",
                "allowed_paths": ["/"],
                "reviewed_by": "data steward",
                "reviewed_at": "2026-11-01",
                "seconds_between_requests": 0.0,
                **{key: value for key, value in source.items() if key not in ("host", "start", "tier")},
            }
            for source in sources
        ],
    }
