"""TensorBoard's event file: every number of the record at its step and wall time.

Names are those of the Trainer's own TensorBoard log (`train/loss`, `eval/loss`), so that runs of both lie over each
other. The format holds single precision; the JSON and CSV of the run hold what was recorded.
"""

import heapq
import re
import struct
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from kiseki.exporters.tfrecord import framed
from kiseki.filesystem import replacing
from kiseki.history import History, JsonObject, Rows, number
from kiseki.vocabulary import BOOKKEEPING

_AT_ONCE = 4096
_UINT64 = (1 << 64) - 1
"""Protocol buffers write a negative int64 as its two's complement."""

# Fields of the protocol buffers Event, Summary and Summary.Value: number << 3 | wire type.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY = b"\x09", b"\x10", b"\x1a", b"\x2a"
_VALUE, _TAG, _SIMPLE_VALUE = b"\x0a", b"\x0a", b"\x15"


def events_name(history: History) -> str:
    """The file's name: the same for the same run wherever it is made, and without the name of a machine.

    TensorBoard takes any file whose name contains `tfevents`.
    """
    run = re.sub(r"[^A-Za-z0-9_.-]", "_", history.run_id)
    return f"events.out.tfevents.{int(_seconds(history.attempts[0].started, 0.0))}.{run}"


def write_events(history: History, path: Path, progress: Callable[[int, int], None] = lambda done, whole: None) -> None:
    """Write the training rows and evaluations that count as one event file.

    NaN and infinities stay what they are. A finite number beyond single precision (3.4e38) becomes infinite.

    Args:
        history: the record.
        path: the file; one that stands there is replaced, whole.
        progress: told how many rows and evaluations were written, of how many.

    Raises:
        OSError: it cannot be written.
    """
    events = _events(history)
    done, whole = 0, len(history.rows) + len(history.evaluations)
    with replacing(path) as out:
        while some := list(islice(events, _AT_ONCE)):
            out.write(framed(some))
            done += len(some)
            progress(min(done, whole), whole)


def _events(history: History) -> Iterator[bytes]:
    started = _seconds(history.attempts[0].started, 0.0)
    yield _WALL_TIME + struct.pack("<d", started) + _FILE_VERSION + _sized(b"brain.Event:2")
    fields: dict[str, bytes] = {}
    before = started
    # an evaluation comes after the training row of its step, as it did while training
    for step, row in heapq.merge(_stepped(history.rows), _stepped(history.evaluations), key=lambda pair: pair[0]):
        if "timestamp" in row:  # rows of an imported run have none
            before = _seconds(row["timestamp"], before)
        summary = b"".join(_values(row, fields))
        if summary:
            yield _WALL_TIME + struct.pack("<d", before) + _STEP + _varint(step & _UINT64) + _SUMMARY + _sized(summary)


def _stepped(rows: Rows) -> Iterator[tuple[int, JsonObject]]:
    return zip(rows.steps, rows.decoded(), strict=True)


def _values(row: JsonObject, fields: dict[str, bytes]) -> Iterator[bytes]:
    for name, recorded in row.items():
        before = fields.get(name)
        if before is None:
            before = fields[name] = _before_value(name)
        if before:
            value = recorded if type(recorded) is float else number(recorded)
            if value is not None:
                yield before + _single(value)


def _before_value(name: str) -> bytes:
    """Everything of a Summary.Value but its number; nothing for what is no metric."""
    if name in BOOKKEEPING:
        return b""
    group, tag = ("eval", name[len("eval_") :]) if name.startswith("eval_") else ("train", name)
    start = _TAG + _sized(f"{group}/{tag}".encode("utf-8", "replace")) + _SIMPLE_VALUE
    return _VALUE + _varint(len(start) + 4) + start


def _single(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def _sized(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if value <= 0x7F:
        return value.to_bytes(1, "little")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _seconds(timestamp: object, otherwise: float) -> float:
    """An RFC 3339 time as seconds since 1970."""
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return otherwise
