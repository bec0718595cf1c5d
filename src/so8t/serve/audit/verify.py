"""Checks that the rows are those that were written: each as it was, in order, none missing in between.

What the chains alone cannot show is that rows were cut off at their end, or a whole chain taken away: for that, heads
have to be remembered somewhere else (`since`). What the chains without the keys cannot show is that somebody made all
hashes anew.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from so8t.serve.audit.chain import GENESIS, Head, row_hash, row_hmac
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.rows import Row

__all__ = ["Finding", "Verification", "verify", "wrong_in_itself"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written.

    Attributes:
        writer: number of the chain.
        seq: number of the row.
        message: what is wrong.
    """

    writer: int
    seq: int
    message: str

    def __str__(self) -> str:
        return f"chain {self.writer}, row {self.seq}: {self.message}"


@dataclass(frozen=True)
class Verification:
    """What a check of the whole log found.

    Attributes:
        rows: number of rows.
        heads: how far each chain reaches, by writer.
        findings: what is wrong, in the order of the rows; empty when the log is whole.
        with_keys: whether the keyed digests of the rows were checked, too.
    """

    rows: int
    heads: tuple[Head, ...]
    findings: tuple[Finding, ...]
    with_keys: bool


def verify(rows: Iterable[Row], keys: Mapping[str, AuditKey], since: Iterable[Head] = ()) -> Verification:
    """Check a whole log.

    Args:
        rows: all rows, ordered by writer and number.
        keys: the keys by their ids; without any, only the hashes are checked. With some, a row of an unknown key is a
            finding: a forger would use a key of his own.
        since: heads that were remembered earlier; their rows must still be there, and be those. Each one is held
            against the log, also where several name the same row.

    Returns:
        What was found.
    """
    remembered: dict[tuple[int, int], set[str]] = {}
    for head in since:
        remembered.setdefault((head.writer, head.seq), set()).add(head.row_hash)
    count, heads, findings = 0, [], []
    for writer, chain in groupby(rows, key=lambda row: row["writer"]):
        head = Head(_number(writer), 0, GENESIS)
        for row in chain:
            seq = _number(row["seq"])
            wrong = (*_out_of_place(row, head), *wrong_in_itself(row, keys))
            findings += [Finding(head.writer, seq, text) for text in wrong]
            head = Head(head.writer, seq, str(row["row_hash"]))
            if remembered.pop((head.writer, head.seq), {head.row_hash}) != {head.row_hash}:
                findings.append(Finding(head.writer, head.seq, "is another row than the remembered one"))
            count += 1
        heads.append(head)
    gone = [place for place, hashes in remembered.items() if place[1] or hashes != {GENESIS}]
    findings += [Finding(*place, "is gone, though it was remembered") for place in sorted(gone)]
    return Verification(count, tuple(heads), tuple(findings), with_keys=bool(keys))


def wrong_in_itself(row: Row, keys: Mapping[str, AuditKey]) -> Iterator[str]:
    """Give what is wrong with a row, whatever stands around it.

    Args:
        row: all its columns.
        keys: as for `verify`.
    """
    if not all(map(_is_written, row.values())):
        yield "was changed: it holds what the log never writes"
    hashed = row_hash(row)
    if row["row_hash"] != hashed:
        yield "was changed: its hash does not match"
    if not keys:
        return
    key = keys.get(str(row["key_id"]))
    if key is None:
        yield f"names the key {row['key_id']!r}, which was not given"
    elif not hmac.compare_digest(row_hmac(key, hashed).encode(), str(row["row_hmac"]).encode()):
        yield "was not written by the server: its keyed digest does not match"


def _out_of_place(row: Row, head: Head) -> Iterator[str]:
    if row["seq"] != head.seq + 1:
        yield f"follows row {head.seq}: rows are missing in between"
    if row["prev_row_hash"] != head.row_hash:
        yield "does not continue the row before it"


def _is_written(value: object) -> bool:
    """Tell whether the log writes such values. SQLite keeps others, and some have the JSON of what they replaced."""
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _number(value: object) -> int:
    """Give a column's number; 0, which no row has, where somebody put something else."""
    return value if isinstance(value, int) else 0
