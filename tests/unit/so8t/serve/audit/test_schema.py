"""Tables are made once, updated version by version, and left alone when they are newer."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from so8t.serve.audit.database import database_url, writing_engine
from so8t.serve.audit.errors import AuditInputError, AuditUnavailable
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.audit.reader import opened
from so8t.serve.audit.rows import COLUMNS
from so8t.serve.audit.schema import prepare, stored_version

MIGRATIONS = {2: ["ALTER TABLE audit_rows ADD COLUMN note TEXT"], 3: ["ALTER TABLE audit_rows ADD COLUMN more TEXT"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


def test_fresh_tables_are_of_the_newest_version_and_making_them_twice_changes_nothing(path: Path) -> None:
    engine = writing_engine(database_url(path), wait_seconds=1)
    for _ in range(2):
        with engine.begin() as connection:
            prepare(connection)
            assert stored_version(connection) == 1
            assert tuple(column["name"] for column in inspect(connection).get_columns("audit_rows")) == COLUMNS


def test_older_tables_are_brought_up_version_by_version_and_keep_their_rows(
    path: Path, key: AuditKey, make_event: Callable[..., AuditEvent]
) -> None:
    log = AuditLog(path, key)
    log.submit(make_event()).result(timeout=60)
    log.close()
    engine = writing_engine(database_url(path), wait_seconds=1)
    with engine.begin() as connection:
        prepare(connection, MIGRATIONS)
    with engine.begin() as connection:
        assert stored_version(connection) == 3
        assert connection.execute(text("SELECT request_id, note, more FROM audit_rows")).all() == [
            ("request-1", None, None)
        ]
        prepare(connection, MIGRATIONS)


def test_a_migration_that_fails_leaves_the_version_and_the_tables_as_they_were(path: Path) -> None:
    engine = writing_engine(database_url(path), wait_seconds=1)
    with engine.begin() as connection:
        prepare(connection)
    broken = {2: MIGRATIONS[2], 3: ["ALTER TABLE absent ADD COLUMN more TEXT"]}
    with pytest.raises(Exception, match="no such table"), engine.begin() as connection:
        prepare(connection, broken)
    with engine.begin() as connection:
        assert stored_version(connection) == 1
        assert "note" not in [column["name"] for column in inspect(connection).get_columns("audit_rows")]


def test_newer_tables_are_left_alone(path: Path, key: AuditKey) -> None:
    engine = writing_engine(database_url(path), wait_seconds=1)
    with engine.begin() as connection:
        prepare(connection)
        prepare(connection, MIGRATIONS)
    with pytest.raises(AuditUnavailable, match="newer so8t"):
        AuditLog(path, key)
    with pytest.raises(AuditInputError, match="version 3"), opened(path):
        pass


def test_a_database_without_the_tables_is_no_audit_log(path: Path) -> None:
    with pytest.raises(AuditInputError, match="does not exist"), opened(path):
        pass
    assert not path.exists(), "reading makes nothing"
    path.write_bytes(b"")
    with pytest.raises(AuditInputError, match="holds no audit log"), opened(path):
        pass
