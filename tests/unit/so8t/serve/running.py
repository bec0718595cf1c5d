"""A real server on a free port, with a generator that says what a test tells it to, and a search for leaked texts."""

import asyncio
import base64
import http.client
import json
import threading
import unicodedata
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from so8t.serve.answering import longest_seconds
from so8t.serve.app import create_app
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.audit.reader import last_rows, opened
from so8t.serve.gate import Gate, GatePolicy
from so8t.serve.generation import GenerationRequest
from so8t.serve.judging import SafetyJudge
from so8t.serve.listening import listening_socket, make_server, run_until_signal
from so8t.serve.settings import Settings

KEY = AuditKey.of(bytes(range(32)))
CANARY = "Ｚebra-カナリア-7f3a9c51"
TOKEN = b"0123456789abcdef0123456789abcdef0123456789a"

Reply = Callable[[GenerationRequest], Awaitable[str]]


def well_formed(final: str, thought: str = f"hidden {CANARY} thought") -> str:
    """A text of four parts, as a trained model writes it."""
    return (
        f"<think-task>{thought} 1</think-task><think-safety>{thought} 2</think-safety>"
        f"<think-policy>{thought} 3</think-policy><final>{final}</final>"
    )


class Scripted:
    """A generator that says what it is told to."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.requests: list[GenerationRequest] = []
        self.closed = False

    async def generate(self, request: GenerationRequest) -> str:
        self.requests.append(request)
        return await self._reply(request)

    async def close(self) -> None:
        self.closed = True


def says(text: str) -> Reply:
    """Always the same."""

    async def reply(request: GenerationRequest) -> str:
        return text

    return reply


async def never(request: GenerationRequest) -> str:
    """Until it is cancelled."""
    await asyncio.Event().wait()
    raise AssertionError


@dataclass
class Answered:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def everything(self) -> bytes:
        return repr(self.headers).encode() + self.body


@dataclass
class Server:
    """A running server.

    Attributes:
        port: where it listens.
        generator: writes its texts.
        database: its audit log.
    """

    port: int
    generator: Scripted
    database: Path
    extra: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in {**self.extra, **headers}.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answered(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def think(self, query: str = "How do I handle ice?", **fields: object) -> Answered:
        asked = {"user_id": "u1", "query": query, "language": "en", **fields}
        return self.request("POST", "/think", json.dumps(asked).encode(), Content_Type="application/json")

    def rows(self) -> Sequence[Any]:
        with opened(self.database) as connection:
            return last_rows(connection, 10_000)


@contextmanager
def running(
    folder: Path,
    reply: Reply,
    *,
    settings: Settings | None = None,
    judges: Sequence[SafetyJudge] = (),
    policy: GatePolicy | None = None,
    audit_seconds: float = 5.0,
    capacity: int = 2048,
) -> Iterator[Server]:
    """Run a server in a thread of this process, with the real gate and the real audit log."""
    listener = listening_socket("127.0.0.1", 0)
    settings = settings or Settings(requests_per_minute=0)
    port = listener.getsockname()[1]
    audit = AuditLog(folder / "audit.db", KEY, wait_seconds=audit_seconds, capacity=capacity)
    generator = Scripted(reply)
    gate = Gate(judges, policy or GatePolicy(allow_unjudged=True))
    app = create_app(replace(settings, port=port), generator, gate, audit, judge_in_thread=bool(judges))
    drain_seconds = longest_seconds(settings, audit.commit_seconds)
    server = make_server(app, header_seconds=settings.receive_seconds, drain_seconds=drain_seconds)
    thread = threading.Thread(target=run_until_signal, args=(server, listener))
    thread.start()
    try:
        yield Server(port, generator, folder / "audit.db")
    finally:
        server.should_exit = True
        thread.join(60)
        audit.close()
    assert not thread.is_alive()
    assert generator.closed


def forms(text: str) -> dict[str, bytes]:
    """What a leaked text could look like in bytes."""
    raw = text.encode()
    plain = unicodedata.normalize("NFKC", text)
    found = {
        "raw": raw,
        "reversed": text[::-1].encode(),
        "NFKC": plain.encode(),
        "casefolded": plain.casefold().encode(),
        "UTF-16": text.encode("utf-16-le"),
        "JSON": json.dumps(text)[1:-1].encode(),
        "repr": ascii(text)[1:-1].encode(),
    }
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        found[f"base64 at {shift}"] = encoded[4:-4]
    return found


def leaks(content: bytes, text: str = CANARY) -> list[str]:
    """The forms of a text that some bytes hold."""
    return [name for name, form in forms(text).items() if form in content]
