"""Connections to the database of the audit log: SQLite by default, PostgreSQL by URL.

What has been committed must survive a power cut. SQLite therefore runs with a write-ahead log that is synced at every
commit; a PostgreSQL server that does not sync is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from so8t.serve.audit.errors import AuditInputError, AuditUnavailable

__all__ = ["database_url", "explained", "explained_on_disk", "reading_engine", "sqlite_file", "writing_engine"]

_READER_WAITS = 10.0


def database_url(where: str | Path) -> URL:
    """Read what names a database: a path, which means SQLite, or a URL.

    Args:
        where: for example "database/audit.db" or "postgresql://audit@db.example/audit".

    Raises:
        AuditInputError: it is the URL of neither SQLite nor PostgreSQL. The message does not quote it, as it may hold a
            password.

    Example:
        >>> database_url("postgresql://audit@db.example/audit").drivername
        'postgresql+psycopg'
    """
    if "://" not in str(where):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(str(where))
    except ArgumentError:
        raise AuditInputError("the audit database's URL cannot be read: write postgresql://USER@HOST/NAME") from None
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:" and not url.query:
        return url
    raise AuditInputError("the audit database must be a SQLite file or a postgresql:// URL")


def sqlite_file(url: URL) -> Path | None:
    """Give the file of a SQLite database; None for PostgreSQL."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def writing_engine(url: URL, *, wait_seconds: float) -> Engine:
    """Connect for writing; the SQLite file is made, readable by its owner alone, if it is not there.

    Args:
        url: as `database_url` gives it.
        wait_seconds: how long a lock, a statement or the connecting may take.

    Raises:
        OSError: the file cannot be made.
    """
    file = sqlite_file(url)
    if file is None:
        return _postgresql(url, wait_seconds, on_connect=_demand_durability_of_postgresql)
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600))
    return _sqlite(url, wait_seconds, begin="BEGIN IMMEDIATE", on_connect=_demand_durability_of_sqlite)


def reading_engine(url: URL) -> Engine:
    """Connect for reading; nothing is made or changed.

    Raises:
        AuditInputError: the SQLite file does not exist.
    """
    file = sqlite_file(url)
    if file is None:
        return _postgresql(url, _READER_WAITS, on_connect=_refuse_changes_in_postgresql)
    if not file.is_file():
        raise AuditInputError(f"audit database {file} does not exist: name it with --database")
    return _sqlite(url, _READER_WAITS, begin="BEGIN", on_connect=lambda cursor: cursor.execute("PRAGMA query_only=ON"))


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what a database answers into `AuditUnavailable`, without the statement and its values.

    Args:
        doing: what is not possible then, for example "written".
    """
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
        name = " ".join(filter(None, (type(cause).__name__, code)))
        raise AuditUnavailable(f"the audit log cannot be {doing} ({name})") from None


@contextmanager
def explained_on_disk(doing: str) -> Iterator[None]:
    """Do the same for what a disk answers, too. Not for a caller's block, which may have files of its own."""
    try:
        with explained(doing):
            yield
    except OSError as error:
        raise AuditUnavailable(f"the audit log cannot be {doing} ({error.strerror or type(error).__name__})") from None


def _sqlite(url: URL, wait_seconds: float, *, begin: str, on_connect: Callable[[Any], object]) -> Engine:
    # the writer's thread alone uses a connection, but another one may close it
    arguments = {"timeout": wait_seconds, "check_same_thread": False}
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the sqlite3 module must not begin transactions of its own
        cursor = connection.cursor()
        try:
            on_connect(cursor)
        finally:
            cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _demand_durability_of_sqlite(cursor: Any) -> None:
    mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise AuditUnavailable("the audit database cannot keep a write-ahead log: put it on a local disk")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA fullfsync=ON")  # macOS: fsync alone does not reach the disk
    cursor.execute("PRAGMA temp_store=MEMORY")


def _postgresql(url: URL, wait_seconds: float, *, on_connect: Callable[[Any, int], None]) -> Engine:
    milliseconds = round(wait_seconds * 1000)
    arguments = {"connect_timeout": max(2, round(wait_seconds)), "tcp_user_timeout": milliseconds}
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            on_connect(cursor, milliseconds)
        connection.commit()

    return engine


def _demand_durability_of_postgresql(cursor: Any, milliseconds: int) -> None:
    cursor.execute(f"SET statement_timeout = {milliseconds}")
    if cursor.execute("SHOW fsync").fetchone()[0] == "off":
        raise AuditUnavailable("the PostgreSQL server runs with fsync = off: an audit log there can be lost")
    if cursor.execute("SHOW synchronous_commit").fetchone()[0] == "off":
        cursor.execute("SET synchronous_commit = on")


def _refuse_changes_in_postgresql(cursor: Any, _milliseconds: int) -> None:
    cursor.execute("SET default_transaction_read_only = on")
