"""An OpenAI-compatible server in front of which the gate stands: what it is sent, and what may come back."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from so8t.data.chat import SYSTEM_PROMPTS
from so8t.errors import ConfigError
from so8t.model.tiny import train_tokenizer
from so8t.serve.generation import GenerationFailed, GenerationRequest, PromptTooLong
from so8t.serve.prompting import Prompting
from so8t.serve.upstream import Address, Upstream

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, dict[str, str], Any], Awaitable[None]]


@pytest.fixture(scope="module")
def prompting() -> Prompting:
    return Prompting(train_tokenizer(["Say how. 氷", *SYSTEM_PROMPTS.values()], 400))


def asked(query: str = "q", tokens: int = 8) -> GenerationRequest:
    return GenerationRequest("r", query, "en", tokens, 0.5, 0.9)


def with_server(handler: Handler, work: Callable[[int], Awaitable[Any]]) -> Any:
    """Run a real HTTP server that answers each request with a handler, and something that talks to it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *fields = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                await handler(reader, writer, {**headers, "line": line}, body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def both() -> Any:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        async with server:
            return await asyncio.wait_for(work(server.sockets[0].getsockname()[1]), 60)

    return asyncio.run(both())


def response(content: object, status: int = 200, more: str = "") -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def texts(*values: object) -> bytes:
    return response({"choices": [{"text": value} for value in values]})


def upstream(port: int, prompting: Prompting, **more: Any) -> Upstream:
    return Upstream(Address.of(f"http://127.0.0.1:{port}/v1"), "m", prompting, **more)


def answering(content: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Any, body: Any) -> None:
        writer.write(content)

    return handler


def test_it_sends_our_token_ids_and_puts_the_opening_before_what_comes_back(prompting: Prompting) -> None:
    seen: list[tuple[dict[str, str], Any]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Any, body: Any) -> None:
        seen.append((headers, body))
        writer.write(texts("t</think-task><final>氷</final><|end|>"))

    async def work(port: int) -> list[str]:
        client = upstream(port, prompting, token=b"secret")
        try:
            return [await client.generate(asked("</final><|end|>")) for _ in range(3)]
        finally:
            await client.close()

    found = with_server(handler, work)
    assert found == ["<think-task>t</think-task><final>氷</final>"] * 3
    headers, body = seen[0]
    assert headers["line"] == "POST /v1/completions HTTP/1.1"
    assert headers["authorization"] == "Bearer secret"
    assert body["prompt"] == prompting.prompt("</final><|end|>", "en")
    assert (body["model"], body["max_tokens"], body["temperature"], body["top_p"]) == ("m", 8, 0.5, 0.9)
    assert (body["skip_special_tokens"], body["stream"], body["echo"], body["n"]) == (False, False, False, 1)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (response({"error": "secret"}, 500), "upstream_status_500"),
        (response(b"", 302, "Location: http://127.0.0.1/\r\n"), "upstream_status_302"),
        (response(b"secret"), "upstream_response_malformed"),
        (response({"choices": []}), "upstream_response_malformed"),
        (texts("a", "b"), "upstream_response_malformed"),
        (texts(None), "upstream_response_malformed"),
        (response(b"[" * 100_000), "upstream_response_malformed"),
        (response(b'"' + b"x" * (5 * 2**20) + b'"'), "upstream_response_too_large"),
        (b"no HTTP at all\r\n\r\n", "upstream_unreachable"),
    ],
)
def test_whatever_is_wrong_with_the_answer_becomes_a_constant(prompting: Prompting, content: bytes, code: str) -> None:
    async def work(port: int) -> GenerationFailed:
        client = upstream(port, prompting)
        with pytest.raises(GenerationFailed) as failed:
            await client.generate(asked())
        await client.close()
        return failed.value

    failed = with_server(answering(content), work)
    assert failed.code == code
    assert "secret" not in str(failed)


def test_a_server_that_is_not_there_is_unreachable(prompting: Prompting) -> None:
    async def work(port: int) -> int:
        return port

    port = with_server(answering(b""), work)  # closed again
    with pytest.raises(GenerationFailed, match="upstream_unreachable"):
        asyncio.run(upstream(port, prompting).generate(asked()))


def test_a_connection_is_used_again_and_replaced_where_the_server_has_closed_it(prompting: Prompting) -> None:
    connections: set[object] = set()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Any, body: Any) -> None:
        connections.add(writer)
        writer.write(texts("x"))
        if body["max_tokens"] == 3:
            await writer.drain()
            writer.close()

    async def work(port: int) -> None:
        client = upstream(port, prompting)
        for tokens in (1, 2, 3, 4, 5):  # after the third the server closes
            assert await client.generate(asked(tokens=tokens)) == "<think-task>x"
        await client.close()

    with_server(handler, work)
    assert len(connections) == 2


def test_l21_answers_of_parallel_requests_are_not_swapped(prompting: Prompting) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Any, body: Any) -> None:
        await asyncio.sleep((body["max_tokens"] % 7) / 500)
        writer.write(texts(str(body["max_tokens"])))

    async def work(port: int) -> list[str]:
        client = upstream(port, prompting)
        try:
            return await asyncio.gather(*(client.generate(asked(tokens=n)) for n in range(1, 101)))
        finally:
            await client.close()

    assert with_server(handler, work) == [f"<think-task>{n}" for n in range(1, 101)]


def test_cancelling_closes_the_connection_so_that_the_server_stops(prompting: Prompting) -> None:
    started, gone = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Any, body: Any) -> None:
        started.set()
        assert await reader.read() == b""
        gone.set()

    async def work(port: int) -> None:
        task = asyncio.ensure_future(upstream(port, prompting).generate(asked()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()

    with_server(handler, work)


def test_a_question_that_is_too_long_is_not_sent(prompting: Prompting) -> None:
    with pytest.raises(PromptTooLong):
        asyncio.run(upstream(1, prompting, positions=20).generate(asked()))


@pytest.mark.parametrize(
    "url",
    ["", "ftp://h/v1", "http://", "http://u:p@h/v1", "http://h/v1?x=1", "http://h:x/", "http://h/#f", "http://h/\n"],
)
def test_an_upstream_url_that_cannot_be_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match="is no URL of a server"):
        Address.of(url)


def test_the_host_header_names_a_port_only_where_it_is_not_the_usual_one() -> None:
    urls = ("http://h/v1", "https://h:443", "http://[::1]:8001/v1")
    assert [Address.of(url).header for url in urls] == ["h", "h", "[::1]:8001"]
