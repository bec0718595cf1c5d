"""The journal: one process appends whole lines to one file, and that file is the truth of a run.

What survives:

- SIGKILL of the process: every line whose `append` returned True. The bytes are in the kernel by then; one `os.write`
  of the whole line on an `O_APPEND` descriptor, nothing buffered here.
- Loss of power: every line before the last `sync`. The companion syncs once a second, `flush()` at once.
- A half-written line: the kernel may cut a write short at a kill or a full disk. While we live the rest is written
  first of all; at the next opening a torn tail is moved to `journal.broken-N` and noted (see `opening`).
- A full or failing disk: nothing is raised. Lines wait in memory, up to one MiB; what does not fit is dropped and
  counted, and a `write_failure` note says how many, from when to when, as soon as writing works again.
- Ctrl-C, and handlers of signals that record: they come between any two steps of `append`, so number and length of a
  line are remembered before it is written, and a digest that missed a line is made up from the file at the next seal.
- Two writers: the second cannot take the lock. A forked child has neither lock nor descriptor.

What does not: bytes that the disk itself loses or changes after it said they were safe. A changed byte is found (CRC,
seals) but not mended.
"""

import errno
import hashlib
import os
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from kiseki.filesystem import APPEND_FLAGS, FileLock, sync_data
from kiseki.record.clock import Clock, TimestampWriter
from kiseki.record.forked import drop_in_children
from kiseki.record.line import NOTE, ROW, SEAL, frame
from kiseki.record.row import step_of

_WAITING_LIMIT_BYTES = 1 << 20
_CLOSED = -1


class Position(NamedTuple):
    """Where a journal stands: what must be known to append to it."""

    lines: int = 0
    bytes: int = 0
    sealed_bytes: int = 0
    digest: "hashlib._Hash" = hashlib.sha256()


@dataclass
class _Interval:
    """An interval in which writing failed, and what it cost."""

    error: str
    since: str
    delayed: int = 0
    dropped: int = 0
    first_step: int | None = None
    last_step: int | None = None

    def note(self, timestamp: str) -> dict[str, Any]:
        told = {name: value for name, value in asdict(self).items() if value is not None}
        return {"kind": "write_failure", "timestamp": timestamp, **told}


