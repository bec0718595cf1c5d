"""Appends rows to one chain of the database.

Every process that writes holds a place of its own: the lowest number that nobody else holds. The place is a lock, so
it is free again when the process is gone, however it went; whoever takes it next goes on with its chain. There are as
many chains as servers ran at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from sqlalchemy import URL, func, select
from sqlalchemy.exc import DBAPIError

from kiseki.filesystem import FileLock
from so8t.serve.audit.chain import GENESIS, Head, chained
from so8t.serve.audit.database import explained_on_disk, sqlite_file, writing_engine
from so8t.serve.audit.errors import AuditConnectionLost, AuditUnavailable
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.rows import ROWS, Row
from so8t.serve.audit.schema import LOCK_CLASS, prepare

__all__ = ["ChainWriter"]

PLACES = 64
"""How many processes may write at the same time."""


class ChainWriter:
    """One place in the database, held until `close`. For one thread; after an error it has to be closed.

    Args:
        url: the database.
        key: the secret key.
        wait_seconds: how long a lock or a statement may take.

    Raises:
        AuditUnavailable: the database cannot be opened, or all places are taken.
    """

    def __init__(self, url: URL, key: AuditKey, *, wait_seconds: float = 5.0) -> None:
        self._key = key
        self._file = sqlite_file(url)
        self._held = ExitStack()
        try:
            with explained_on_disk("opened"):
                engine = writing_engine(url, wait_seconds=wait_seconds)
                self._held.callback(engine.dispose)
                self._connection = self._held.enter_context(engine.connect())
                with self._connection.begin():
                    prepare(self._connection)
                    self.head = self._read_head(self._take_place(wait_seconds))
                self._identity = self._identify()
        except BaseException:
            self.close()
            raise

    def append(self, rows: Sequence[Row]) -> None:
        """Append rows to the chain, all or none; they are durable when this returns.

        Args:
            rows: what `so8t.serve.audit.rows.row_of` gives, in order.

        Raises:
            AuditConnectionLost: none is there, nor will be: the connection broke before the transaction's end was sent.
                This object has to be closed.
            AuditUnavailable: they may or may not be there. No answer may be sent, and this object has to be closed.
        """
        head, whole = self.head, []
        for row in rows:
            whole.append(chained(row, head, self._key))
            head = Head(head.writer, head.seq + 1, str(whole[-1]["row_hash"]))
        with explained_on_disk("written"):
            # SQLite would go on writing into a file that somebody removed, and the rows would be gone with it
            if self._identify() != self._identity:
                raise AuditUnavailable("the audit database was removed or replaced while it was in use")
            with self._connection.begin():
                self._insert(whole)
        self.head = head

    def close(self) -> None:
        """Give the place back. Harmless when done twice."""
        with explained_on_disk("closed"):
            self._held.close()

    def _insert(self, rows: Sequence[Row]) -> None:
        try:
            self._connection.execute(ROWS.insert(), rows)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise AuditConnectionLost("the audit database closed the connection") from None
            raise

    def _take_place(self, wait_seconds: float) -> int:
        take = self._lock_of_file if self._file else self._lock_of_server
        for place in range(1, PLACES + 1):
            if take(place):
                return place
        raise AuditUnavailable(f"{PLACES} processes write into the audit log already: end one of them")

    def _lock_of_file(self, place: int) -> bool:
        assert self._file is not None
        lock = FileLock(self._file.with_name(f"{self._file.name}.writer-{place}.lock"))
        if lock.acquire():
            self._held.callback(lock.release)
        return lock.held

    def _lock_of_server(self, place: int) -> bool:
        # the lock belongs to the connection and goes with it
        return bool(self._connection.scalar(select(func.pg_try_advisory_lock(LOCK_CLASS, place))))

    def _read_head(self, writer: int) -> Head:
        newest = select(ROWS.c.seq, ROWS.c.row_hash).where(ROWS.c.writer == writer).order_by(ROWS.c.seq.desc()).limit(1)
        row = self._connection.execute(newest).first()
        return Head(writer, row.seq, row.row_hash) if row else Head(writer, 0, GENESIS)

    def _identify(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        found = self._file.stat()
        return found.st_dev, found.st_ino
