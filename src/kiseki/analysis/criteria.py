"""Success criteria that were fixed before training, and the verdicts on them.

One criterion is `met`, `missed` or `not_measured`. What follows for the whole:

* `go`: the run completed and every criterion is met;
* `no_go`: at least one criterion is missed;
* `conditional`: none is missed, at least one is met, and something is open: a criterion was not measured, or the
  run did not complete;
* `not_judged`: no criteria were set, or nothing they name was measured.
"""

import hashlib
import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from kiseki.errors import UsageError
from kiseki.history import Column, History

Operator = Literal["<", "<=", ">", ">="]
When = Literal["final", "best", "last_evaluation"]
Answer = Literal["met", "missed", "not_measured"]
Overall = Literal["go", "conditional", "no_go", "not_judged"]

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KEYS = ("metric", "operator", "threshold", "when", "description")


@dataclass(frozen=True, slots=True)
class Criterion:
    """One promise made before training: `metric operator threshold`, measured at `when`.

    Args:
        metric: a recorded name; `eval_…` names are looked up in the evaluations, others in the training rows.
        operator: `<`, `<=`, `>` or `>=`.
        threshold: finite, in the metric's unit.
        when: `final`, the last recorded value; `best`, the lowest finite value for `<` and `<=`, the highest for
            `>` and `>=`; `last_evaluation`, the last value in the evaluations whatever the metric is called.
        description: for people.
    """

    metric: str
    operator: Operator
    threshold: float
    when: When = "final"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one criterion.

    Attributes:
        criterion: the promise.
        answer: `met`, `missed` or `not_measured`.
        value: the measured value, None when there is none.
        step: optimizer step it was measured at.
        reason: why, where the numbers do not say it themselves; else empty.
    """

    criterion: Criterion
    answer: Answer
    value: float | None
    step: int | None
    reason: str = ""


def parse_criteria(entries: object) -> list[Criterion]:
    """Read criteria from configuration.

    Args:
        entries: a list of objects with the keys of `Criterion`; `when` and `description` may be left out.

    Raises:
        UsageError: naming the entry (from 1), the key and what was expected.

    Example:
        >>> parse_criteria([{"metric": "eval_loss", "operator": "<", "threshold": 2}])
        [Criterion(metric='eval_loss', operator='<', threshold=2.0, when='final', description='')]
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        raise UsageError(f"criteria: expected a list of objects, found {entries!r}")
    return [_parse_one(number, entry) for number, entry in enumerate(entries, start=1)]


def as_objects(criteria: Sequence[Criterion]) -> list[dict[str, Any]]:
    """The criteria as JSON objects, the way they stand in the journal; `parse_criteria` reads them back equal."""
    return [asdict(criterion) for criterion in criteria]


def criteria_digest(criteria: Sequence[Criterion]) -> str:
    """SHA-256 of the criteria: hex digest of their JSON, keys sorted, no spaces, UTF-8.

    Example:
        >>> criteria_digest([])
        '4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945'
    """
    text = json.dumps(as_objects(criteria), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def judge(criteria: Sequence[Criterion], history: History) -> list[Verdict]:
    """Hold each criterion against the record, in the order given."""
    return [_judge_one(criterion, history) for criterion in criteria]


def overall(verdicts: Sequence[Verdict], *, completed: bool) -> Overall:
    """The verdict on the whole run, by the rule at the top of this module.

    Args:
        verdicts: of all criteria.
        completed: whether training ran to its end; a run that did not can at best be `conditional`.
    """
    answers = {verdict.answer for verdict in verdicts}
    if "missed" in answers:
        return "no_go"
    if "met" not in answers:
        return "not_judged"
    return "go" if completed and "not_measured" not in answers else "conditional"


def _parse_one(number: int, entry: object) -> Criterion:
    where = f"criteria entry {number}"
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where}: expected an object with {', '.join(_KEYS)}, found {entry!r}")
    for key in entry:
        if key not in _KEYS:
            raise UsageError(f"{where}: unknown key {key!r}; the keys are {', '.join(_KEYS)}")
    for key in ("metric", "operator", "threshold"):
        if key not in entry:
            raise UsageError(f"{where}: the key {key!r} is missing")
    metric, description = entry["metric"], entry.get("description", "")
    if not isinstance(metric, str) or not metric:
        raise UsageError(f"{where}: metric must be the name of a recorded metric, found {metric!r}")
    if not isinstance(description, str):
        raise UsageError(f"{where} ({metric}): description must be text, found {description!r}")
    return Criterion(
        metric=metric,
        operator=_one_of(entry["operator"], Operator, f"{where} ({metric}): operator"),
        threshold=_threshold(entry["threshold"], f"{where} ({metric})"),
        when=_one_of(entry.get("when", "final"), When, f"{where} ({metric}): when"),
        description=description,
    )


def _one_of(value: Any, choices: Any, what: str) -> Any:
    allowed = get_args(choices)
    if value not in allowed:
        raise UsageError(f"{what} must be one of {' '.join(allowed)}, found {value!r}")
    return value


def _threshold(value: object, where: str) -> float:
    if isinstance(value, str):
        raise UsageError(
            f"{where}: threshold is the text {value!r}, not a number; YAML reads 1e-3 as text, 1.0e-3 as number"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: threshold must be a number, found {value!r}")
    try:
        threshold = float(value)
    except OverflowError:
        threshold = math.inf
    if not math.isfinite(threshold):
        raise UsageError(f"{where}: threshold must be finite, found {value!r}")
    return threshold


def _judge_one(criterion: Criterion, history: History) -> Verdict:
    column = _column(criterion, history)
    if column is None or not len(column):
        return Verdict(criterion, "not_measured", None, None, f"{criterion.metric} was never recorded")
    value, step = _best(column, criterion.operator) if criterion.when == "best" else (column.value[-1], column.step[-1])
    if not math.isfinite(value):
        return Verdict(criterion, "missed", value, step, "non-finite")
    return Verdict(
        criterion, "met" if _HOLDS[criterion.operator](value, criterion.threshold) else "missed", value, step
    )


def _column(criterion: Criterion, history: History) -> Column | None:
    if criterion.metric.startswith("eval_") or criterion.when == "last_evaluation":
        columns = history.evaluations.columns
        return columns.get(criterion.metric) or columns.get(f"eval_{criterion.metric}")
    return history.rows.columns.get(criterion.metric)


def _best(column: Column, sign: Operator) -> tuple[float, int]:
    finite = [(value, step) for value, step in zip(column.value, column.step, strict=True) if math.isfinite(value)]
    if not finite:
        return column.value[-1], column.step[-1]
    pick = min if sign in ("<", "<=") else max
    return pick(finite, key=lambda pair: pair[0])
