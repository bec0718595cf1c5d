"""Generates on an OpenAI-compatible server elsewhere (vLLM and the like), with the gate in front of it.

`POST {url}/completions` with our own token ids as the prompt, so that the server's chat template, which may strip or
add tags, has no say. When a request is cancelled its connection is closed, which such servers take as the sign to stop.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import h11

from so8t.errors import ConfigError
from so8t.serve.generation import GenerationFailed, GenerationRequest, PromptTooLong
from so8t.serve.grammar import FORCED_OPENING
from so8t.serve.prompting import STOP_TOKENS, Prompting

__all__ = ["Address", "Upstream"]

_MOST_RESPONSE_BYTES = 4 * 2**20
_READ_BYTES = 65_536


@dataclass(frozen=True)
class Address:
    """Where the server is.

    Attributes:
        host: name or address.
        port: its port.
        tls: whether it speaks HTTPS.
        path: what stands before `/completions`.

    Example:
        >>> Address.of("https://gpu.example.org/v1/")
        Address(host='gpu.example.org', port=443, tls=True, path='/v1')
    """

    host: str
    port: int
    tls: bool
    path: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Take an URL apart.

        Raises:
            ConfigError: it is no http or https URL of a server, or holds a password, query or fragment.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain or not url.isprintable():
            raise ConfigError("--upstream is no URL of a server: write it like http://127.0.0.1:8001/v1")
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    @property
    def header(self) -> str:
        """Value of the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


@dataclass(eq=False)
class _Connection:
    """An open connection and the state of HTTP on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))


class Upstream:
    """A server elsewhere; implements `Generator`.

    Args:
        address: where it is.
        model: the name it has there.
        prompting: of the same model's tokenizer.
        token: sent as a bearer token, if there is one.
        positions: length of prompt and answer together that the model can see.
    """

    def __init__(
        self,
        address: Address,
        model: str,
        prompting: Prompting,
        token: bytes | None = None,
        positions: int = 2**31,
    ) -> None:
        self._address = address
        self._model = model
        self._prompting = prompting
        self._token = token
        self._positions = positions
        self._tls = ssl.create_default_context() if address.tls else None
        self._idle: deque[_Connection] = deque()

    async def generate(self, request: GenerationRequest) -> str:
        """Ask for a text; see `Generator.generate`."""
        prompt = self._prompting.prompt(request.query, request.language)
        if len(prompt) + request.max_new_tokens > self._positions:
            raise PromptTooLong
        wanted = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "n": 1,
            "stream": False,
            "echo": False,
            # vLLM's and SGLang's words; without them the tags of a tokenizer that has them as tokens would vanish
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "stop_token_ids": sorted(self._prompting.stop_ids),
        }
        try:
            answer = await self._post(json.dumps(wanted).encode())
        except (OSError, h11.ProtocolError, EOFError):
            raise GenerationFailed("upstream_unreachable") from None
        return FORCED_OPENING + _without_stop_token(_text_of(answer))

    async def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().writer.close()

    async def _post(self, body: bytes) -> bytes:
        reused = bool(self._idle)
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            return await self._exchange(connection, body)
        except (OSError, h11.RemoteProtocolError, EOFError):
            if not reused:
                raise
        # the server had closed the idle connection meanwhile; every other one may be as dead
        await self.close()
        return await self._exchange(await self._connect(), body)

    async def _connect(self) -> _Connection:
        address = self._address
        return _Connection(*await asyncio.open_connection(address.host, address.port, ssl=self._tls))

    async def _exchange(self, connection: _Connection, body: bytes) -> bytes:
        """Send a request and read its response; keeps the connection if it can be used again, else closes it."""
        http, keep = connection.http, False
        try:
            head = h11.Request(method="POST", target=f"{self._address.path}/completions", headers=self._headers(body))
            parts = [http.send(head), http.send(h11.Data(data=body)), http.send(h11.EndOfMessage())]
            connection.writer.write(b"".join(part for part in parts if part))
            await connection.writer.drain()
            answer = await _response(connection)
            keep = http.our_state is h11.DONE and http.their_state is h11.DONE
            return answer
        finally:
            if keep:
                http.start_next_cycle()
                self._idle.append(connection)
            else:
                connection.writer.close()

    def _headers(self, body: bytes) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"Host", self._address.header.encode()),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body)).encode()),
        ]
        return headers if self._token is None else [*headers, (b"Authorization", b"Bearer " + self._token)]


async def _response(connection: _Connection) -> bytes:
    body = bytearray()
    while True:
        event = connection.http.next_event()
        if event is h11.NEED_DATA:
            data = await connection.reader.read(_READ_BYTES)
            if not data and connection.http.their_state is h11.SEND_RESPONSE:
                raise EOFError
            connection.http.receive_data(data)
        elif isinstance(event, h11.Response):
            if event.status_code != 200:
                raise GenerationFailed(f"upstream_status_{event.status_code}")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MOST_RESPONSE_BYTES:
                raise GenerationFailed("upstream_response_too_large")
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise EOFError


def _text_of(answer: bytes) -> str:
    try:
        choices: Any = json.loads(answer)["choices"]
        text = choices[0]["text"] if len(choices) == 1 else None
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise GenerationFailed("upstream_response_malformed")
    return text


def _without_stop_token(text: str) -> str:
    """Some servers give the stop token with the text."""
    return next((text.removesuffix(token) for token in STOP_TOKENS if text.endswith(token)), text)
