"""Makes the tables, and brings those of an older version up to date.

A fresh database gets the newest tables at once. An older one is brought up version by version; a newer one is left
alone. Whoever comes second waits for the first one's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Column, Connection, Integer, Table, func, inspect, select, text

from so8t.serve.audit.errors import AuditUnavailable
from so8t.serve.audit.rows import METADATA

__all__ = ["LOCK_CLASS", "MIGRATIONS", "prepare", "stored_version"]

MIGRATIONS: Mapping[int, Sequence[str]] = {}
"""The SQL statements that lead to a version from the one before it; the first version, 1, needs none."""

LOCK_CLASS = 0x508A
"""First half of the PostgreSQL advisory locks that the audit log takes; 0 in the second half is the schema's."""

_SCHEMA = Table("audit_schema", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))


def newest(migrations: Mapping[int, Sequence[str]]) -> int:
    """Give the version that this program writes."""
    return max(migrations, default=1)


def stored_version(connection: Connection) -> int | None:
    """Give the version of the tables in the database; None where there are none."""
    if not inspect(connection).has_table(_SCHEMA.name):
        return None
    version: int | None = connection.scalar(select(func.max(_SCHEMA.c.version)))
    return version


def prepare(connection: Connection, migrations: Mapping[int, Sequence[str]] = MIGRATIONS) -> None:
    """Make or update the tables, within the caller's transaction.

    Args:
        connection: a database; in SQLite the transaction holds the write lock.
        migrations: as `MIGRATIONS`.

    Raises:
        AuditUnavailable: the tables are of a newer version than this program knows.
    """
    wanted = newest(migrations)
    if stored_version(connection) == wanted:
        return  # a server needs no right to change tables
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK_CLASS, 0)))
    found = stored_version(connection)
    if found is None:
        METADATA.create_all(connection)
    elif found > wanted:
        raise AuditUnavailable(
            f"the audit tables are of version {found}, this program knows up to {wanted}: use a newer so8t"
        )
    for version in range((found or wanted) + 1, wanted + 1):
        for statement in migrations[version]:
            connection.execute(text(statement))
    if found != wanted:
        connection.execute(_SCHEMA.insert().values(version=wanted))
