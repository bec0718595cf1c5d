"""How far a record can be trusted: what is missing in it, what is double, what was lost, what broke."""

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from operator import sub
from typing import Any

from kiseki.analysis.statistics import Summary
from kiseki.history import Column, History, JsonObject
from kiseki.provenance.redaction import Redactor

LISTED = 10
"""So many gaps, steps and texts are listed one by one; all are counted."""

_TOLD = (
    "non_finite",
    "write_failure",
    "repair",
    "companion_failure",
    "refused_value",
    "warning",
    "phase",
    "report_inputs",
    "energy",
    "weights",
    "forced_resume",
    "trainer_summary",
)
"""Kinds of notes that are told in full somewhere in the report; others are counted."""

_ERRORS = ("write_failure", "sync_failure", "companion_failure", "refused_value", "row_without_step")


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows that should stand between two recorded rows."""

    after_step: int
    before_step: int
    missing_rows: int


@dataclass(frozen=True, slots=True)
class Quality:
    """What is wrong with a record, counted. Zeros and empty lists are what a perfect one has.

    Attributes:
        recorded_rows: training rows that count.
        expected_rows: those and the missing ones.
        evaluations: evaluations that count.
        interval_steps: optimizer steps from row to row: the most common difference; None below three rows.
        window_steps: smallest and largest window a row says it covers, None when rows do not say.
        gaps: the first `LISTED` gaps.
        gap_count, missing_rows: all of them.
        repeated, out_of_order, superseded: as `Rows` counts them; superseded by a resumed attempt.
        superseded_evaluations: the same for evaluations.
        non_finite: for each metric with NaN or infinite values, how many and the first step.
        non_finite_steps: the first steps at which training noted a non-finite value, recorded row or not.
        non_finite_step_count: all of them.
        dropped_rows: rows that could not be written.
        refused: the first values that were not recorded because they were no numbers.
        refused_count: all that were noted.
        torn_tail_bytes: bytes after the last whole line, what a kill leaves.
        repairs: torn tails that were set aside when an attempt opened.
        damage: places before the end where the journal is not what was written.
        sealed_bytes, unsealed_bytes: length covered by the last seal, and what stands after it.
        recorder_errors: errors of the last attempt that the recorder counted.
        recorder_errors_exact: it closed and gave its own count; otherwise only what it had noted is counted here.
        companion_failures: what went wrong in drawing and bringing files up to date.
        warnings: texts of warnings.
        other_notes: number of notes of every other kind.
    """

    recorded_rows: int
    expected_rows: int
    evaluations: int
    interval_steps: int | None
    window_steps: tuple[int, int] | None
    gaps: tuple[Gap, ...]
    gap_count: int
    missing_rows: int
    repeated: int
    out_of_order: int
    superseded: int
    superseded_evaluations: int
    non_finite: Mapping[str, Mapping[str, int | None]]
    non_finite_steps: tuple[int, ...]
    non_finite_step_count: int
    dropped_rows: int
    refused: tuple[Mapping[str, Any], ...]
    refused_count: int
    torn_tail_bytes: int
    repairs: tuple[Mapping[str, Any], ...]
    damage: tuple[Mapping[str, Any], ...]
    sealed_bytes: int
    unsealed_bytes: int
    recorder_errors: int
    recorder_errors_exact: bool
    companion_failures: tuple[str, ...]
    warnings: tuple[str, ...]
    other_notes: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, broken or lost."""
        return not (self.missing_rows or self.dropped_rows or self.torn_tail_bytes or self.damage or self.repairs)


