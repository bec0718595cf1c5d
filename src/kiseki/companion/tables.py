"""The JSON and CSV views of the rows that count. Bytes are copied from the journal, numbers are never re-encoded."""

import csv
import io
from collections.abc import Iterable
from typing import IO

import msgspec

from kiseki.history import Rows
from kiseki.vocabulary import BASIC, OPTIONAL

TRAINING_COLUMNS = (*BASIC, "attempt", *OPTIONAL)
"""CSV columns that are always there, in this order; further metrics follow in the order in which they appeared."""

EVALUATION_COLUMNS = ("step", "epoch", "timestamp", "elapsed_time_seconds", "attempt")

# spreadsheets take the full-width forms for formulas too
_ACTIVE_PREFIXES = tuple("=+-@\t\r＝＋－＠")
_NON_FINITE = {'"NaN"': "NaN", '"Infinity"': "inf", '"-Infinity"': "-inf"}


def write_json(rows: Rows, out: IO[bytes]) -> None:
    """A JSON array, one row a line, each row byte for byte as it stands in the journal."""
    separator = b"[\n"
    for payload in rows.payloads():
        out.write(separator)
        out.write(payload)
        separator = b",\n"
    out.write(b"\n]\n" if len(rows) else b"[]\n")


def write_csv(rows: Rows, columns: Iterable[str], out: IO[bytes]) -> None:
    """The same rows, wide: a missing metric is an empty cell, non-finite values are NaN, inf and -inf.

    Args:
        rows: the rows that count.
        columns: names that are always there; what else was recorded widens the table.
        out: receives UTF-8 with LF line ends.
    """
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    names = dict.fromkeys(columns)
    for payload in rows.payloads():
        names.update(dict.fromkeys(decode(payload)))
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_inactive(name) for name in names])
    for payload in rows.payloads():
        row = decode(payload)
        writer.writerow([_cell(row.get(name)) for name in names])
    text.flush()
    text.detach()


def _cell(raw: msgspec.Raw | None) -> str:
    if raw is None:
        return ""
    recorded = bytes(raw).decode("utf-8")
    if not recorded.startswith('"'):
        return recorded
    if recorded in _NON_FINITE:
        return _NON_FINITE[recorded]
    text = str(msgspec.json.decode(raw))
    return text if text.removeprefix("-").isdecimal() else _inactive(text)


def _inactive(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return f"'{text}" if text.startswith(_ACTIVE_PREFIXES) else text
