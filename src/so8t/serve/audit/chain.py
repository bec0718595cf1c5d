"""What binds rows together: each holds the hash of the one before it, and a keyed digest that only the server can make.

::

    row_hash = SHA-256(JSON of all columns but row_hash and row_hmac; keys sorted, no white space, UTF-8)
    row_hmac = HMAC-SHA-256(key, field("row_hmac") field("") field(row_hash))      field: see so8t.serve.audit.digests

`prev_row_hash` and `seq` are among the columns, so whoever changes a row has to make all later hashes anew. Without
the key nobody can make the matching `row_hmac`; without a key anybody can still check that the hashes hang together.
Every writer has a chain of its own, which begins at `GENESIS` with number 1.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

import msgspec

from so8t.serve.audit.digests import digest
from so8t.serve.audit.errors import AuditInputError
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.rows import Row, Value

__all__ = ["GENESIS", "Head", "chained", "row_hash", "row_hmac"]

GENESIS = "0" * 64
"""What stands in the place of the hash before the first row."""

_HEAD = re.compile(r"(\d{1,9}):(\d{1,18}):([0-9a-f]{64})")


class Head(NamedTuple):
    """How far a writer's chain reaches. Who remembers it notices when later somebody cuts rows off or remakes them.

    Attributes:
        writer: number of the writer.
        seq: number of its last row; 0 before the first one.
        row_hash: hash of that row.

    Example:
        >>> Head.parse(str(Head(1, 0, GENESIS))) == Head(1, 0, GENESIS)
        True
    """

    writer: int
    seq: int
    row_hash: str

    def __str__(self) -> str:
        return f"{self.writer}:{self.seq}:{self.row_hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read what `str` gives.

        Raises:
            AuditInputError: it is no head.
        """
        match = _HEAD.fullmatch(text.strip())
        if match is None:
            raise AuditInputError("a chain head is written WRITER:SEQ:HASH, as so8t audit verify prints it")
        return cls(int(match[1]), int(match[2]), match[3])


def chained(row: Row, head: Head, key: AuditKey) -> dict[str, Value]:
    """Append a row to a chain.

    Args:
        row: the columns that `so8t.serve.audit.rows.row_of` gives.
        head: where the chain ends so far.
        key: the secret key.

    Returns:
        All columns.
    """
    whole = {**row, "writer": head.writer, "seq": head.seq + 1, "prev_row_hash": head.row_hash}
    hashed = row_hash(whole)
    return {**whole, "row_hash": hashed, "row_hmac": row_hmac(key, hashed)}


def row_hash(row: Row) -> str:
    """Hash all columns of a row but the two that are made from the hash."""
    content = {name: value for name, value in row.items() if name not in ("row_hash", "row_hmac")}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def row_hmac(key: AuditKey, hashed: str) -> str:
    """Give the keyed digest of a row's hash."""
    return digest(key, "row_hmac", "", hashed)