def assess(
    history: History,
    training: Mapping[str, Summary],
    evaluation: Mapping[str, Summary],
    redactor: Redactor,
) -> Quality:
    """Count what is wrong with a record.

    Args:
        history: the record.
        training: statistics of its training metrics.
        evaluation: statistics of its evaluation metrics.
        redactor: takes paths and names out of error texts.
    """
    rows = history.rows
    interval = usual_interval(rows.steps)
    gaps = find_gaps(rows.steps, interval, start=history.attempts[0].resume_step or 0)
    missing = sum(gap.missing_rows for gap in gaps)
    noted = _steps_of(history.notes_of("non_finite"))
    closed = history.closed or {}
    return Quality(
        recorded_rows=len(rows),
        expected_rows=len(rows) + missing,
        evaluations=len(history.evaluations),
        interval_steps=interval,
        window_steps=_window(rows.columns.get("window_steps")),
        gaps=tuple(gaps[:LISTED]),
        gap_count=len(gaps),
        missing_rows=missing,
        repeated=rows.repeated,
        out_of_order=rows.out_of_order,
        superseded=rows.superseded,
        superseded_evaluations=history.evaluations.superseded,
        non_finite={
            name: {"count": summary.non_finite, "first_step": summary.first_non_finite_step}
            for name, summary in (*training.items(), *evaluation.items())
            if summary.non_finite
        },
        non_finite_steps=tuple(noted[:LISTED]),
        non_finite_step_count=len(noted),
        dropped_rows=_dropped_rows(history),
        refused=tuple(
            {"name": note.get("name"), "step": note.get("step"), "why": redactor.text(str(note.get("why", "")))}
            for note in history.notes_of("refused_value")[:LISTED]
        ),
        refused_count=len(history.notes_of("refused_value")),
        torn_tail_bytes=history.tail_bytes,
        repairs=tuple(
            {"attempt": note["attempt"], "bytes": note.get("bytes"), "kept_as": redactor.value(note.get("kept_as"))}
            for note in history.notes_of("repair")
        ),
        damage=tuple(
            {"line": damage.line, "offset": damage.offset, "what": damage.what} for damage in history.damage[:LISTED]
        ),
        sealed_bytes=history.sealed_bytes,
        unsealed_bytes=history.good_bytes - history.sealed_bytes,
        recorder_errors=_count(closed.get("recorder_errors", _noted_errors(history))),
        recorder_errors_exact="recorder_errors" in closed,
        companion_failures=_texts(history.notes_of("companion_failure"), "error", redactor),
        warnings=_texts(history.notes_of("warning"), "text", redactor),
        other_notes=dict(Counter(str(kind) for note in history.notes if (kind := note.get("kind")) not in _TOLD)),
    )


def usual_interval(steps: "array[int]") -> int | None:
    """The most common difference between neighbouring rows, the smaller of equally common ones.

    Example:
        >>> usual_interval(array("q", [10, 20, 30, 50, 60, 65]))
        10
    """
    if len(steps) < 3:
        return None
    counts: Counter[int] = Counter(map(sub, steps[1:], steps[:-1]))
    return min(counts, key=lambda difference: (-counts[difference], difference))


def find_gaps(steps: "array[int]", interval: int | None, start: int = 0) -> list[Gap]:
    """Where rows are missing: neighbours further apart than the interval, and a late first row.

    Args:
        steps: optimizer steps of the rows that count, ascending.
        interval: optimizer steps from row to row; None when it is not known, and then no gap is.
        start: optimizer step at which the record began.

    Example:
        >>> find_gaps(array("q", [10, 20, 50, 55]), 10)
        [Gap(after_step=20, before_step=50, missing_rows=2)]
    """
    if interval is None or not steps:
        return []
    gaps = []
    before = start
    for step in steps:
        if step - before > interval:
            gaps.append(Gap(before, step, -(-(step - before) // interval) - 1))
        before = step
    return gaps


def _window(column: Column | None) -> tuple[int, int] | None:
    return (int(min(column.value)), int(max(column.value))) if column else None


def _steps_of(notes: list[JsonObject]) -> list[int]:
    return sorted({note["step"] for note in notes if isinstance(note.get("step"), int)})


def _dropped_rows(history: History) -> int:
    """Notes tell of all attempts; the last attempt's own count may know of more than could be noted."""
    by_attempt: Counter[int] = Counter()
    for note in history.notes_of("write_failure"):
        by_attempt[note["attempt"]] += _count(note.get("dropped"))
    last = len(history.attempts)
    by_attempt[last] = max(by_attempt[last], _count((history.closed or {}).get("dropped_rows")))
    return by_attempt.total()


def _noted_errors(history: History) -> int:
    last = len(history.attempts)
    return sum(note["attempt"] == last and note.get("kind") in _ERRORS for note in history.notes)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _texts(notes: list[JsonObject], key: str, redactor: Redactor) -> tuple[str, ...]:
    return tuple(redactor.text(str(note.get(key, "no text"))) for note in notes[:LISTED])