class Journal:
    """Appends lines to a journal whose lock the caller has taken.

    Not for several threads at once: the recorder serialises its callers.

    Args:
        path: the file; made when missing.
        lock: held by this process; released by `close`.
        position: where the file stands, from `opening.recover`, or the default for a new one.
        clock: for the times in notes.

    Raises:
        OSError: the file cannot be opened for appending.
    """

    def __init__(self, path: Path, lock: FileLock, position: Position, clock: Clock) -> None:
        self._path = path
        self._lock = lock
        self._descriptor = os.open(path, APPEND_FLAGS, 0o666)
        self._seq, self._bytes, self._sealed, self._digest = position
        self._hashed = self._bytes
        self._digest = self._digest.copy()
        self._extend_digest = self._digest.update
        self._clock = clock
        self._timestamp = TimestampWriter()
        self._unfinished = b""
        self._unfinished_kind = ""
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._failure: _Interval | None = None
        self.dropped_rows = 0
        self.write_errors = 0
        self.sync_errors = 0
        drop_in_children(self)

    @property
    def is_open(self) -> bool:
        """Whether this process can append."""
        return self._descriptor != _CLOSED

    @property
    def failing(self) -> str:
        """Why nothing can be written at present, in the system's words; empty while all is well."""
        return "" if self._failure is None else self._failure.error

    @property
    def waiting_rows(self) -> int:
        """Rows that are in memory only, or not wholly in the file, because writing fails at present."""
        return sum(kind == ROW for kind, _ in self._waiting) + (self._unfinished_kind == ROW)

    def append(self, kind: str, payload: bytes) -> bool:
        """Append one line; True when all of it is in the kernel, so that SIGKILL cannot take it."""
        descriptor = self._descriptor
        if descriptor == _CLOSED:
            return False
        if self._failure is not None and not self._drain():
            self._wait(kind, payload)
            return False
        # The usual way stands here in full, and `_write` below says it again for lines that waited: a call saved is a
        # tenth of what a row costs beyond its bytes.
        seq, start = self._seq, self._bytes
        line = frame(kind, payload, seq)
        end = start + len(line)
        if seq != self._seq:  # a signal's handler has recorded something since
            return self.append(kind, payload)
        self._seq, self._bytes = seq + 1, end
        try:
            written = os.write(descriptor, line)
        except BaseException as error:
            if self._take_back(kind, line, start) and isinstance(error, OSError):
                self._begin_failure(error)
                self._wait(kind, payload)
                return False
            raise
        if self._hashed == start:
            self._hashed = end
            self._extend_digest(line)
        return start + written == end or self._finish_later(kind, line, written)

    def seal(self) -> None:
        """Write length and SHA-256 of everything so far, unless nothing came since the last seal."""
        if self._bytes > self._sealed and self._failure is None and self._descriptor != _CLOSED:
            if self._hashed != self._bytes:
                self._hash_the_rest()
            length = self._hashed
            payload = b'{"bytes":%d,"sha256":"%b"}' % (length, self._digest.hexdigest().encode())
            if self._write(SEAL, payload, length):
                self._sealed = self._bytes

    def sync(self) -> bool:
        """Make everything appended so far survive loss of power; False when the disk refused or rows are waiting."""
        if self._failure is not None:
            self._drain()
        if self._descriptor == _CLOSED or self._failure is not None:
            return False
        try:
            sync_data(self._descriptor)
            if os.fstat(self._descriptor).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "the journal was removed while it was written")
        except OSError as error:
            self.sync_errors += 1
            self._note(
                {"kind": "sync_failure", "timestamp": self._now(), "error": error.strerror or type(error).__name__}
            )
            return False
        return True

    def close(self) -> None:
        """Give back descriptor and lock. Rows still waiting are lost and stay counted as dropped."""
        if self._descriptor == _CLOSED:
            return
        if self._failure is not None:
            self._drain()
        self.dropped_rows += self.waiting_rows
        self._waiting.clear()
        self._unfinished_kind = ""
        descriptor, self._descriptor = self._descriptor, _CLOSED
        try:
            os.close(descriptor)
        except OSError:  # a network file system tells here what it could not write
            self.sync_errors += 1
        finally:
            self._lock.release()

    def drop_in_child(self) -> None:
        """In a forked child: close the copies, write nothing ever."""
        if self._descriptor != _CLOSED:
            os.close(self._descriptor)
            self._descriptor = _CLOSED
        self._lock.drop_in_child()

    def _write(self, kind: str, payload: bytes, start: int) -> bool:
        """Write one line where the file ends; a line that was begun is finished by `_drain`.

        Returns:
            False when nothing of it is in the file; so too when a signal's handler has recorded something at `start`.
        """
        line = frame(kind, payload, self._seq)
        end = start + len(line)
        if start != self._bytes:
            return False
        self._seq, self._bytes = self._seq + 1, end
        try:
            written = os.write(self._descriptor, line)
        except BaseException as error:
            if self._take_back(kind, line, start) and isinstance(error, OSError):
                self._begin_failure(error)
                return False
            raise
        if self._hashed == start:
            self._hashed = end
            self._extend_digest(line)
        if start + written != end:
            self._finish_later(kind, line, written)
        return True

    def _take_back(self, kind: str, line: bytes, start: int) -> bool:
        """Free the number of a line whose write was cut off by an exception; False when something of it is written.

        What a signal's handler raises comes out of `os.write` also when the kernel has taken the line.
        """
        if self._descriptor == _CLOSED:
            return False
        try:
            written = os.fstat(self._descriptor).st_size - start
        except OSError:  # where nothing can be asked, nothing was taken
            written = 0
        if written <= 0:
            self._seq, self._bytes = self._seq - 1, start
            return True
        if written < len(line):
            self._finish_later(kind, line, written)
        return False

    def _hash_the_rest(self) -> None:
        with self._path.open("rb") as journal:
            journal.seek(self._hashed)
            rest = journal.read(self._bytes - self._hashed)
        self._hashed += len(rest)
        self._extend_digest(rest)

    def _finish_later(self, kind: str, line: bytes, written: int) -> bool:
        """The kernel took a part of a line: the rest is what is written next, now or when there is room."""
        self._unfinished, self._unfinished_kind = line[written:], kind
        return self._finish_line()

    # -- while writing fails ------------------------------------------------------------------------------------

    def _begin_failure(self, error: OSError) -> None:
        self.write_errors += 1
        if self._failure is None:
            self._failure = _Interval(error=error.strerror or type(error).__name__, since=self._now())

    def _wait(self, kind: str, payload: bytes) -> None:
        if self._waiting_bytes + len(payload) <= _WAITING_LIMIT_BYTES:
            self._waiting.append((kind, payload))
            self._waiting_bytes += len(payload)
        elif kind == ROW and self._failure is not None:
            self.dropped_rows += 1
            self._failure.dropped += 1
            self._failure.last_step = step_of(payload)
            if self._failure.first_step is None:
                self._failure.first_step = self._failure.last_step

    def _drain(self) -> bool:
        """Write what is unfinished, then what waits, in order; True when nothing is left and a note says so."""
        failure = self._failure
        if failure is None or not self._finish_line():
            return failure is None
        while self._waiting:
            kind, payload = self._waiting[0]
            if not self._write(kind, payload, self._bytes):
                return False
            self._waiting.popleft()
            self._waiting_bytes -= len(payload)
            failure.delayed += kind == ROW
            if self._unfinished:
                return False
        self._failure = None
        return self._note(failure.note(self._now()))

    def _finish_line(self) -> bool:
        while self._unfinished:
            try:
                written = os.write(self._descriptor, self._unfinished)
            except OSError as error:
                self._begin_failure(error)
                return False
            self._unfinished = self._unfinished[written:]
        if self._unfinished_kind == ROW and self._failure is not None:
            self._failure.delayed += 1
        self._unfinished_kind = ""
        return True

    def _note(self, note: dict[str, Any]) -> bool:
        return self.append(NOTE, msgspec.json.encode(note))

    def _now(self) -> str:
        return self._timestamp(self._clock.wall_nanoseconds())


class NoJournal:
    """The journal of a rank that does not record: takes everything, keeps nothing, counts nothing."""

    is_open = True
    failing = ""
    dropped_rows = waiting_rows = write_errors = sync_errors = 0

    def append(self, kind: str, payload: bytes) -> bool:
        """Nothing is kept."""
        return False

    def seal(self) -> None:
        """There is nothing to seal."""

    def sync(self) -> bool:
        """There is nothing that could be lost."""
        return True

    def close(self) -> None:
        """From now on it says that it is closed, as a journal does."""
        self.is_open = False
