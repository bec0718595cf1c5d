"""The secret keys of the audit log: one file each, made once, never overwritten.

A new key is put in use by making a new file and naming it to the server. The old files are kept, because rows that
were written under a key can only be checked with it; every row names its key by the key's id. The id is derived from
the key, so that a file whose key was exchanged is noticed when it is read.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from kiseki.evidence.private_file import write_private
from kiseki.filesystem import sync_folder
from so8t.serve.audit.errors import AuditKeyError

__all__ = ["AuditKey", "create_key", "load_key", "load_keys"]

KEY_BYTES = 32
_LARGEST_FILE = 4096


@dataclass(frozen=True)
class AuditKey:
    """One secret key.

    Attributes:
        key_id: 16 hexadecimal digits, derived from the key; may be shown.
        secret: 32 random bytes.

    Example:
        >>> AuditKey.of(bytes(32))
        AuditKey(key_id='b62b77bdc03560b3')
    """

    key_id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> AuditKey:
        """Give a key its id: the first 16 hexadecimal digits of SHA-256("so8t audit key" || secret)."""
        return cls(hashlib.sha256(b"so8t audit key" + secret).hexdigest()[:16], secret)


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["so8t-audit-key-1"]
    key_id: str
    secret: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


def create_key(path: Path) -> AuditKey:
    """Make a key file (mode 0600) with a new random key.

    Args:
        path: the file; nothing may stand there.

    Returns:
        The key.

    Raises:
        AuditKeyError: something stands there already, or the file cannot be written.
    """
    key = AuditKey.of(secrets.token_bytes(KEY_BYTES))
    content = msgspec.json.encode(_KeyFile("so8t-audit-key-1", key.key_id, key.secret.hex()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, msgspec.json.format(content, indent=2) + b"\n")
        sync_folder(path.parent)
    except FileExistsError:
        raise AuditKeyError(f"{path} exists and is never overwritten: name a new file for the new key") from None
    except OSError as error:
        raise AuditKeyError(f"{path} cannot be written ({error.strerror}): name a file elsewhere") from None
    return key


def load_key(path: Path) -> AuditKey:
    """Read a key file.

    Args:
        path: a file that `create_key` made.

    Returns:
        The key.

    Raises:
        AuditKeyError: there is no such file, others may read it (POSIX), or it is not what was written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "audit.key"
        >>> create_key(path) == load_key(path)
        True
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_FILE)
    except FileNotFoundError:
        raise AuditKeyError(f"key file {path} does not exist: make one with so8t audit keygen {path}") from None
    except OSError as error:
        raise AuditKeyError(f"key file {path} cannot be read ({error.strerror})") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise AuditKeyError(f"key file {path} is open to others (mode {stat.S_IMODE(mode):04o}): chmod 600 it")
    try:
        read = msgspec.json.decode(content, type=_KeyFile)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AuditKeyError(f"key file {path} is damaged or no key file of so8t audit keygen") from None
    key = AuditKey.of(bytes.fromhex(read.secret))
    if key.key_id != read.key_id:
        raise AuditKeyError(f"key file {path} does not hold the key that it names: restore it from its backup")
    return key


def load_keys(paths: Iterable[Path]) -> Mapping[str, AuditKey]:
    """Read several key files: the one in use and those of earlier times.

    Args:
        paths: key files.

    Returns:
        The keys by their ids.

    Raises:
        AuditKeyError: as for `load_key`.
    """
    return {key.key_id: key for key in map(load_key, paths)}
