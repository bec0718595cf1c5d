"""`so8t serve` as users start it: a real model and process, signals, every channel searched for thinking (H4)."""

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from so8t.serve.audit.reader import last_rows, opened
from so8t.serve.messages import MESSAGES
from so8t.serve.outcome import Outcome
from unit.so8t.serve.running import CANARY, KEY, leaks

Start = Callable[..., "subprocess.Popen[str]"]


def port_of(process: "subprocess.Popen[str]") -> int:
    """Wait until it says where it listens."""
    assert process.stdout is not None
    while line := process.stdout.readline():
        if found := re.search(r"/think: http://127\.0\.0\.1:(\d+)/think", line):
            port = int(found.group(1))
            until_it_answers(port)
            return port
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def until_it_answers(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            if call(port, "GET", "/health")[0] == 200:
                return
        except OSError:
            assert time.monotonic() < end, "it never listened"
        time.sleep(0.05)


def call(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, repr(response.getheaders()).encode() + b"\n" + response.read()
    finally:
        connection.close()


def test_it_says_where_the_page_and_the_audit_log_are(inputs: Path, start: Start) -> None:
    process = start("serve", "--model", inputs / "model", "--port", 0, "--ui", "--db", "think.db")
    try:
        assert process.stdout is not None
        said = ""
        while "/think" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        address = re.search(r"^page: (http://127\.0\.0\.1:(\d+)/)$", said, flags=re.MULTILINE)
        key = re.search(r"audit key (\w+) made", said)
        assert address, said
        assert key, said
        assert said.endswith(f"/think: {address[1]}think (audit log: think.db, key {key[1]})\n")
        until_it_answers(int(address[2]))
        assert b"<html" in call(int(address[2]), "GET", "/")[1]
    finally:
        process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_the_tiny_model_is_served_and_sigterm_lets_what_runs_finish(
    inputs: Path, start: Start, so8t: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    process = start("serve", "--model", inputs / "model", "--port", 0, "--rate", 0, SO8T_API_HOST="127.0.0.1")
    try:
        port = port_of(process)
        asked = {"user_id": "u", "query": "氷の扱い方は？", "temperature": 0, "max_new_tokens": 40}
        status, body = call(port, "POST", "/think", asked)
        assert status == 200
        # a model of random weights writes no four parts: the fixed refusal is the right answer
        assert json.loads(body.split(b"\n", 1)[1])["answer"] == MESSAGES[Outcome.FORMAT_VIOLATION]["ja"]

        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        long = json.dumps({**asked, "max_new_tokens": 700, "temperature": 1.0})
        connection.request("POST", "/think", long, {"Content-Type": "application/json"})
        until_running(port)
        process.send_signal(signal.SIGTERM)
        last = connection.getresponse()
        assert last.status == 200
        assert json.loads(last.read())["audit_id"]
        connection.close()
        code, output = ended(process)
        assert code == 0, output
        assert "Traceback" not in output
    finally:
        process.kill()
        process.communicate()
    code, out, err = so8t("serve-statement", "--out", "statement.json")
    assert (code, out, err) == (0, "", "")
    statement = json.loads((tmp_path / "statement.json").read_bytes())
    assert statement["format"] == "so8t-serving-statement-1"
    assert sum(statement["outcomes"].values()) == 2
    assert statement["models"][0]["model_id"] == "model"
    assert re.fullmatch(r"[0-9a-f]{64}", statement["models"][0]["model_sha"])
    assert re.fullmatch(r"[0-9a-f]{64}", statement["gates"][0]["policy_digest"])
    assert len(statement["chain_heads"]) == 1
    assert so8t("serve-statement", "--out", "statement.json")[0] == 2
    assert (tmp_path / "database" / "so8t_audit.key").stat().st_mode & 0o077 == 0 or os.name != "posix"


def until_running(port: int) -> None:
    end = time.monotonic() + 60
    while b"so8t_think_running 1\n" not in call(port, "GET", "/metrics")[1]:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "none"], "model folder none does not exist"),
        (["--model", ".", "--host", "0.0.0.0"], "--token-file"),
        (["--model", ".", "--token-file", "none"], "token file none cannot be read"),
        (["--model", ".", "--key-file", "none"], "key file none does not exist"),
        (["--model", "."], "config.json"),
        (["--model", ".", "--upstream", "nowhere"], "--upstream is no URL"),
        (["--model", ".", "--db", "mysql://h/d"], "audit database"),
        (["--model", ".", "--max-running", "0"], "max_running 0 is too small"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    so8t: Callable[..., tuple[int, str, str]], tmp_path: Path, inputs: Path, words: list[str], said: str
) -> None:
    if "--upstream" in words or "--db" in words:  # what is wrong there is found with a good model
        words = ["--model", str(inputs / "model"), *words[2:]]
    code, out, err = so8t("serve", "--port", 0, *words)
    lines = [line for line in err.splitlines() if line.startswith("so8t: error: ")]
    assert code == 2, (out, err)
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in out + err


def test_a_port_that_is_taken_is_named(so8t: Callable[..., tuple[int, str, str]], inputs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = so8t("serve", "--model", inputs / "model", "--port", taken.getsockname()[1])
    assert code == 2
    assert "cannot be listened on" in err


# H4 / L15: a process whose generator is given a canary in the thinking, with everything it prints and writes searched

CHANNELS = """
import asyncio, logging, os, sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from unit.so8t.serve.running import CANARY, KEY, well_formed
from so8t.serve.access_log import log_to
from so8t.serve.app import create_app
from so8t.serve.audit.log import AuditLog
from so8t.serve.gate import Gate, GatePolicy
from so8t.serve.generation import GenerationStopped
from so8t.serve.listening import listening_socket, make_server, run_until_signal
from so8t.serve.settings import Settings

log_to(sys.stderr, logging.DEBUG)

class Talking:
    async def generate(self, request):
        text = f"<think-task>{CANARY}"
        query = request.query
        if query == "well":
            return well_formed("Wear gloves.")
        if query == "malformed":
            return text
        if query == "repeats":
            return well_formed(f"hidden {CANARY} thought " * 3, f"hidden {CANARY} thought " * 9)
        if query == "fails":
            raise RuntimeError(text)
        if query == "warns":
            warnings.warn(text)
            return text
        if query == "leaves a failed task":
            async def fail():
                raise ValueError(text)
            asyncio.ensure_future(fail())
            await asyncio.sleep(0.01)
            return text
        if query == "interrupts":
            raise asyncio.CancelledError(text)
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            raise GenerationStopped(text) from None

    async def close(self):
        pass

listener = listening_socket("127.0.0.1", 0)
port = listener.getsockname()[1]
settings = Settings(port=port, requests_per_minute=0, generation_seconds=1.0, docs=True, ui=True)
audit = AuditLog(Path("audit.db"), KEY)
app = create_app(settings, Talking(), Gate([], GatePolicy(allow_unjudged=True)), audit)
print(f"/think: http://127.0.0.1:{port}/think", flush=True)
run_until_signal(make_server(app, header_seconds=5, drain_seconds=5), listener)
audit.close()
"""
QUERIES = ("well", "malformed", "repeats", "fails", "warns", "leaves a failed task", "interrupts", "sleeps")


@pytest.fixture
def talking(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHANNELS, str(Path(__file__).parents[1])],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8", "PYTHONASYNCIODEBUG": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_l15_h4_no_channel_ever_holds_the_thinking(
    talking: "subprocess.Popen[str]", tmp_path: Path, how: signal.Signals
) -> None:
    port = port_of(talking)
    received = bytearray()
    for query in QUERIES:
        for stream in (False, True):
            status, body = call(port, "POST", "/think", {"user_id": "u", "query": query, "stream": stream})
            assert status in (200, 500, 504), (query, status)
            received += body
    received += call(port, "POST", "/think", {"user_id": "u", "query": ["x"]})[1]
    for path in ("/metrics", "/openapi.json", "/health", "/none", "/", "/think"):
        received += call(port, "GET", path)[1]
    leave(port)
    talking.send_signal(how)
    out, err = talking.communicate(timeout=60)
    assert talking.returncode == (0 if how is signal.SIGTERM else -signal.SIGKILL), err
    assert "so8t.serve POST /think 200" in err  # it did log
    assert not leaks(bytes(received))
    assert not leaks((out + err).encode())
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "audit.db" for file in files)
    for file in files:
        assert not leaks(file.read_bytes()), file
        assert b"Wear gloves" not in file.read_bytes(), file
    with opened(tmp_path / "audit.db") as connection:
        rows: list[Any] = list(last_rows(connection, 100))
    assert len(rows) >= 2 * len(QUERIES)
    assert {row["outcome"] for row in rows} >= {"answered", "format_violation", "final_rejected", "error", "timed_out"}
    assert {row["key_id"] for row in rows} == {KEY.key_id}


def leave(port: int) -> None:
    """Ask, and go while it is generated."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(
        "POST", "/think", json.dumps({"user_id": "u", "query": "sleeps"}), {"Content-Type": "application/json"}
    )
    until_running(port)
    connection.close()


def test_the_search_finds_a_canary_in_each_of_its_forms() -> None:
    assert not leaks(b"nothing")
    for content in (
        CANARY.encode(),
        CANARY[::-1].encode(),
        json.dumps({"x": CANARY}).encode(),
        ascii(CANARY).encode(),
        base64.b64encode(f"ab{CANARY}cd".encode()),
    ):
        assert leaks(content)
