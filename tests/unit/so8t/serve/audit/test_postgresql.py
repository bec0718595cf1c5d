"""The log on a real PostgreSQL server: several servers in one database, lost connections, a crash."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from so8t.serve.audit.errors import AuditInputError, AuditUnavailable
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.audit.reader import find_row, heads, last_rows, opened, outcome_counts, rows_in_order
from so8t.serve.audit.verify import Verification, verify
from so8t.serve.gate import Parts

Make = Callable[..., AuditEvent]
Server = Any

COMMIT = """
import sys
from so8t.data.thinking import SafetyLabel
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.outcome import Outcome

log = AuditLog(sys.argv[1], AuditKey.of(bytes(range(32))), wait_seconds=60)
print("open", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    event = AuditEvent(request_id=f"r{number}", user_id="u", query="q", answer="a", raw_output="raw", parts=None,
        outcome=Outcome.ANSWERED, safety_label=SafetyLabel.ALLOW, latency_ms=1, model_id="m")
    print(log.submit(event).result(), flush=True)
log.close()
"""


@pytest.fixture
def database(postgres: Server) -> str:
    return str(postgres.new_database())


@pytest.fixture
def url(postgres: Server, database: str) -> str:
    return str(postgres.url(database))


@pytest.fixture
def log(url: str, key: AuditKey) -> Iterator[AuditLog]:
    log = AuditLog(url, key, wait_seconds=2)
    yield log
    log.close()


def checked(url: str, key: AuditKey) -> Verification:
    with opened(url) as connection:
        return verify(rows_in_order(connection), {key.key_id: key})


def commit(log: AuditLog, event: AuditEvent) -> str:
    return asyncio.run(log.commit(event))


def committing(url: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMIT, url, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_rows_are_read_back_with_matching_hashes(log: AuditLog, url: str, key: AuditKey, make_event: Make) -> None:
    values = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, float("nan"), 1, None]
    ids = [commit(log, make_event(n, safety_confidence=value, model_id="模型 1 🧤")) for n, value in enumerate(values)]
    found = checked(url, key)
    assert not found.findings
    assert found.heads == (log.head,)
    with opened(url) as connection:
        assert [row["audit_id"] for row in last_rows(connection, 3)] == ids[-3:]
        assert find_row(connection, ids[0])["safety_conf"] == 0.1 + 0.2
        assert outcome_counts(connection) == {"answered": 7}
        assert heads(connection) == (log.head,)


def test_several_servers_have_chains_of_their_own_in_one_database(url: str, key: AuditKey) -> None:
    processes = [committing(url, 30) for _ in range(3)]
    for process in processes:
        go(process)
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    found = checked(url, key)
    assert not found.findings
    assert [(head.writer, head.seq) for head in found.heads] == [(1, 30), (2, 30), (3, 30)]


def test_kill_9_loses_no_acknowledged_row_and_frees_the_place(
    url: str, postgres: Server, database: str, key: AuditKey, make_event: Make
) -> None:
    process = committing(url, 1_000_000)
    go(process)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    process.kill()
    acknowledged += [line for line in process.communicate(timeout=60)[0].splitlines() if len(line) == 32]
    _until(lambda: not _writers(postgres, database))
    log = AuditLog(url, key)
    assert log.head.writer == 1
    acknowledged.append(commit(log, make_event()))
    log.close()
    with opened(url) as connection:
        assert set(acknowledged) <= {row["audit_id"] for row in rows_in_order(connection)}
    assert not checked(url, key).findings


@pytest.mark.parametrize("how", ["terminated", "idle", "restarted"])
def test_a_connection_that_was_lost_meanwhile_costs_no_answer_and_the_chain_goes_on(
    log: AuditLog, url: str, postgres: Server, database: str, key: AuditKey, make_event: Make, how: str
) -> None:
    if how == "idle":
        postgres.execute(f"ALTER DATABASE {database} SET idle_session_timeout = '100ms'")
        postgres.execute(f"SELECT pg_terminate_backend({_writers(postgres, database)[0]})")
    ids = []
    for number in range(3):
        ids.append(commit(log, make_event(number)))
        if how == "terminated":
            postgres.execute(f"SELECT pg_terminate_backend({_writers(postgres, database)[0]})")
        elif how == "restarted":
            postgres.stop("fast")
            postgres.start()
        _until(lambda: not _writers(postgres, database))
    with opened(url) as connection:
        rows = [(row["audit_id"], row["writer"], row["seq"]) for row in rows_in_order(connection)]
    assert rows == [(ids[0], 1, 1), (ids[1], 1, 2), (ids[2], 1, 3)]
    assert not checked(url, key).findings


def test_a_row_that_another_server_wrote_meanwhile_is_continued(
    log: AuditLog, url: str, postgres: Server, database: str, key: AuditKey, make_event: Make
) -> None:
    commit(log, make_event(1))
    postgres.execute(f"SELECT pg_terminate_backend({_writers(postgres, database)[0]})")
    _until(lambda: not _writers(postgres, database))
    other = AuditLog(url, key)
    commit(other, make_event(2))
    other.close()
    _until(lambda: not _writers(postgres, database))
    commit(log, make_event(3))
    found = checked(url, key)
    assert [(head.writer, head.seq) for head in found.heads] == [(1, 3)]
    assert not found.findings


def test_l28_a_commit_of_which_nobody_knows_means_no_answer_and_is_not_made_again(
    url: str, postgres: Server, database: str, key: AuditKey, make_event: Make
) -> None:
    log = AuditLog(url, key, wait_seconds=60)
    pid = _writers(postgres, database)[0]
    first = commit(log, make_event(1))
    try:
        # the server has the row on its disk and waits for a copy elsewhere; then the connection breaks
        postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        postgres.execute("SELECT pg_reload_conf()")
        _until(lambda: postgres.execute("SHOW synchronous_standby_names")[0][0] == "nobody")
        handed_in = log.submit(make_event(2))
        waits = f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'SyncRep'"
        _until(lambda: postgres.execute(waits))
        postgres.execute(f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(AuditUnavailable):
            handed_in.result(timeout=60)
    finally:
        postgres.execute("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.execute("SELECT pg_reload_conf()")
        _until(lambda: postgres.execute("SHOW synchronous_standby_names")[0][0] == "")
    last = commit(log, make_event(3))
    log.close()
    with opened(url) as connection:
        rows = [(row["audit_id"], row["request_id"]) for row in rows_in_order(connection)]
    assert [row[1] for row in rows] == ["request-1", "request-2", "request-3"]
    assert (rows[0][0], rows[2][0]) == (first, last)
    assert not checked(url, key).findings


def test_l28_a_locked_table_means_no_answer(
    log: AuditLog, postgres: Server, database: str, key: AuditKey, url: str, make_event: Make
) -> None:
    import psycopg

    with psycopg.connect(postgres.url(database)) as other:
        other.execute("LOCK TABLE audit_rows IN EXCLUSIVE MODE")
        with pytest.raises(AuditUnavailable, match="cannot be written"):
            commit(log, make_event())
        other.rollback()
    _eventually(log, make_event())
    assert not checked(url, key).findings


def test_l28_a_role_without_the_right_to_write_cannot_start_or_answer(
    log: AuditLog, postgres: Server, database: str, key: AuditKey, make_event: Make
) -> None:
    for statement in ("CREATE ROLE reader LOGIN", "GRANT SELECT ON audit_rows, audit_schema TO reader"):
        postgres.execute(statement, database)
    reader = AuditLog(postgres.url(database, "reader"), key)
    with pytest.raises(AuditUnavailable, match="InsufficientPrivilege 42501"):
        commit(reader, make_event())
    reader.close()
    postgres.execute("GRANT INSERT ON audit_rows TO reader", database)
    writer = AuditLog(postgres.url(database, "reader"), key)
    commit(writer, make_event())
    writer.close()
    assert not checked(postgres.url(database), key).findings, "insert and select are all the rights a server needs"


def test_no_acknowledged_row_is_lost_when_the_server_crashes(
    log: AuditLog, url: str, postgres: Server, key: AuditKey, make_event: Make
) -> None:
    acknowledged = [commit(log, make_event(number)) for number in range(20)]
    postgres.stop("immediate")
    try:
        with pytest.raises(AuditUnavailable):
            commit(log, make_event())
    finally:
        postgres.start()
    acknowledged.append(_eventually(log, make_event()))
    with opened(url) as connection:
        assert [row["audit_id"] for row in rows_in_order(connection)] == acknowledged
    assert not checked(url, key).findings


def test_a_server_that_does_not_sync_is_refused(postgres: Server, url: str, key: AuditKey) -> None:
    try:
        postgres.execute("ALTER SYSTEM SET fsync = off")
        postgres.execute("SELECT pg_reload_conf()")
        _until(lambda: postgres.execute("SHOW fsync")[0][0] == "off")
        with pytest.raises(AuditUnavailable, match="fsync = off"):
            AuditLog(url, key)
    finally:
        postgres.execute("ALTER SYSTEM RESET fsync")
        postgres.execute("SELECT pg_reload_conf()")
        _until(lambda: postgres.execute("SHOW fsync")[0][0] == "on")


def test_a_commit_that_the_server_would_put_off_is_not_put_off(
    postgres: Server, database: str, url: str, key: AuditKey, make_event: Make
) -> None:
    from so8t.serve.audit.database import database_url, writing_engine

    postgres.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    with writing_engine(database_url(url), wait_seconds=2).connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_l16_no_text_is_in_the_servers_files_or_its_statement_log(
    log: AuditLog, postgres: Server, database: str, make_event: Make
) -> None:
    canary = "CANARY-9d41c0"
    texts = {"user_id": canary, "query": canary, "answer": canary, "raw_output": canary, "parts": Parts(*[canary] * 4)}
    audit_id = commit(log, make_event(**texts, model_id="visible-model"))
    postgres.execute("CHECKPOINT")
    contents = [file.read_bytes() for file in postgres.folder.rglob("*") if file.is_file() and not file.is_symlink()]
    assert any(audit_id.encode() in content for content in contents), "the row itself is found"
    log_text = (postgres.folder / "server.log").read_bytes()
    assert b"INSERT INTO audit_rows" in log_text
    for form in (canary, canary[::-1]):
        assert not any(form.encode() in content or form.encode("utf-16-le") in content for content in contents)


def test_a_server_that_is_not_there_is_said_without_its_password(key: AuditKey, postgres: Server) -> None:
    url = f"postgresql://audit:hunter2@/none?host={postgres.folder}/nowhere"
    with pytest.raises(AuditUnavailable, match="cannot be opened") as caught:
        AuditLog(url, key, wait_seconds=2)
    assert "hunter2" not in str(caught.value)


def test_a_database_without_the_tables_is_no_audit_log(url: str) -> None:
    with pytest.raises(AuditInputError, match="holds no audit log"), opened(url):
        pass


def _writers(postgres: Server, database: str) -> list[int]:
    return [
        row[0]
        for row in postgres.execute(
            "SELECT pid FROM pg_locks JOIN pg_database ON pg_locks.database = pg_database.oid "
            f"WHERE locktype = 'advisory' AND granted AND datname = '{database}'"
        )
    ]


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def _eventually(log: AuditLog, event: AuditEvent) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(AuditUnavailable):
            return commit(log, event)
    raise AssertionError("the log does not come back")
