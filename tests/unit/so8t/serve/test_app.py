"""What a client of /think sees, and what it never sees."""

import asyncio
import http.client
import json
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from so8t.data.safety.decision import Decision, Reading
from so8t.data.thinking import DomainLabel, SafetyLabel
from so8t.serve.gate import GatePolicy
from so8t.serve.generation import GenerationFailed, GenerationRequest, GenerationStopped, PromptTooLong
from so8t.serve.messages import MESSAGES, fixed_message
from so8t.serve.outcome import Outcome
from so8t.serve.settings import Settings
from unit.so8t.serve.running import CANARY, Server, leaks, never, running, says, well_formed


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def begin(server: Server) -> http.client.HTTPConnection:
    """Ask, and do not wait for the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    asked = json.dumps({"user_id": "u", "query": "q"})
    connection.request("POST", "/think", asked, {"Content-Type": "application/json"})
    return connection


def test_l1_of_a_well_formed_text_the_final_part_is_served_exactly_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path, says(well_formed("Wear gloves. 手袋を。"))) as server:
        answered = server.think()
        (row,) = server.rows()
    assert answered.status == 200
    assert answered.json == {
        "answer": "Wear gloves. 手袋を。",
        "safety_label": "ALLOW",
        "safety_conf": 0.0,
        "escalated": False,
        "audit_id": row["audit_id"],
    }
    assert not leaks(answered.everything)


def test_l18_a_response_tells_nothing_of_the_hidden_part_not_even_its_length(tmp_path: Path) -> None:
    async def reply(request: GenerationRequest) -> str:
        return well_formed("Wear gloves.", "x" * (10 if request.query == "short" else 5000))

    with running(tmp_path, reply) as server:
        short, long = server.think("short"), server.think("long")
    assert {**short.json, "audit_id": ""} == {**long.json, "audit_id": ""}
    assert {**short.headers, "date": ""} == {**long.headers, "date": ""}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_l22_whatever_is_wrong_the_answer_is_the_fixed_text_of_the_language(tmp_path: Path, language: str) -> None:
    malformed = [
        f"no tags {CANARY}",
        f"<think-task>{CANARY}",
        well_formed("x") + CANARY,
        well_formed(f"{CANARY}<final>"),
    ]
    texts = iter(malformed)

    async def reply(request: GenerationRequest) -> str:
        return next(texts)

    with running(tmp_path, reply) as server:
        answers = [server.think(language=language) for _ in malformed]
    for answered in answers:
        assert answered.status == 200
        assert answered.json["answer"] == MESSAGES[Outcome.FORMAT_VIOLATION][language]
        assert answered.json["safety_label"] == "REFUSE"
        assert not leaks(answered.everything)


class Judge:
    """Decides by a word in the text."""

    def decide(self, text: str) -> Decision:
        for word, label in (("deny", SafetyLabel.DENY), ("person", SafetyLabel.ESCALATION)):
            if word in text:
                return Decision(label, 0.9)
        return Decision(SafetyLabel.ALLOW, 0.9)


@pytest.mark.parametrize(("final", "label"), [("please deny", "REFUSE"), ("ask a person", "ESCALATE")])
def test_labels_are_those_of_three_classes(tmp_path: Path, final: str, label: str) -> None:
    with running(tmp_path, says(well_formed(final)), judges=[Judge()], policy=GatePolicy()) as server:
        answered = server.think().json
    assert (answered["safety_label"], answered["escalated"]) == (label, label == "ESCALATE")
    assert final not in answered["answer"]


@pytest.mark.parametrize(("query", "label"), [("please deny", "REFUSE"), ("ask a person", "ESCALATE")])
def test_a_question_that_is_declined_is_never_generated_and_has_its_row(tmp_path: Path, query: str, label: str) -> None:
    with running(tmp_path, says(well_formed("x")), judges=[Judge()], policy=GatePolicy()) as server:
        answered = server.think(query)
        (row,) = server.rows()
    assert server.generator.requests == []
    outcome = Outcome.REFUSED if label == "REFUSE" else Outcome.ESCALATED
    assert answered.status == 200
    assert answered.json["answer"] == fixed_message(outcome, "en")
    assert (answered.json["safety_label"], answered.json["audit_id"]) == (label, row["audit_id"])
    assert (row["outcome"], row["event_type"]) == (outcome.value, outcome.event_type)
    assert (row["raw_output_hmac"], row["thinking_hmac"], row["error_code"]) == (None, None, None)
    assert row["query_hmac"] is not None


class Heads:
    """Judges that read more than a label."""

    def decide(self, text: str) -> Decision:
        return Decision(SafetyLabel.ALLOW, 0.912, Reading(DomainLabel.MEDICAL_REG, 0.84, 0.77, 0.31))


@pytest.mark.parametrize("stream", [False, True])
def test_what_heads_read_stands_in_the_answer_and_in_the_audit_row(tmp_path: Path, stream: bool) -> None:
    with running(tmp_path, says(well_formed("Wear gloves.")), judges=[Heads()], policy=GatePolicy()) as server:
        answered = server.think(stream=stream)
        (row,) = server.rows()
    told = json.loads(answered.body.decode().split("data: ")[-1]) if stream else answered.json
    told.pop("answer", None)
    assert told == {
        "safety_label": "ALLOW",
        "safety_conf": 0.91,
        "escalated": False,
        "audit_id": row["audit_id"],
        "domain_label": "medical_reg",
        "domain_conf": 0.8,
        "verifier_plausibility": 0.8,
        "verifier_self_confidence": 0.3,
    }
    stored = ("safety_conf", "domain_label", "verifier_plausibility", "verifier_self_confidence")
    assert [row[name] for name in stored] == [0.91, "medical_reg", 0.8, 0.3]


def test_l13_a_stream_holds_the_validated_text_only_and_begins_after_the_audit_row(tmp_path: Path) -> None:
    final = "手袋を着けてください。" * 30
    with running(tmp_path, says(well_formed(final))) as server:
        answered = server.think(stream=True)
        (row,) = server.rows()
    events = [block.split("\n") for block in answered.body.decode().strip().split("\n\n")]
    kinds = [lines[0] for lines in events]
    contents = [json.loads(lines[1].removeprefix("data: ")) for lines in events]
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert kinds == ["event: answer"] * (len(kinds) - 1) + ["event: done"]
    assert len(kinds) > 2
    assert "".join(content["text"] for content in contents[:-1]) == final
    assert contents[-1]["audit_id"] == row["audit_id"]
    assert not leaks(answered.everything)


@pytest.mark.parametrize("text", [f"<think-task>{CANARY}", f"{CANARY}", well_formed("x" + CANARY + "<think>")])
def test_l13_a_stream_of_a_malformed_text_holds_the_fixed_text(tmp_path: Path, text: str) -> None:
    with running(tmp_path, says(text)) as server:
        answered = server.think(stream=True)
    assert MESSAGES[Outcome.FORMAT_VIOLATION]["en"] in "".join(
        json.loads(line[6:]).get("text", "")
        for line in answered.body.decode().splitlines()
        if line.startswith("data: ")
    )
    assert not leaks(answered.everything)


def test_l14_an_exception_of_the_generator_becomes_a_constant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def reply(request: GenerationRequest) -> str:
        raise RuntimeError(f"out of memory while at {CANARY}")

    caplog.set_level(logging.DEBUG)
    with running(tmp_path, reply) as server:
        answered, streamed = server.think(), server.think(stream=True)
        rows = server.rows()
    out, err = capfd.readouterr()
    for response in (answered, streamed):
        assert response.status == 500
        assert response.json["answer"] == MESSAGES[Outcome.ERROR]["en"]
        assert not leaks(response.everything)
    assert {row["error_code"] for row in rows} == {"generator_error"}
    assert not leaks((out + err + caplog.text).encode())


def test_a_failure_with_a_code_leaves_the_code_in_the_audit_row_only(tmp_path: Path) -> None:
    async def reply(request: GenerationRequest) -> str:
        raise GenerationFailed("out_of_memory")

    with running(tmp_path, reply) as server:
        answered = server.think()
        (row,) = server.rows()
    assert (row["outcome"], row["error_code"], row["raw_output_hmac"]) == ("error", "out_of_memory", None)
    assert b"memory" not in answered.body


INVALID = {
    "not JSON": b'{"query": "' + CANARY.encode(),
    "no object": b'"' + CANARY.encode() + b'"',
    "an unknown field": json.dumps({"user_id": "u", "query": "q", CANARY: 1}).encode(),
    "a wrong type": json.dumps({"user_id": "u", "query": ["q", CANARY]}).encode(),
    "out of range": json.dumps({"user_id": CANARY * 50, "query": "q"}).encode(),
    "a number as text": json.dumps({"user_id": "u", "query": "q", "max_new_tokens": CANARY}).encode(),
    "half a character": b'{"user_id": "u", "query": "\\ud800"}',
    "not a number": b'{"user_id": "u", "query": "q", "temperature": NaN}',
    "blank": b'{"user_id": "u", "query": "  \\n "}',
    "no UTF-8": b'{"user_id": "u", "query": "\xff"}',
    "deep": b"[" * 30_000,
    "empty": b"",
}


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID.keys())
def test_l14_a_malformed_request_is_refused_without_an_echo_and_never_generates(tmp_path: Path, body: bytes) -> None:
    with running(tmp_path, says(well_formed("x"))) as server:
        answered = server.request("POST", "/think", body, Content_Type="application/json")
        assert server.think().status == 200
    assert 400 <= answered.status < 500
    assert answered.json["error"] in ("invalid_request", "bad_request")
    assert set(answered.json.get("fields", [])) <= {"user_id", "query", "max_new_tokens", "temperature"}
    assert not leaks(answered.everything)
    assert len(server.generator.requests) == 1


def test_the_query_is_trimmed_and_the_documented_defaults_hold(tmp_path: Path) -> None:
    with running(tmp_path, says(well_formed("x"))) as server:
        server.request(
            "POST", "/think", json.dumps({"user_id": "u", "query": "  q \n"}).encode(), Content_Type="application/json"
        )
    (asked,) = server.generator.requests
    assert (asked.query, asked.language, asked.max_new_tokens, asked.temperature, asked.top_p) == (
        "q",
        "ja",
        512,
        0.7,
        0.9,
    )


def test_l19_health_says_only_ok_and_no_page_describes_the_interface(tmp_path: Path) -> None:
    with running(tmp_path, says(well_formed("x"))) as server:
        assert server.request("GET", "/health").json == {"status": "ok"}
        for path in ("/", "/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"):
            assert server.request("GET", path).status == 404, path


def test_l19_metrics_count_without_a_text(tmp_path: Path) -> None:
    with running(tmp_path, says(well_formed("x"))) as server:
        server.think(CANARY, user_id=CANARY)
        server.request("GET", "/" + "".join(f"%{byte:02x}" for byte in CANARY.encode()))
        metrics = server.request("GET", "/metrics")
    assert b'so8t_think_outcomes_total{outcome="answered"} 1\n' in metrics.body
    assert b'so8t_http_responses_total{status="404"} 1\n' in metrics.body
    assert not leaks(metrics.everything)


def test_l24_no_field_of_the_interface_can_hold_thinking(tmp_path: Path) -> None:
    with running(tmp_path, says(well_formed("x")), settings=Settings(docs=True, requests_per_minute=0)) as server:
        described = server.request("GET", "/openapi.json").json
    assert set(described["paths"]) == {"/think"}
    schemas = described["components"]["schemas"]
    assert set(schemas["ThinkAnswer"]["properties"]) == {
        "answer", "safety_label", "safety_conf", "escalated", "audit_id",
        "domain_label", "domain_conf", "verifier_plausibility", "verifier_self_confidence",
    }  # fmt: skip
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE"):
        with running(tmp_path / method, says(well_formed("x"))) as other:
            assert other.request(method, "/think").status == 405, method


def test_l28_while_the_audit_log_is_locked_there_is_no_answer(tmp_path: Path) -> None:
    with running(tmp_path, says(well_formed("Wear gloves.")), audit_seconds=0.2) as server:
        other = sqlite3.connect(server.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for stream in (False, True):
            refused = server.think(stream=stream)
            assert refused.status == 503
            assert refused.json == {"error": "audit_unavailable"}
        other.execute("ROLLBACK")
        other.close()
        assert server.think().json["answer"] == "Wear gloves."
        assert b"so8t_audit_failures_total 2\n" in server.request("GET", "/metrics").body


def test_a_generation_that_takes_too_long_is_stopped_and_what_it_had_is_hashed(tmp_path: Path) -> None:
    stopped = []

    async def reply(request: GenerationRequest) -> str:
        try:
            return await never(request)
        except asyncio.CancelledError:
            stopped.append(request.request_id)
            raise GenerationStopped(f"<think-task>{CANARY}") from None

    settings = Settings(generation_seconds=0.2, requests_per_minute=0)
    with running(tmp_path, reply, settings=settings) as server:
        answered = server.think()
        (row,) = server.rows()
    assert answered.status == 504
    assert answered.json["answer"] == fixed_message(Outcome.TIMED_OUT, "en")
    assert not leaks(answered.everything)
    assert stopped == [row["request_id"]]
    assert (row["outcome"], row["event_type"]) == ("timed_out", "think_error")
    assert row["raw_output_hmac"]
    assert row["raw_output_characters"] == 64


def test_l13_when_the_client_goes_the_generation_is_cancelled_and_audited(tmp_path: Path) -> None:
    cancelled = []

    async def reply(request: GenerationRequest) -> str:
        try:
            return await never(request)
        except asyncio.CancelledError:
            cancelled.append(request)
            raise

    with running(tmp_path, reply) as server:
        connection = begin(server)
        until(lambda: server.generator.requests)
        connection.close()
        until(lambda: cancelled)
        until(server.rows)
        (row,) = server.rows()
        assert (row["outcome"], row["error_code"]) == ("error", "client_gone")
        until(lambda: b"so8t_think_running 0\n" in server.request("GET", "/metrics").body)


def test_beyond_its_bound_the_queue_refuses_with_429_and_recovers(tmp_path: Path) -> None:
    settings = Settings(max_running=1, generation_seconds=0.5, requests_per_minute=0)
    with running(tmp_path, never, settings=settings) as server:
        connection = begin(server)
        until(lambda: server.generator.requests)
        busy = server.think()
        first = connection.getresponse().status
        connection.close()
        again = server.think()
    assert (busy.status, busy.json, busy.headers["retry-after"]) == (429, {"error": "busy"}, "1")
    assert (first, again.status) == (504, 504)


def test_stopping_lets_what_runs_finish(tmp_path: Path) -> None:
    connections = []

    async def reply(request: GenerationRequest) -> str:
        await asyncio.sleep(0.5)
        return well_formed("Wear gloves.")

    with running(tmp_path, reply) as server:
        connections += [begin(server) for _ in range(3)]
        until(lambda: len(server.generator.requests) == 3)
    answers = [json.loads(connection.getresponse().read())["answer"] for connection in connections]
    for connection in connections:
        connection.close()
    assert answers == ["Wear gloves."] * 3


def test_a_question_too_long_for_the_model_is_told_so_and_has_its_row(tmp_path: Path) -> None:
    async def reply(request: GenerationRequest) -> str:
        raise PromptTooLong

    with running(tmp_path, reply) as server:
        answered = server.think(stream=True)
        (row,) = server.rows()
        metrics = server.request("GET", "/metrics").body
    assert (answered.status, answered.json) == (422, {"error": "query_too_long"})
    assert (row["outcome"], row["error_code"], row["raw_output_hmac"]) == ("error", "query_too_long", None)
    assert b'so8t_think_outcomes_total{outcome="error"} 1\n' in metrics


class SlowJudge:
    """Takes its time over every text."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: list[str] = []

    def has_seen(self, text: str) -> bool:
        return any(seen.endswith(text) for seen in self._seen)

    def decide(self, text: str) -> Decision:
        self._seen.append(text)
        time.sleep(self._seconds)
        return Decision(SafetyLabel.ALLOW, 0.9)


