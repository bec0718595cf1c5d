"""Rows as text for others: the same rows always give the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

import msgspec

from kiseki.report.to_csv import inactive
from so8t.serve.audit.rows import COLUMNS, Row

__all__ = ["to_csv", "to_jsonl"]


def to_jsonl(rows: Iterable[Row]) -> Iterator[bytes]:
    r"""Give one JSON object per line, keys sorted, no white space: without `row_hash` and `row_hmac` a line is hashed.

    Example:
        >>> list(to_jsonl([{"seq": 1, "error_code": None}]))
        [b'{"error_code":null,"seq":1}\n']
    """
    for row in rows:
        yield msgspec.json.encode(row, order="sorted") + b"\n"


def to_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """Give a table with a head line; what is not there is an empty cell, and no cell is a formula."""
    yield _line(COLUMNS)
    for row in rows:
        yield _line([inactive(value) if isinstance(value, str) else value for value in (row[name] for name in COLUMNS)])


def _line(cells: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8")
