"""The log on SQLite: acknowledged means durable, any failure means no answer, and no text is left anywhere."""

import asyncio
import base64
import logging
import os
import sqlite3
import subprocess
import sys
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from so8t.serve.audit.database import database_url, writing_engine
from so8t.serve.audit.errors import AuditInputError, AuditUnavailable
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.audit.reader import heads, opened, outcome_counts, rows_in_order
from so8t.serve.audit.verify import Verification, verify
from so8t.serve.gate import Parts
from so8t.serve.outcome import Outcome

Make = Callable[..., AuditEvent]
CANARIES = ("CANARY-user-41ab", "CANARY-query-93ce", "CANARY-answer-07d2", "CANARY-raw-6b1f", "CANARY-task-55e0",
            "CANARY-safety-c4a9", "ｶﾅﾘｱ機密ポリシー２８", "CANARY-final-e31d")  # fmt: skip

# Opens a log, says so, waits for a line, then commits for ever or as often as told, telling each row that is in.
COMMIT = """
import asyncio, sys
from pathlib import Path
from so8t.data.thinking import SafetyLabel
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.outcome import Outcome

log = AuditLog(sys.argv[1], AuditKey.of(bytes(range(32))), wait_seconds=60)
count = int(sys.argv[2])

async def one(number):
    event = AuditEvent(request_id=f"r{number}", user_id="u", query="q", answer="a", raw_output="raw", parts=None,
        outcome=Outcome.ANSWERED, safety_label=SafetyLabel.ALLOW, latency_ms=1, model_id="m")
    print(await log.commit(event), flush=True)

async def main():
    number = 0
    while number < count:
        await asyncio.gather(*(one(number + i) for i in range(10)))
        number += 10

print("open", flush=True)
sys.stdin.readline()
asyncio.run(main())
log.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "database" / "audit.db"


@pytest.fixture
def log(path: Path, key: AuditKey) -> Iterator[AuditLog]:
    log = AuditLog(path, key, wait_seconds=0.3)
    yield log
    log.close()


def checked(where: str | Path, key: AuditKey) -> Verification:
    with opened(where) as connection:
        return verify(rows_in_order(connection), {key.key_id: key})


def read(where: str | Path) -> list[Any]:
    with opened(where) as connection:
        return list(rows_in_order(connection))


def commit(log: AuditLog, *events: AuditEvent) -> list[str]:
    async def all_at_once() -> list[str]:
        return await asyncio.gather(*map(log.commit, events))

    return asyncio.run(all_at_once())


def committing(where: str | Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMIT, str(where), str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_commit_is_seen_by_everybody_before_it_returns(log: AuditLog, path: Path, make_event: Make) -> None:
    (audit_id,) = commit(log, make_event())
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT audit_id, outcome, safety_conf FROM audit_rows").fetchall() == [
            (audit_id, "answered", 0.1 + 0.2)
        ]
    other.close()


def test_rows_stand_in_the_order_in_which_they_were_handed_in(
    log: AuditLog, path: Path, make_event: Make, key: AuditKey
) -> None:
    ids = commit(log, *(make_event(number) for number in range(600)))
    rows = read(path)
    assert [row["request_id"] for row in rows] == [f"request-{number}" for number in range(600)]
    assert [row["audit_id"] for row in rows] == ids
    assert len(set(ids)) == 600
    found = checked(path, key)
    assert not found.findings
    assert found.heads == (log.head,)


def test_sqlite_syncs_its_write_ahead_log_at_every_commit(path: Path) -> None:
    engine = writing_engine(database_url(path), wait_seconds=1)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


def test_a_restarted_server_goes_on_with_the_chain_also_under_a_new_key(
    path: Path, key: AuditKey, make_event: Make
) -> None:
    new_key = AuditKey.of(b"n" * 32)
    for number, current in enumerate((key, key, new_key)):
        log = AuditLog(path, current)
        commit(log, make_event(number))
        log.close()
    with opened(path) as connection:
        found = verify(rows_in_order(connection), {key.key_id: key, new_key.key_id: new_key})
        assert heads(connection) == found.heads
        assert outcome_counts(connection) == {"answered": 3}
    assert [(head.writer, head.seq) for head in found.heads] == [(1, 3)]
    assert not found.findings


def test_logs_at_the_same_time_have_chains_of_their_own_and_places_are_given_back(
    path: Path, key: AuditKey, make_event: Make
) -> None:
    first, second = AuditLog(path, key), AuditLog(path, key)
    assert (first.head.writer, second.head.writer) == (1, 2)
    first.close()
    third = AuditLog(path, key)
    assert third.head.writer == 1
    for log in (second, third):
        commit(log, make_event())
        log.close()
    assert not checked(path, key).findings


def test_l28_a_locked_database_means_no_answer_and_the_log_works_again_afterwards(
    log: AuditLog, path: Path, key: AuditKey, make_event: Make
) -> None:
    commit(log, make_event(1))
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(AuditUnavailable, match=r"cannot be written .*SQLITE_BUSY"):
        commit(log, make_event(2))
    locker.execute("ROLLBACK")
    locker.close()
    _eventually(lambda: commit(log, make_event(3)))
    assert [row["request_id"] for row in read(path)] == ["request-1", "request-3"]
    assert not checked(path, key).findings


@pytest.mark.skipif(os.name != "posix", reason="limits of file size are POSIX")
def test_l28_a_full_disk_means_no_answer_and_no_acknowledged_row_is_lost(
    log: AuditLog, path: Path, key: AuditKey, make_event: Make
) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    acknowledged: list[str] = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(AuditUnavailable, match="cannot be written"):
            for number in range(1000):
                acknowledged += commit(log, make_event(number))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert acknowledged
    acknowledged += _eventually(lambda: commit(log, make_event()))
    assert [row["audit_id"] for row in read(path)] == acknowledged
    assert not checked(path, key).findings


def test_l28_a_database_that_is_removed_while_in_use_means_no_answer(
    log: AuditLog, path: Path, make_event: Make
) -> None:
    commit(log, make_event())
    path.rename(path.with_name("moved.db"))
    with pytest.raises(AuditUnavailable):
        commit(log, make_event())


@pytest.mark.parametrize("obstacle", ["a file for a folder", "a folder", "no database"])
def test_a_database_that_cannot_be_opened_stops_the_start(tmp_path: Path, key: AuditKey, obstacle: str) -> None:
    path = tmp_path / "audit.db"
    if obstacle == "a folder":
        path.mkdir()
    elif obstacle == "no database":
        path.write_bytes(b"something else entirely" * 100)
    else:
        path.write_bytes(b"")
        path = path / "audit.db"
    with pytest.raises(AuditUnavailable, match="cannot be opened"):
        AuditLog(path, key)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_a_database_without_permission_stops_the_start(path: Path, key: AuditKey) -> None:
    AuditLog(path, key).close()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        with pytest.raises(AuditUnavailable):
            AuditLog(path, key)
    finally:
        if is_root:
            os.seteuid(0)
        path.parent.chmod(0o700)


def test_more_rows_than_may_wait_are_refused_and_the_others_are_written(
    path: Path, key: AuditKey, make_event: Make
) -> None:
    log = AuditLog(path, key, capacity=5, wait_seconds=20)
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    handed_in = []
    with pytest.raises(AuditUnavailable, match="too many"):
        for number in range(100):
            handed_in.append(log.submit(make_event(number)))
    locker.execute("ROLLBACK")
    locker.close()
    ids = [done.result(timeout=60) for done in handed_in]
    assert 5 <= len(ids) <= 11, "five wait, and a batch of at most six is with the database"
    log.close()
    assert [row["audit_id"] for row in read(path)] == ids


def test_a_caller_who_goes_away_takes_no_row_along(log: AuditLog, path: Path, make_event: Make) -> None:
    async def go_away() -> None:
        task = asyncio.create_task(log.commit(make_event()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go_away())
    assert not log.submit(make_event()).cancel()
    log.close()
    assert len(read(path)) == 2


def test_closing_writes_what_waits_and_then_refuses(log: AuditLog, path: Path, make_event: Make) -> None:
    handed_in = [log.submit(make_event(number)) for number in range(50)]
    log.close()
    log.close()
    assert [row["audit_id"] for row in read(path)] == [done.result(timeout=0) for done in handed_in]
    with pytest.raises(AuditUnavailable, match="closed"):
        log.submit(make_event())


def test_kill_9_loses_no_acknowledged_row(path: Path, key: AuditKey) -> None:
    acknowledged: list[str] = []
    for enough in (1, 15, 40):
        process = committing(path, 1_000_000)
        assert said(process) == "open"
        go(process)
        acknowledged += [said(process) for _ in range(enough)]
        process.kill()
        rest, _ = process.communicate(timeout=60)
        acknowledged += [line for line in rest.splitlines() if len(line) == 32]
    rows = read(path)
    assert set(acknowledged) <= {row["audit_id"] for row in rows}
    found = checked(path, key)
    assert not found.findings
    assert len(found.heads) == 1, "the place of a killed process is free again"


def test_several_processes_write_chains_of_their_own_into_one_file(path: Path, key: AuditKey) -> None:
    processes = [committing(path, 40) for _ in range(3)]
    for process in processes:
        assert said(process) == "open"
    for process in processes:
        go(process)
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    found = checked(path, key)
    assert not found.findings
    assert [(head.writer, head.seq) for head in found.heads] == [(1, 40), (2, 40), (3, 40)]


def test_l16_no_text_is_left_in_any_file_log_line_or_exception(
    log: AuditLog, path: Path, make_event: Make, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    user, query, answer, raw, task, safety, policy, final = CANARIES
    texts: dict[str, Any] = {"user_id": user, "query": query, "answer": answer, "raw_output": raw}
    texts["parts"] = Parts(task, safety, policy, final)
    commit(log, make_event(1, **texts))
    commit(log, make_event(2, **{**texts, "parts": None, "outcome": Outcome.FORMAT_VIOLATION}))
    assert path.with_name("audit.db-wal").stat().st_size > 0, "the write-ahead log is searched, too"
    contents = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(AuditUnavailable) as caught:
        commit(log, make_event(3, **texts))
    locker.execute("ROLLBACK")
    locker.close()
    contents |= {f"{file.name} afterwards": file.read_bytes() for file in path.parent.iterdir()}
    # the frames below the caller's, with the values of their variables
    frames = traceback.walk_tb(caught.tb)
    ours = [
        repr(frame.f_locals)
        for frame, _ in frames
        if "so8t" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename
    ]
    assert ours
    out, err = capfd.readouterr()
    contents |= {
        "exception": f"{caught.value!r} {''.join(ours)}".encode(),
        "logged": caplog.text.encode(),
        "out": (out + err).encode(),
    }
    assert {name: found for name, content in contents.items() if (found := canaries_in(content))} == {}


@pytest.mark.parametrize("canary", CANARIES)
def test_the_search_for_texts_finds_every_disguise(canary: str) -> None:
    for disguised in (canary, canary[::-1], unicodedata.normalize("NFKC", canary)):
        assert canaries_in(f"x{disguised}y".encode())
    assert canaries_in(canary.encode("utf-16-le"))
    for offset in range(3):
        assert canaries_in(base64.b64encode(b"-" * offset + canary.encode() + b"..."))


def canaries_in(content: bytes) -> list[str]:
    found = []
    for canary in CANARIES:
        normal = unicodedata.normalize("NFKC", canary)
        forms = [form.encode() for form in (canary, normal, canary[::-1], normal[::-1])] + [canary.encode("utf-16-le")]
        for offset in range(3):
            encoded = base64.b64encode(b"-" * offset + canary.encode())
            forms.append(encoded[(8 * offset + 5) // 6 : -4])
        found += [canary for form in forms if form in content]
    return found


@pytest.mark.parametrize("where", ["mysql://user:hunter2@host/db", "sqlite://", "sqlite:///:memory:", "://hunter2"])
def test_another_database_is_refused_without_quoting_its_url(key: AuditKey, where: str) -> None:
    with pytest.raises(AuditInputError) as caught:
        AuditLog(where, key)
    assert "hunter2" not in str(caught.value)


def _eventually(attempt: Callable[[], list[str]]) -> list[str]:
    """Wait until the thread has let go of what failed."""
    until = time.monotonic() + 60
    while True:
        try:
            return attempt()
        except AuditUnavailable:
            assert time.monotonic() < until