def test_stopping_waits_for_judges_and_for_a_generation_that_ends_slowly(tmp_path: Path) -> None:
    async def reply(request: GenerationRequest) -> str:
        try:
            return await never(request)
        except asyncio.CancelledError:
            await asyncio.sleep(1.0)
            raise GenerationStopped("<think-task>") from None

    judge = SlowJudge(1.5)
    settings = Settings(requests_per_minute=0, generation_seconds=0.5, receive_seconds=0.5)
    with running(tmp_path, reply, settings=settings, judges=[judge]) as server:
        connection = begin(server)
        until(lambda: judge.has_seen("q"))
    response = connection.getresponse()
    response.read()
    connection.close()
    (row,) = server.rows()
    assert response.status == 504
    assert (row["outcome"], bool(row["raw_output_hmac"])) == ("timed_out", True)


def test_a_generation_that_does_not_end_when_it_is_cancelled_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reply(request: GenerationRequest) -> str:
        try:
            return await never(request)
        except asyncio.CancelledError:
            return await never(request)

    monkeypatch.setattr("so8t.serve.answering.SECONDS_TO_STOP", 0.2)
    settings = Settings(requests_per_minute=0, generation_seconds=0.2)
    with running(tmp_path, reply, settings=settings) as server:
        answered = server.think()
        (row,) = server.rows()
    assert answered.status == 504
    assert (row["error_code"], row["raw_output_hmac"]) == ("generation_timeout", None)


