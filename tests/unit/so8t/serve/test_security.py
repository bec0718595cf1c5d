"""Who may ask, and what happens to those who may not (H6, I1 to I4)."""

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from so8t.cli.serve import serve
from so8t.errors import ConfigError
from so8t.serve.access_log import TextlessFormatter, one_line
from so8t.serve.listening import listening_socket
from so8t.serve.security import RateLimiter, expected_hosts
from so8t.serve.settings import Settings, is_loopback, read_token
from support import ToldClock
from unit.so8t.serve.running import CANARY, TOKEN, Server, leaks, running, says, well_formed

ASKED = json.dumps({"user_id": "u", "query": "q"}).encode()
UNLIMITED = Settings(requests_per_minute=0)


def exchange(server: Server, sent: bytes) -> bytes:
    """Send raw bytes, and give what comes until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        received = bytearray()
        while data := connection.recv(65_536):
            received += data
    return bytes(received)


def raw(server: Server, *headers: str, path: str = "/think", method: str = "POST", body: bytes = ASKED) -> bytes:
    """A request with exactly these headers and what a body needs."""
    lines = [f"{method} {path} HTTP/1.1", *headers, "Connection: close"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if method == "POST" else []
    return exchange(
        server, "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (body if method == "POST" else b"")
    )


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


# I1


def test_i1_it_listens_on_loopback_unless_told_otherwise() -> None:
    with listening_socket(Settings().host, 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "0.0.0.0", "::", "192.0.2.1", "example.org", "")] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_i1_another_address_without_a_token_is_refused_before_anything_is_loaded(tmp_path: Path, host: str) -> None:
    result = CliRunner().invoke(serve, ["--model", str(tmp_path / "none"), "--host", host])
    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 2
    assert "--token-file" in str(result.exception)


def test_a_token_file_must_be_private_and_long_enough(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(TOKEN + b"\n")
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            read_token(file)
    file.chmod(stat.S_IRUSR)
    for content in (b"", b"short", b"two words of more than thirty-two characters", "鍵".encode() * 20):
        file.chmod(0o600)
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="one word of at least 32") as refused:
            read_token(file)
        assert not content or content.decode() not in str(refused.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "none")


# I2


@pytest.mark.parametrize(
    "host",
    [
        "evil.com", "evil.com:{port}", "127.0.0.1.evil.com", "127.0.0.1.evil.com:{port}", "localhost/..?#",
        "localhost:{port}/..?#", "127.0.0.1", "localhost:1", "127.0.0.1:{port}@evil.com", "", "[::1",
        "LOCALHOST:{port}.", "0.0.0.0:{port}", "2130706433:{port}", "127.1:{port}", "localhost:{port},evil.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/health", "/think", "/metrics"])
def test_i2_a_host_header_that_is_not_exactly_ours_gets_nothing(one: Server, host: str, path: str) -> None:
    method = "POST" if path == "/think" else "GET"
    response = raw(one, f"Host: {host.format(port=one.port)}", path=path, method=method)
    assert status(response) == 400
    assert b'"answer"' not in response
    assert b"ok" not in response


def test_i2_a_missing_or_second_host_header_gets_nothing(one: Server) -> None:
    ours = f"Host: localhost:{one.port}"
    assert status(raw(one)) == 400
    assert status(raw(one, ours, "Host: evil.com")) == 400
    assert status(raw(one, ours, ours)) == 400
    assert status(raw(one, ours)) == 200
    assert status(raw(one, f"Host: LOCALHOST:{one.port}")) == 200


def test_further_hosts_are_taken_as_they_are_named() -> None:
    assert expected_hosts("0.0.0.0", 80, ["Think.example.org"]) >= {"think.example.org", "localhost", "localhost:80"}
    assert "localhost" not in expected_hosts("127.0.0.1", 8000)


# I3


@pytest.mark.parametrize(
    "header",
    [
        "Origin: https://evil.com", "Origin: null", "Origin: http://localhost:1", "Origin: http://localhost.evil.com:{port}",
        "Origin: file://", "Origin:", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
def test_i3_a_page_of_another_origin_changes_and_reads_nothing(one: Server, header: str, method: str) -> None:
    before = len(one.generator.requests)
    ours = f"Host: localhost:{one.port}"
    for path in ("/think", "/metrics"):
        response = raw(one, ours, header.format(port=one.port), method=method, path=path)
        assert status(response) == 403
        assert b"access-control" not in response.lower()
    assert len(one.generator.requests) == before


def test_i3_its_own_page_and_programs_without_an_origin_may_ask(one: Server) -> None:
    ours = f"Host: localhost:{one.port}"
    assert status(raw(one, ours, f"Origin: http://localhost:{one.port}", "Sec-Fetch-Site: same-origin")) == 200
    assert status(raw(one, ours)) == 200


def test_i3_what_a_form_of_another_page_can_send_without_an_origin_is_refused(one: Server) -> None:
    before = len(one.generator.requests)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert one.request("POST", "/think", ASKED, Content_Type=kind).status == 422, kind
    assert len(one.generator.requests) == before


def test_i3_a_get_changes_nothing(one: Server) -> None:
    before = len(one.rows())
    for path in ("/think?user_id=u&query=q", "/health", "/metrics", "/"):
        one.request("GET", path)
    assert len(one.rows()) == before


# I4

_UP = (
    "..",
    "%2e%2e",
    "..%2f",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "..\\",
    "..%5c",
    "..%255c",
    "....//",
    "..;",
    "%c0%ae%c0%ae",
)
_FILES = (
    "etc/passwd",
    "etc/passwd%00.html",
    "audit.db",
    "page.html",
    "windows\\win.ini",
    "static/page.html",
    "proc/self/environ",
)
TRAVERSALS = [
    *(f"/{up}/{up}/{up}/{file}" for up in _UP for file in _FILES),
    *(f"/static/{up}/{up}/{file}" for up in _UP for file in _FILES),
    *(f"//{file}" for file in _FILES),
    *(f"/file:///{file}" for file in _FILES),
    *(f"/\\\\server\\share\\{file}" for file in _FILES),
    *(f"/health/{up}/{file}" for up in _UP for file in ("think", "metrics", "audit.db")),
    "/%00", "/.", "/..", "//", "/C:/windows/win.ini", "/think/../../etc/passwd", "/?file=/etc/passwd", "/~root",
]  # fmt: skip


def test_i4_no_path_leads_to_a_file(tmp_path: Path) -> None:
    assert len(TRAVERSALS) >= 200
    with running(tmp_path, says(well_formed("x")), settings=Settings(ui=True, requests_per_minute=0)) as server:
        page = server.request("GET", "/").body
        for path in TRAVERSALS:
            response = exchange(
                server, f"GET {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\nConnection: close\r\n\r\n".encode()
            )
            body = response.partition(b"\r\n\r\n")[2]
            assert body in (
                b'{"error":"not_found"}',
                b"Invalid HTTP request received.",
                page if "?" in path else b"",
            ), path
            assert b"root:" not in response
            assert b"SQLite" not in response


# H6


def test_h6_without_the_token_nothing_but_health_and_page_is_given(tmp_path: Path) -> None:
    settings = Settings(token=TOKEN, ui=True, docs=True, requests_per_minute=0)
    with running(tmp_path, says(well_formed("x")), settings=settings) as server:
        wrong = [
            {}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer " + "x" * 43},
            {"Authorization": TOKEN.decode()}, {"Authorization": "Basic " + TOKEN.decode()},
            {"Authorization": "Bearer " + TOKEN.decode()[:-1]}, {"Authorization": "Bearer " + TOKEN.decode() + "x"},
        ]  # fmt: skip
        for headers in wrong:
            answered = server.request("POST", "/think", ASKED, Content_Type="application/json", **headers)
            assert (answered.status, answered.json) == (401, {"error": "unauthorized"})
            for path in ("/metrics", "/openapi.json", "/health/", "//health", "/health/../metrics"):
                assert server.request("GET", path, **headers).status == 401, path
        assert server.request("POST", "/health").status == 401
        assert not server.generator.requests
        assert server.request("GET", "/health").status == 200
        assert server.request("GET", "/").status == 200
        server.extra = {"Authorization": "bearer " + TOKEN.decode()}
        assert server.think().status == 200
        assert server.request("GET", "/metrics").status == 200


def test_h6_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import so8t.serve.security as security

    compared: list[tuple[int, int]] = []
    original = security.hmac.compare_digest

    def noted(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return original(a, b)

    monkeypatch.setattr(security.hmac, "compare_digest", noted)
    with running(tmp_path, says(well_formed("x")), settings=Settings(token=TOKEN, requests_per_minute=0)) as server:
        for shown in ("", "x", TOKEN.decode(), "x" * 4000):
            server.request("POST", "/think", ASKED, Content_Type="application/json", Authorization=f"Bearer {shown}")
    assert compared == [(32, 32)] * 4


def test_h6_a_body_that_is_too_large_is_refused_announced_or_not(tmp_path: Path) -> None:
    settings = Settings(receive_seconds=0.5, requests_per_minute=0)
    with running(tmp_path, says(well_formed("x")), settings=settings) as server:
        host = f"Host: localhost:{server.port}\r\nContent-Type: application/json\r\n"
        start = f"POST /think HTTP/1.1\r\n{host}"
        chunks = (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 16 + b"0\r\n\r\n"
        answers = [
            exchange(server, f"{start}Content-Length: 10485760\r\n\r\n".encode() + b"x" * 10_485_760),
            exchange(server, f"{start}Content-Length: 10485760\r\n\r\n".encode()),
            exchange(server, f"{start}Content-Length: {'9' * 18}\r\n\r\n".encode()),
            exchange(server, f"{start}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks),
        ]
        assert [status(answer) for answer in answers if answer] == [413] * 4
        assert server.request("POST", "/think", ASKED, Content_Encoding="gzip").status == 415
        assert server.think().status == 200
        assert not server.rows()[1:]


def test_h6_a_body_or_headers_that_do_not_come_are_not_waited_for(tmp_path: Path) -> None:
    settings = Settings(receive_seconds=0.3, requests_per_minute=0)
    with running(tmp_path, says(well_formed("x")), settings=settings) as server:
        host = f"Host: localhost:{server.port}\r\n"
        slow_body = exchange(server, f"POST /think HTTP/1.1\r\n{host}Content-Length: 100\r\n\r\n{{".encode())
        assert status(slow_body) == 408
        assert exchange(server, b"") == b""
        assert exchange(server, f"POST /think HTTP/1.1\r\n{host}".encode()) == b""
        assert server.think().status == 200


def test_h6_a_client_beyond_its_rate_gets_429_with_the_time_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, says(well_formed("x")), settings=Settings(requests_per_minute=6)) as server:
        answers = [server.request("GET", "/health") for _ in range(5)]
    assert [answered.status for answered in answers][:4] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["retry-after"]) <= 10


def test_the_bucket_refills_each_client_on_its_own_and_the_oldest_is_forgotten(clock: ToldClock) -> None:
    limiter = RateLimiter(60, lambda: clock.monotonic / 1e9, most_clients=2)
    assert [limiter.seconds_to_wait("a") for _ in range(31)] == [0.0] * 30 + [1.0]
    assert limiter.seconds_to_wait("b") == 0.0
    clock.pass_seconds(2)
    assert [limiter.seconds_to_wait("a") for _ in range(3)] == [0.0, 0.0, 1.0]
    limiter.seconds_to_wait("c")
    limiter.seconds_to_wait("d")
    assert len(limiter._buckets) == 2


def test_every_response_tells_browsers_to_keep_and_frame_nothing(one: Server) -> None:
    for answered in (
        one.think(),
        one.request("GET", "/health"),
        one.request("GET", "/none"),
        one.request("POST", "/think"),
    ):
        assert answered.headers["cache-control"] == "no-store"
        assert answered.headers["x-content-type-options"] == "nosniff"
        assert answered.headers["x-frame-options"] == "DENY"
        assert answered.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answered.headers


def test_a_log_line_stays_one_line_and_holds_no_exception_text() -> None:
    import logging
    import sys

    try:
        raise ValueError(CANARY)
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "f", 1, "at \r\n\x1b[2J\u202e%s", ("x",), sys.exc_info())
    record.exc_text = f"Traceback {CANARY}"
    line = TextlessFormatter().format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert "ValueError at test_security.py:" in line
    assert not leaks(line.encode())
    assert one_line("日本語 a") == "日本語 a"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    with running(tmp_path_factory.mktemp("one"), says(well_formed("Wear gloves.")), settings=UNLIMITED) as server:
        yield server
