"""Commits audit rows before answers are sent: many requests, one writing thread, one transaction for all who wait."""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from so8t.serve.audit.chain import Head
from so8t.serve.audit.database import database_url
from so8t.serve.audit.errors import AuditConnectionLost, AuditUnavailable
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.rows import Row, row_of
from so8t.serve.audit.writer import ChainWriter

__all__ = ["AuditLog"]

LARGEST_BATCH = 256
CAPACITY = 2048


class _Waiting(NamedTuple):
    audit_id: str
    row: Row
    done: Future[str]


class AuditLog:
    """The audit log of one server process.

    Texts are hashed in `commit` itself; only digests go to the writing thread. Rows are written in the order in which
    they were handed in. A connection that broke while nothing was written, as servers close idle ones, is made anew at
    once. After any other failure the database is opened anew for the next row, so the log works again as soon as the
    database does.

    Args:
        where: path of a SQLite file, or URL of a PostgreSQL database; made and migrated if need be.
        key: the secret key.
        wait_seconds: how long the database may take over a lock or a statement, and `commit` over everything.
        capacity: how many rows may wait; beyond that `commit` refuses.
        now: gives the time of a row.

    Raises:
        AuditUnavailable: the database cannot be opened: no server should start then.

    Example:
        >>> import asyncio, tempfile
        >>> from so8t.data.thinking_record import SafetyLabel
        >>> from so8t.serve.outcome import Outcome
        >>> log = AuditLog(Path(tempfile.mkdtemp()) / "audit.db", AuditKey.of(bytes(32)))
        >>> event = AuditEvent(request_id="r1", user_id="u", query="q", answer="a", raw_output=None, parts=None,
        ...                    outcome=Outcome.TIMED_OUT, safety_label=SafetyLabel.REFUSE, latency_ms=9, model_id="m")
        >>> len(asyncio.run(log.commit(event)))
        32
        >>> log.head.seq
        1
        >>> log.close()
    """

    def __init__(
        self,
        where: str | Path,
        key: AuditKey,
        *,
        wait_seconds: float = 5.0,
        capacity: int = CAPACITY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        url = database_url(where)
        self._key = key
        self._wait_seconds = wait_seconds
        self._now = now
        self._open: Callable[[], ChainWriter] = lambda: ChainWriter(url, key, wait_seconds=wait_seconds)
        self._writer: ChainWriter | None = self._open()
        self._head = self._writer.head
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(capacity)
        self._entering = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._write_until_closed, name="audit-log", daemon=True)
        self._thread.start()

    @property
    def head(self) -> Head:
        """How far this process's chain reaches."""
        return self._head

    @property
    def commit_seconds(self) -> float:
        """The longest that `commit` takes."""
        return 2 * self._wait_seconds

    async def commit(self, event: AuditEvent) -> str:
        """Commit one row. The answer may be sent when this has returned, not before.

        A caller who is cancelled meanwhile takes nothing back: the row is written.

        Args:
            event: what happened.

        Returns:
            The row's audit id, 32 hexadecimal digits; random, so it tells nothing about how many rows there are.

        Raises:
            AuditUnavailable: the row is not there, or was not confirmed in time: answer 503.
        """
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.submit(event)), self.commit_seconds)
        except TimeoutError:
            raise AuditUnavailable("the audit log did not confirm a row in time") from None

    def submit(self, event: AuditEvent) -> Future[str]:
        """Hand in one row without waiting.

        Returns:
            Gives the audit id when the row is committed, or raises `AuditUnavailable`.

        Raises:
            AuditUnavailable: too many rows wait, or the log is closed.
        """
        with self._entering:
            if self._closed:
                raise AuditUnavailable("the audit log is closed")
            audit_id = secrets.token_hex(16)
            done: Future[str] = Future()
            done.set_running_or_notify_cancel()  # from here on nobody can cancel it: who gives up takes no row along
            row = row_of(event, self._key, audit_id=audit_id, now=self._now())
            try:
                self._queue.put_nowait(_Waiting(audit_id, row, done))
            except queue.Full:
                raise AuditUnavailable("too many rows wait for the audit log") from None
        return done

    def close(self) -> None:
        """Write what waits, then end. Harmless when done twice."""
        with self._entering:
            closed, self._closed = self._closed, True
        if not closed:
            self._queue.put(None)
        self._thread.join()

    def _write_until_closed(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._next_batch()
            if batch:
                self._write(batch)
        self._drop_writer()

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        """Wait for a row and take along all that have come meanwhile; False when there are no more to come."""
        batch: list[_Waiting] = []
        entry = self._queue.get()
        while entry is not None:
            batch.append(entry)
            if len(batch) == LARGEST_BATCH:
                return batch, True
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            self._append([waiting.row for waiting in batch])
        except Exception as error:  # noqa: BLE001 -- whoever waits must be told; the thread has to live on
            self._drop_writer()
            reason = (
                str(error) if isinstance(error, AuditUnavailable) else f"the audit log failed ({type(error).__name__})"
            )
            for waiting in batch:
                waiting.done.set_exception(AuditUnavailable(reason))
            return
        for waiting in batch:
            waiting.done.set_result(waiting.audit_id)

    def _append(self, rows: list[Row]) -> None:
        try:
            self._writer = self._writer or self._open()
            self._writer.append(rows)
        except AuditConnectionLost:
            self._drop_writer()
            self._writer = self._open()
            self._writer.append(rows)
        self._head = self._writer.head

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(AuditUnavailable):
                writer.close()