@pytest.mark.parametrize("judged", ["the question", "the answer"])
def test_a_client_that_goes_while_its_text_is_judged_has_a_row(tmp_path: Path, judged: str) -> None:
    judge = SlowJudge(0.3)
    reply = never if judged == "the question" else says(well_formed("Wear gloves."))
    with running(tmp_path, reply, judges=[judge], policy=GatePolicy()) as server:
        connection = begin(server)
        until(lambda: judge.has_seen("q" if judged == "the question" else "Wear gloves."))
        connection.close()
        until(server.rows)
        (row,) = server.rows()
        until(lambda: b"so8t_think_running 0\n" in server.request("GET", "/metrics").body)
    if judged == "the question":
        assert (row["outcome"], row["error_code"]) == ("error", "client_gone")
    else:
        assert (row["outcome"], row["error_code"]) == ("answered", None)


def test_h4_the_frameworks_own_telemetry_is_off_whatever_the_environment_says(tmp_path: Path) -> None:
    from so8t.serve.app import create_app
    from so8t.serve.gate import Gate
    from unit.so8t.serve.running import Scripted

    class NoLog:
        async def commit(self, event: object) -> str:
            raise AssertionError

    app = create_app(Settings(), Scripted(never), Gate([], GatePolicy()), NoLog())
    telemetry = getattr(app, "_telemetry", {"tracing": False, "metrics": False, "logs": False})
    assert not any(telemetry[signal] for signal in ("tracing", "metrics", "logs"))


