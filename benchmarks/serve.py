"""What /think costs when writing the text costs nothing: answers per second, latency, and a thousand at once.

The server runs in a process of its own with the real gate and the real audit log (SQLite, synced at every commit); the
generator answers at once. It runs twice: without a judge, and with the classifier that `so8t serve` asks by default
about the question, about thinking and answer together, and about the answer alone. The clients are in this process and
share the machine's cores with it. Figures, never a test.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

RESULTS = Path(__file__).parent / "results"

SERVER = """
import sys
from pathlib import Path
from so8t.data.safety.judge import ClassifierJudge
from so8t.serve.app import create_app
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.gate import Gate, GatePolicy
from so8t.serve.listening import listening_socket, make_server, run_until_signal
from so8t.serve.settings import Settings

THOUGHT = "The user asks for everyday advice; nothing in it can harm anybody. " * 6
ADVICE = "手袋を着けてください。" * 10

class Instant:
    async def generate(self, request):
        return (f"<think-task>{THOUGHT}</think-task><think-safety>{THOUGHT}</think-safety>"
                f"<think-policy>{THOUGHT}</think-policy><final>{request.query} {ADVICE}</final>")
    async def close(self):
        pass

database, max_running, judges = sys.argv[1:]
listener = listening_socket("127.0.0.1", 0)
settings = Settings(requests_per_minute=0, max_running=int(max_running), port=listener.getsockname()[1])
audit = AuditLog(database, AuditKey.of(bytes(32)))
gate = Gate([ClassifierJudge()], GatePolicy()) if judges == "classifier" else Gate([], GatePolicy(allow_unjudged=True))
app = create_app(settings, Instant(), gate, audit, judge_in_thread=False)
print(settings.port, flush=True)
run_until_signal(make_server(app, header_seconds=10, drain_seconds=10), listener)
audit.close()
"""


class Client:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._writer.close()

    async def ask(self, number: int) -> tuple[int, str]:
        """Status and answer."""
        body = json.dumps({"user_id": "u", "query": f"question {number}", "language": "ja"}).encode()
        head = f"POST /think HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
        self._writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answered = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answered.split(b" ", 2)[1])
        length = int(answered.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return status, json.loads(await self._reader.readexactly(length)).get("answer", "")


async def steady(port: int, clients: int, seconds: float) -> tuple[float, list[float]]:
    """Clients that ask again as soon as they are answered: answers per second, and seconds of each."""
    latencies: list[float] = []

    async def client(number: int) -> None:
        async with Client(port) as connection:
            while (began := time.perf_counter()) < until:
                status, answer = await connection.ask(number)
                latencies.append(time.perf_counter() - began)
                if status != 200 or not answer.startswith(f"question {number} "):
                    raise SystemExit(f"status {status}, or the answer of another")

    began = time.perf_counter()
    until = began + seconds
    await asyncio.gather(*map(client, range(clients)))
    return len(latencies) / (time.perf_counter() - began), sorted(latencies)


async def paced(port: int, per_second: int, seconds: float, clients: int = 50) -> list[float]:
    """So many requests a second, whether or not earlier ones are answered; seconds of each from when it was due."""
    latencies: list[float] = []
    connections = [await Client(port).__aenter__() for _ in range(clients)]
    free: asyncio.Queue[Client] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)

    async def one(number: int, due: float) -> None:
        connection = await free.get()
        status, answer = await connection.ask(number)
        free.put_nowait(connection)
        latencies.append(time.perf_counter() - due)
        if status != 200 or not answer.startswith(f"question {number} "):
            raise SystemExit(f"status {status}, or the answer of another")

    began, tasks = time.perf_counter(), []
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    for connection in connections:
        await connection.__aexit__()
    return sorted(latencies)


async def at_once(port: int, count: int) -> dict[str, int]:
    """Many requests at one moment: how many were answered, refused, swapped and lost."""

    async def one(number: int) -> str:
        async with Client(port) as connection:
            status, answer = await connection.ask(number)
        if status == 200:
            return "answered" if answer.startswith(f"question {number} ") else "swapped"
        return "refused (429)" if status == 429 else f"status {status}"

    found = await asyncio.gather(*map(one, range(count)), return_exceptions=True)
    names = [name if isinstance(name, str) else "lost" for name in found]
    return {name: names.count(name) for name in ("answered", "refused (429)", "swapped", "lost")}


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def shown(latencies: list[float]) -> str:
    parts = ((50, "p50"), (99, "p99"))
    return ", ".join(f"{name} {latencies[len(latencies) * part // 100] * 1e3:.1f} ms" for part, name in parts)


@contextmanager
def serving(judges: str) -> Iterator[tuple[int, int]]:
    """A warm server with the classifier or without: process id and port."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SERVER, str(Path(folder) / "audit.db"), "1000", judges]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            asyncio.run(steady(port, 4, 1.0))
            yield server.pid, port
            server.terminate()


def steady_figures(pid: int, port: int, clients: int, seconds: float) -> tuple[str, str]:
    before = cpu_seconds(pid)
    rate, latencies = asyncio.run(steady(port, clients, seconds))
    cost = (cpu_seconds(pid) - before) / len(latencies)
    figures = f"{rate:.0f}/s, {shown(latencies)}, {cost * 1e3:.2f} ms CPU of the server each"
    return f"{clients} clients, each asking again at once", figures


def paced_figures(port: int, per_second: int, seconds: float) -> tuple[str, str]:
    return f"{per_second} requests a second, on time or not", shown(asyncio.run(paced(port, per_second, seconds)))


def figures(seconds: float) -> Iterator[tuple[str, str]]:
    """Name and figures of every series."""
    with serving("none") as (pid, port):
        for clients in (1, 8, 16):
            yield steady_figures(pid, port, clients, seconds)
        for per_second in (250, 500):
            yield paced_figures(port, per_second, seconds)
        counts = asyncio.run(at_once(port, 1000))
        yield "1,000 at one moment, bound 1,000", ", ".join(f"{number} {name}" for name, number in counts.items())
    with serving("classifier") as (pid, port):
        name, found = steady_figures(pid, port, 8, seconds)
        yield f"with the classifier, as by default: {name}", found
        for per_second in (250, 500):
            name, found = paced_figures(port, per_second, seconds)
            yield f"with the classifier, as by default: {name}", found


def main() -> None:
    """Measure, print, keep."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=10.0, help="of each series (default: 10)")
    options.add_argument("--results", type=Path, default=RESULTS, help="folder of the page (default: results/)")
    settings = options.parse_args()
    busy = os.getloadavg()
    rows = [f"| {what} | {figure} |" for what, figure in figures(settings.seconds)]
    lines = [
        f"# Serving /think, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}; {os.cpu_count()} cores,",
        f"clients on the same; load average {busy[0]:.1f} before, {os.getloadavg()[0]:.1f} after (0: quiet).",
        "The generator answers at once; gate, audit commit (SQLite, synced) and HTTP are real. Nobody judges but where",
        "the classifier is named; it judges the question, thinking and answer together, and the answer.",
        "",
        "| | |",
        "|---|---:|",
        *rows,
        "",
    ]
    print("\n".join(lines))
    settings.results.mkdir(parents=True, exist_ok=True)
    file = settings.results / f"{datetime.now(UTC):%Y-%m-%d}-serve.md"
    file.write_text("\n".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
