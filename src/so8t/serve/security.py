"""Decides who may ask, before anything of the request is read: pure ASGI, in front of every route.

What a check sees is the ASGI scope. Paths are compared as `scope["path"]`, which is also what routes are chosen by;
`request.url.path` is put together from the Host header and must never decide anything (CVE-2026-48710).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "BodyLimit",
    "Check",
    "Guard",
    "RateLimiter",
    "Refusal",
    "expected_hosts",
    "host_check",
    "origin_check",
    "rate_check",
    "refuse",
    "token_check",
]

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Refusal(NamedTuple):
    """Why a request goes no further.

    Attributes:
        status: HTTP status.
        code: constant for the body, `{"error": code}`.
        headers: further headers.
    """

    status: int
    code: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


Check = Callable[[Scope], Refusal | None]
"""Looks at a request's scope; None lets it pass."""

_CLOSE = ((b"connection", b"close"),)
_DRAINED_BYTES = 16 * 2**20
_DRAIN_SECONDS = 2.0
_TOO_LARGE = Refusal(413, "body_too_large", _CLOSE)
_TOO_SLOW = Refusal(408, "body_too_slow", _CLOSE)
_ENCODED = Refusal(415, "content_encoding_not_supported", _CLOSE)


class Guard:
    """Lets a request pass when every check does, and puts the headers that protect a browser on every response.

    Args:
        app: what is protected.
        checks: asked in order; the first refusal is the answer.
    """

    def __init__(self, app: ASGIApp, checks: Sequence[Check]) -> None:
        self._app = app
        self._checks = tuple(checks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; there are no web sockets here."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                own_policy = any(name.lower() == _POLICY[0] for name, _ in headers)
                message = {**message, "headers": [*headers, *_HEADERS, *([] if own_policy else [_POLICY])]}
            await send(message)

        for check in self._checks:
            refusal = check(scope)
            if refusal is not None:
                await refuse(guarded, refusal)
                return
        await self._app(scope, receive, guarded)


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answer with a refusal; the body is a constant."""
    body = json.dumps({"error": refusal.code}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *refusal.headers,
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def expected_hosts(host: str, port: int, more: Iterable[str] = ()) -> frozenset[str]:
    """Give the values of the Host header that mean this server.

    Args:
        host: address that is listened on.
        port: its port.
        more: further names, exactly as clients send them.

    Example:
        >>> sorted(expected_hosts("127.0.0.1", 8000))
        ['127.0.0.1:8000', '[::1]:8000', 'localhost:8000']
    """
    own = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    with_port = {f"{name}:{port}" for name in own}
    return frozenset(with_port | (own if port == 80 else set()) | {name.lower() for name in more})


def host_check(allowed: frozenset[str]) -> Check:
    """Make the check against DNS rebinding: exactly one Host header, with exactly an expected value."""
    names = {name.encode() for name in allowed}

    def check(scope: Scope) -> Refusal | None:
        hosts = _values(scope, b"host")
        return None if len(hosts) == 1 and hosts[0].lower() in names else Refusal(400, "bad_host", _CLOSE)

    return check


def origin_check(open_gets: frozenset[str]) -> Check:
    """Make the check against other sites' pages in a browser.

    A browser names the page's origin in every POST and in whatever a script sends elsewhere; programs name none.

    Args:
        open_gets: paths whose GET a link on another page may lead to.
    """

    def check(scope: Scope) -> Refusal | None:
        if scope["method"] in ("GET", "HEAD") and scope["path"] in open_gets:
            return None
        origins, hosts = _values(scope, b"origin"), _values(scope, b"host")
        same = {scheme + b"://" + host.lower() for scheme in (b"http", b"https") for host in hosts}
        sites = _values(scope, b"sec-fetch-site")
        if len(origins) > 1 or any(origin.lower() not in same for origin in origins):
            return Refusal(403, "cross_origin")
        if any(site not in (b"same-origin", b"none") for site in sites):
            return Refusal(403, "cross_origin")
        return None

    return check


def token_check(token: bytes | None, open_gets: frozenset[str]) -> Check:
    """Make the check of the bearer token, in constant time.

    Args:
        token: what has to be shown; None asks for nothing.
        open_gets: paths whose GET needs none.
    """
    wanted = None if token is None else hashlib.sha256(token).digest()
    unauthorized = Refusal(401, "unauthorized", ((b"www-authenticate", b"Bearer"),))

    def check(scope: Scope) -> Refusal | None:
        if wanted is None or (scope["method"] in ("GET", "HEAD") and scope["path"] in open_gets):
            return None
        shown = _values(scope, b"authorization")
        scheme, _, credentials = (shown[0] if len(shown) == 1 else b"").partition(b" ")
        # digests are compared: of the token not even the length can be told from the time it takes
        matches = hmac.compare_digest(hashlib.sha256(credentials.strip()).digest(), wanted)
        return None if matches and scheme.lower() == b"bearer" else unauthorized

    return check


class RateLimiter:
    """A bucket of requests for each client, refilled steadily.

    Args:
        per_minute: requests that a client may make in a minute, in one burst at most half of it.
        clock: seconds that never go back.
        most_clients: buckets that are kept; the one that was used longest ago goes first.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float], most_clients: int = 10_000) -> None:
        self._per_second = per_minute / 60
        self._full = max(1.0, per_minute / 2)
        self._clock = clock
        self._most_clients = most_clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, client: str) -> float:
        """Take one request from a client's bucket.

        Returns:
            0 if there was one, else the seconds until there will be.
        """
        now = self._clock()
        content, filled_at = self._buckets.pop(client, (self._full, now))
        content = min(self._full, content + (now - filled_at) * self._per_second)
        allowed = content >= 1
        self._buckets[client] = (content - 1 if allowed else content, now)
        if len(self._buckets) > self._most_clients:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - content) / self._per_second


def rate_check(limiter: RateLimiter) -> Check:
    """Make the check of a client's rate. Forwarded-for headers are not believed: anybody can write them."""

    def check(scope: Scope) -> Refusal | None:
        client = scope.get("client")
        seconds = limiter.seconds_to_wait(_client_key(client[0] if client else ""))
        if seconds == 0:
            return None
        return Refusal(429, "too_many_requests", ((b"retry-after", str(int(seconds) + 1).encode()),))

    return check


class BodyLimit:
    """Reads a request's body before anything is done with it, up to a size and within a time.

    Args:
        app: is given the whole body at once.
        most_bytes: beyond, 413.
        seconds: later, 408.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, seconds: float) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._read(scope, receive)
        if isinstance(body, Refusal):
            if body is _TOO_LARGE:
                await self._drain(receive)
            await refuse(send, body)
        elif body is not None:
            await self._app(scope, _first(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | Refusal | None:
        """The body, why there is none, or None where the client has gone."""
        if _values(scope, b"content-encoding"):
            return _ENCODED
        announced = _values(scope, b"content-length")
        if announced and announced[0].isdigit() and int(announced[0][:20]) > self._most_bytes:
            return _TOO_LARGE
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > self._most_bytes:
                        return _TOO_LARGE
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            return _TOO_SLOW

    async def _drain(self, receive: Receive) -> None:
        """Throw away what is still coming, within bounds: a client that writes does not read why it is refused."""
        left = _DRAINED_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(self._seconds, _DRAIN_SECONDS)):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return


def _first(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, and then what comes from the client."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _client_key(address: str) -> str:
    """One client is one IPv4 address, or the /64 that an IPv6 client can move about in."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