@pytest.mark.parametrize("quadruple", [True, False])
def test_h1_h2_of_the_44_inputs_none_leaks_and_the_legitimate_are_served_exactly_also_as_events(
    tmp_path: Path, quadruple: bool
) -> None:
    golden = json.loads((Path(__file__).parents[3] / "golden" / "think_cases.json").read_bytes())
    current: list[str] = []

    async def reply(request: GenerationRequest) -> str:
        return current[-1]

    served = 0
    with running(tmp_path, reply, policy=GatePolicy(quadruple=quadruple, allow_unjudged=True)) as server:
        for case in golden["cases"]:
            generated = case["generated"]
            if not isinstance(generated, str):
                generated = "".join(piece * times for piece, times in generated)
            current.append(("<think-task>" if case["opened"] else "") + generated)
            expected = case["answer"] if case["quadruple"] or not quadruple else None
            expected = expected or MESSAGES[Outcome.FORMAT_VIOLATION]["en"]
            whole, streamed = server.think(golden["query"]), server.think(golden["query"], stream=True)
            pieces = [json.loads(line[6:]) for line in streamed.body.decode().splitlines() if line.startswith("data: ")]
            assert whole.json["answer"] == expected, case["name"]
            assert "".join(piece.get("text", "") for piece in pieces) == expected, case["name"]
            for canary in golden["canaries"]:
                assert not leaks(whole.everything + streamed.everything, canary), case["name"]
            served += expected == case["answer"]
    assert served == (5 if quadruple else 7)
