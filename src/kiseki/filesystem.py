"""The one module that knows operating systems: making durable, replacing, locking.

Linux is where it is tested. On Windows a file that somebody reads cannot be replaced, so replacing is retried for
two seconds, and there is no `fdatasync` and no opening of folders, so durability is what `os.fsync` gives.
"""

import contextlib
import importlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

WINDOWS = sys.platform == "win32"

APPEND_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

TEMPORARY_SUFFIX = ".tmp"
_REPLACE_RETRY_SECONDS = 2.0

sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""Makes the bytes of an open file durable: `fdatasync` where there is one, else `fsync`."""


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable, whoever wrote them.

    Raises:
        OSError: the disk refused, or the file cannot be opened.
    """
    # elsewhere than on Windows a file that may only be read can be synced: an archived journal stays readable
    descriptor = os.open(path, (os.O_RDWR if WINDOWS else os.O_RDONLY) | getattr(os, "O_CLOEXEC", 0))
    try:
        sync_data(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; does nothing where folders cannot be opened (Windows)."""
    if WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(
    source: Path,
    target: Path,
    *,
    rename: Callable[[Path, Path], None] = os.replace,
    retry_seconds: float = _REPLACE_RETRY_SECONDS if WINDOWS else 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Put `source` in the place of `target`, retrying for a while where a reader's hold on `target` forbids it.

    Args:
        source: disappears.
        target: is replaced in one step.
        rename: the operating system's call.
        retry_seconds: how long a refusal may be a reader's; elsewhere than on Windows it never is.
        sleep: waits so many seconds.

    Raises:
        OSError: the target could not be replaced; `source` still stands.
    """
    waited, pause = 0.0, 0.01
    while True:
        try:
            rename(source, target)
        except PermissionError:
            if waited >= retry_seconds:
                raise
            pause = min(pause, retry_seconds - waited)
            sleep(pause)
            waited, pause = waited + pause, pause * 2
        else:
            return


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `target` when the block ends, whole and durable, or leaves it untouched.

    Temporary file in the same folder, fsync, rename, fsync of the folder.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.json"
        >>> with replacing(target) as out:
        ...     _ = out.write(b"[]")
        >>> target.read_bytes()
        b'[]'
    """
    with _temporary(target) as (out, temporary):
        yield out
        _finish(out)
        replace(temporary, target)
    sync_folder(target.parent)


def write_new(target: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file that must not exist yet, whole and durable or not at all.

    Args:
        target: the file.
        content: all of it, or parts that need not be in memory together.

    Raises:
        FileExistsError: something of that name stands there; it is not touched.
    """
    with _temporary(target) as (out, temporary):
        out.writelines([content] if isinstance(content, bytes) else content)
        _finish(out)
        if WINDOWS:
            temporary.rename(target)  # raises FileExistsError on Windows, where it never overwrites
        else:
            try:
                os.link(temporary, target)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links: exFAT, some network mounts
                _copy_exclusively(temporary, target)
    sync_folder(target.parent)


def _copy_exclusively(source: Path, target: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    with source.open("rb") as content, os.fdopen(os.open(target, flags, 0o666), "wb") as out:
        try:
            shutil.copyfileobj(content, out)
            _finish(out)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[tuple[IO[bytes], Path]]:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[:60]}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as out:
            yield out, temporary
    finally:
        temporary.unlink(missing_ok=True)


def _finish(out: IO[bytes]) -> None:
    out.flush()
    os.fsync(out.fileno())
    out.close()  # Windows does not rename what is open


def sweep_temporaries(target: Path) -> None:
    """Remove what killed writers of `target` left; only for whoever holds the lock of that target."""
    for left in target.parent.glob(f".{target.name[:60]}.*{TEMPORARY_SUFFIX}"):
        left.unlink(missing_ok=True)


class LockCalls(NamedTuple):
    """How an operating system locks an open file without waiting."""

    try_lock: Callable[[int], bool]
    """Locks a descriptor; False when somebody else holds the lock."""
    unlock: Callable[[int], None]


def posix_lock_calls(fcntl: Any) -> LockCalls:
    """Locking with `flock`."""

    def try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    return LockCalls(try_lock, lambda descriptor: fcntl.flock(descriptor, fcntl.LOCK_UN))


def windows_lock_calls(msvcrt: Any) -> LockCalls:
    """Locking with the C runtime's `_locking`: the file's first byte, which need not exist."""

    def locking(descriptor: int, mode: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, mode, 1)

    def try_lock(descriptor: int) -> bool:
        try:
            locking(descriptor, msvcrt.LK_NBLCK)
        except OSError:
            return False
        return True

    return LockCalls(try_lock, lambda descriptor: locking(descriptor, msvcrt.LK_UNLCK))


def _lock_calls_here() -> LockCalls:
    try:
        return posix_lock_calls(importlib.import_module("fcntl"))
    except ImportError:
        return windows_lock_calls(importlib.import_module("msvcrt"))


class FileLock:
    """A lock that the kernel releases with the process, whatever becomes of it.

    `flock` and not `lockf`: the second is lost when any descriptor of the file is closed. The lock belongs to the
    open file, so a forked child must close its copy (`drop_in_child`), never unlock it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.lock"
        >>> first, second = FileLock(path), FileLock(path)
        >>> first.acquire(), second.acquire(), first.release(), second.acquire()
        (True, False, None, True)
        >>> second.release()
    """

    def __init__(self, path: Path, calls: LockCalls | None = None) -> None:
        self._path = path
        self._calls = calls or _lock_calls_here()
        self._descriptor = -1

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor >= 0

    def acquire(self, timeout: float = 0.0, *, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Take the lock, waiting up to `timeout` seconds; False when somebody else holds it."""
        if self.held:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        waited, pause = 0.0, 0.005
        try:
            while not self._calls.try_lock(descriptor):
                if waited >= timeout:
                    return False
                sleep(pause)
                waited, pause = waited + pause, min(pause * 2, 0.1)
            self._descriptor = descriptor
            return True
        finally:
            if not self.held:
                os.close(descriptor)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self.held:
            descriptor, self._descriptor = self._descriptor, -1
            # closing releases it too, unless a child that has not dropped it yet was forked meanwhile
            with contextlib.suppress(OSError):
                self._calls.unlock(descriptor)
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def drop_in_child(self) -> None:
        """In a forked child: close the inherited descriptor without unlocking what the parent holds."""
        if self.held:
            os.close(self._descriptor)
            self._descriptor = -1
