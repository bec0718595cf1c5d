"""How far a record reaches: when it ends, at which step, after how long, and with which values."""

from dataclasses import dataclass
from typing import Any

import msgspec

from kiseki.analysis.statistics import in_order
from kiseki.history import History, JsonObject, Rows, number
from kiseki.vocabulary import BOOKKEEPING


@dataclass(frozen=True, slots=True)
class FinalValue:
    """The last value of a metric.

    Attributes:
        recorded: as it was recorded last; non-finite values are strings.
        step: optimizer step of it.
    """

    recorded: Any
    step: int


def end_time(history: History) -> str:
    """The last dated line of a record, RFC 3339, UTC."""
    last = history.attempts[-1]
    return last.ended or last.started


def total_steps(history: History) -> int:
    """The last optimizer step of a record, as far as any of its lines tells."""
    steps = [rows.steps[-1] for rows in (history.rows, history.evaluations) if rows]
    stated = ((history.closed or {}).get("last_step"), history.opened.get("resume_step"))
    return max([*steps, *(step for step in stated if isinstance(step, int))], default=0)


def total_time_seconds(history: History) -> float:
    """Recorded time over all attempts: the clock of the record runs on, so its latest reading is the total."""
    readings = [history.opened.get("elapsed_before_seconds"), (history.closed or {}).get("elapsed_time_seconds")]
    readings += [
        msgspec.json.decode(rows.payload(len(rows) - 1)).get("elapsed_time_seconds")
        for rows in (history.rows, history.evaluations)
        if rows
    ]
    return max((value for reading in readings if (value := number(reading)) is not None), default=0.0)


def final_values(rows: Rows) -> dict[str, FinalValue]:
    """The last recorded value of every metric, as it was recorded."""
    final: dict[str, FinalValue] = {}
    last_rows: dict[int, JsonObject] = {}
    for name in in_order(rows.columns):
        if name in BOOKKEEPING:
            continue
        column = rows.columns[name]
        position = column.position[-1]
        if position not in last_rows:
            last_rows[position] = msgspec.json.decode(rows.payload(position))
        final[name] = FinalValue(last_rows[position][name], column.step[-1])
    return final
