"""Many at once: nobody gets another's answer, nobody is forgotten, and the audit log has a row for each (L21)."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from so8t.serve.generation import GenerationRequest
from so8t.serve.settings import Settings
from unit.so8t.serve.running import running, well_formed


async def ask(port: int, number: int) -> tuple[int, dict[str, object]]:
    """One request on a connection of its own."""
    body = json.dumps({"user_id": f"u{number}", "query": f"question {number}", "language": "en"}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /think HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    response = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    status, content = int(response.split(b" ", 2)[1]), response.partition(b"\r\n\r\n")[2]
    return status, json.loads(content)


async def ask_all(port: int, count: int) -> list[tuple[int, dict[str, object]]]:
    return await asyncio.gather(*(ask(port, number) for number in range(count)))


@pytest.mark.parametrize("bound", [1000, 100])
def test_l21_h6_of_a_thousand_at_once_none_is_swapped_and_none_lost(tmp_path: Path, bound: int) -> None:
    late = random.Random(7)

    async def reply(request: GenerationRequest) -> str:
        await asyncio.sleep(late.uniform(0.05, 0.3))
        return well_formed(f"the answer to {request.query}")

    settings = Settings(max_running=bound, requests_per_minute=0)
    with running(tmp_path, reply, settings=settings) as server:
        answers = asyncio.run(ask_all(server.port, 1000))
        rows = {row["audit_id"]: row for row in server.rows()}
        assert server.request("GET", "/health").status == 200
    served = {number: body for number, (status, body) in enumerate(answers) if status == 200}
    refused = [body for status, body in answers if status == 429]
    assert len(served) + len(refused) == 1000
    assert all(body["answer"] == f"the answer to question {number}" for number, body in served.items())
    assert all(body == {"error": "busy"} for body in refused)
    assert rows.keys() == {body["audit_id"] for body in served.values()}
    assert len(rows) == len(served) >= bound
    assert (bound < 1000) == bool(refused)
