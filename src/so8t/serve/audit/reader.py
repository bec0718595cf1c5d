"""Reads the audit log, whoever writes into it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, func, select

from so8t.serve.audit.chain import Head
from so8t.serve.audit.database import database_url, explained, reading_engine
from so8t.serve.audit.errors import AuditInputError
from so8t.serve.audit.rows import ROWS, Row
from so8t.serve.audit.schema import MIGRATIONS, newest, stored_version

__all__ = ["find_row", "heads", "last_rows", "opened", "outcome_counts", "rows_in_order"]

_ROWS_AT_ONCE = 1000


@contextmanager
def opened(where: str | Path) -> Iterator[Connection]:
    """Open an audit log for reading; all that is read in the block is of one moment.

    Args:
        where: path or URL of the database.

    Raises:
        AuditInputError: there is no audit log there, or it is of another version.
        AuditUnavailable: the database does not answer.
    """
    engine = reading_engine(database_url(where))
    try:
        with explained("read"), engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            found, known = stored_version(connection), newest(MIGRATIONS)
            if found is None:
                raise AuditInputError("this database holds no audit log: name another with --database")
            if found != known:
                raise AuditInputError(f"the audit tables are of version {found}, this program reads version {known}")
            yield connection
    finally:
        engine.dispose()


def rows_in_order(connection: Connection) -> Iterator[Row]:
    """Give all rows, chain by chain, each in its order, without holding them in memory together."""
    ordered = select(ROWS).order_by(ROWS.c.writer, ROWS.c.seq).execution_options(yield_per=_ROWS_AT_ONCE)
    for row in connection.execute(ordered).mappings():
        yield dict(row)


def find_row(connection: Connection, audit_id: str) -> Row:
    """Give the row that an answer was sent with.

    Raises:
        AuditInputError: there is no such row.
    """
    row = connection.execute(select(ROWS).where(ROWS.c.audit_id == audit_id)).mappings().first()
    if row is None:
        raise AuditInputError("no row has this audit id: take it from an answer, or from so8t audit show")
    return dict(row)


def last_rows(connection: Connection, count: int) -> list[Row]:
    """Give the newest rows of all chains, the oldest of them first."""
    newest_first = select(ROWS).order_by(ROWS.c.ts_utc.desc(), ROWS.c.writer, ROWS.c.seq.desc()).limit(count)
    rows: list[Row] = [dict(row) for row in connection.execute(newest_first).mappings()]
    return rows[::-1]


def outcome_counts(connection: Connection) -> dict[str, int]:
    """Count the rows by outcome, in alphabetical order."""
    counted = select(ROWS.c.outcome, func.count().label("rows")).group_by(ROWS.c.outcome).order_by(ROWS.c.outcome)
    return {row.outcome: row.rows for row in connection.execute(counted)}


def heads(connection: Connection) -> tuple[Head, ...]:
    """Give how far each chain reaches, by writer; whether they are whole is for `verify` to say."""
    last = select(ROWS.c.writer, func.max(ROWS.c.seq).label("seq")).group_by(ROWS.c.writer).subquery()
    joined = select(ROWS.c.writer, ROWS.c.seq, ROWS.c.row_hash).join(
        last, (ROWS.c.writer == last.c.writer) & (ROWS.c.seq == last.c.seq)
    )
    return tuple(Head(*row) for row in connection.execute(joined.order_by(ROWS.c.writer)))
