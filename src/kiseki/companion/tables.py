"""The JSON and CSV views of the rows that count. Bytes are copied from the journal, numbers are never re-encoded."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import IO

import msgspec

from kiseki.history import Rows
from kiseki.vocabulary import BASIC, OPTIONAL

TRAINING_COLUMNS = (*BASIC, "attempt", *OPTIONAL)
"""CSV columns that are always there, in this order; further metrics follow in the order in which they appeared."""

EVALUATION_COLUMNS = ("step", "epoch", "timestamp", "elapsed_time_seconds", "attempt")

# spreadsheets take the full-width forms for formulas too
_ACTIVE_PREFIXES = tuple("=+-@\t\r＝＋－＠")
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
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
        out: receives UTF-8 with LF line ends; must be seekable.
    """
    names = list(columns)
    if not _write_rows(rows, names, out):
        # Rare, and seldom late: a run that records more than the fixed names is looked through once for all of them.
        _write_rows(rows, _widened(rows, names), out)


def _widened(rows: Rows, names: Sequence[str]) -> list[str]:
    """The names, and after them those that rows have besides, in the order in which they appeared."""
    wide = list(names)
    cells_of = _cells_decoder(wide)
    for payload in rows.payloads():
        try:
            cells_of(payload)
        except msgspec.DecodeError:
            row = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
            wide += [name for name in row if name not in wide]
            cells_of = _cells_decoder(wide)
    return wide


def _write_rows(rows: Rows, names: Sequence[str], out: IO[bytes]) -> bool:
    """Write the table from its beginning; False as soon as a row has a name that is not among these."""
    out.seek(0)
    out.truncate()
    out.write(_csv_line(_inactive(name) for name in names))
    cells_of = _cells_decoder(names)
    for payload in rows.payloads():
        try:
            cells = cells_of(payload)
        except msgspec.DecodeError:
            return False
        line = b",".join(cells)
        if line.count(b'"') <= 2 and b"nfinity" not in line:  # the timestamp is the only text, if there is one
            out.write(line.replace(b'"', b"") + b"\n")
        else:
            out.write(_csv_line(_cell(cell) for cell in cells))
    return True


def _cells_decoder(names: Sequence[str]) -> Callable[[bytes], Sequence[msgspec.Raw]]:
    """What gives a row's values as they stand in the journal, in the order of `names`, empty where there is none.

    It raises msgspec.DecodeError for a row with a name that is not among them.
    """
    missing, known = msgspec.Raw(b""), set(names)
    if any(_ESCAPED.search(name) for name in names):  # msgspec takes no such field names
        decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

        def cells(payload: bytes) -> Sequence[msgspec.Raw]:
            row = decode(payload)
            if not row.keys() <= known:
                raise msgspec.ValidationError("a name that is not among these")
            return [row.get(name, missing) for name in names]

        return cells
    fields = [f"cell_{place}" for place in range(len(names))]
    row_type = msgspec.defstruct(
        "Row",
        [(field, msgspec.Raw, missing) for field in fields],
        rename=dict(zip(fields, names, strict=True)),
        forbid_unknown_fields=True,
    )
    decode_struct = msgspec.json.Decoder(row_type).decode
    return lambda payload: msgspec.structs.astuple(decode_struct(payload))


def _csv_line(cells: Iterable[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(list(cells))
    return text.getvalue().encode("utf-8")


def _cell(raw: msgspec.Raw) -> str:
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
