"""What the records of a Trainer's `log_history` are: training rows, evaluations, summaries of a `train()` call.

Names are kept as the Trainer and its users wrote them: `loss`, `learning_rate`, `grad_norm` and `epoch` are called the
same here. What a record is, its names tell:

- it has `loss`: a training row;
- it has a name that begins with `eval_`, or with another prefix that comes with both `_runtime` and
  `_samples_per_second` (`evaluate(metric_key_prefix="test")`): an evaluation;
- it has `train_runtime`, `train_loss` or `total_flos`: the summary of one `train()` call;
- anything else was logged by the user's own code during training: a training row.

Records of one step that do not contradict each other are one line: dictionaries of evaluation sets and the user's own
`self.log(...)` come as records of their own. One that does contradict begins a new line, which carries on what it did
not contradict, so that the line that counts, the later one, has all that is known of its step.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kiseki.importers.lines import Fields, Line
from kiseki.record.line import EVAL, ROW
from kiseki.record.row import Refused, admit, clean_name, whole_step
from kiseki.vocabulary import RESERVED

WINDOW = "window_steps"
_SUMMARY_NAMES = frozenset(("train_runtime", "train_loss", "total_flos"))
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NON_FINITE = frozenset(("nan", "inf", "infinity"))


@dataclass(slots=True)
class Refusal:
    """Values of one name that were not taken: the first step, the reason, and how many they were."""

    step: object
    why: str
    count: int = 0


@dataclass(slots=True)
class Log:
    """A `log_history`, understood.

    Every record is a line of its own, was joined into another record's line, is a summary, or was not taken.

    Attributes:
        lines: in the order in which they were logged.
        summaries: (step, fields) of the summaries.
        joined: records that share the line of another record of their step.
        not_taken: how many records were not taken, by reason.
        without_step: what those records hold that have no step.
        refusals: values that were not taken, by name.
    """

    lines: list[Line] = field(default_factory=list)
    summaries: list[tuple[int, Fields]] = field(default_factory=list)
    joined: int = 0
    not_taken: dict[str, int] = field(default_factory=dict)
    without_step: list[Fields] = field(default_factory=list)
    refusals: dict[str, Refusal] = field(default_factory=dict)

    def count(self, kind: str) -> int:
        """Lines of one kind."""
        return sum(line.kind == kind for line in self.lines)


def read_log(records: Iterable[object]) -> Log:
    """Make lines of records.

    Args:
        records: the items of `log_history`, in order.

    Example:
        >>> log = read_log([{"loss": 2.5, "epoch": 0.5, "step": 10}, {"eval_loss": 2.0, "step": 10}, {"loss": 1.0}])
        >>> [(line.kind, line.step, line.fields) for line in log.lines]
        [('row', 10, {'loss': 2.5, 'epoch': 0.5, 'window_steps': 10}), ('eval', 10, {'eval_loss': 2.0})]
        >>> log.not_taken
        {'it has no step': 1}
    """
    log = Log()
    latest: dict[str, dict[int, Line]] = {ROW: {}, EVAL: {}}
    for record in records:
        try:
            _take(record, log, latest)
        except Refused as reason:
            why = str(reason)
            log.not_taken[why] = log.not_taken.get(why, 0) + 1
    _add_windows(log.lines)
    return log


def _take(record: object, log: Log, latest: dict[str, dict[int, Line]]) -> None:
    if not isinstance(record, dict):
        raise Refused("it is no JSON object")
    given = record.get("step")
    fields = _admitted(record, given, log.refusals)
    if not fields.keys() - {"epoch"}:
        raise Refused("it holds no number that was measured")
    step = _step(given, fields, log)
    kind = kind_of(record)
    if kind is None:
        log.summaries.append((step, fields))
        return
    line = latest[kind].get(step)
    if line is not None and not _contradicts(line.fields, fields):
        line.fields.update(fields)
        log.joined += 1
        return
    latest[kind][step] = new = Line(kind, step, {**line.fields, **fields} if line else fields)
    log.lines.append(new)


def kind_of(record: Mapping[str, Any]) -> str | None:
    """`row`, `eval`, or None for the summary of a `train()` call.

    Example:
        >>> [kind_of(record) for record in ({"loss": 1}, {"eval_a_loss": 1}, {"train_loss": 1}, {"reward": 1})]
        ['row', 'eval', None, 'row']
    """
    if "loss" in record:
        return ROW
    if any(name.startswith("eval_") or _is_an_evaluations(name, record) for name in record):
        return EVAL
    return ROW if _SUMMARY_NAMES.isdisjoint(record) else None


def _is_an_evaluations(name: str, record: Mapping[str, Any]) -> bool:
    prefix = name.removesuffix("_runtime")
    return prefix not in (name, "train") and f"{prefix}_samples_per_second" in record


def _step(given: object, fields: Fields, log: Log) -> int:
    if given is None:
        log.without_step.append(fields)
        raise Refused("it has no step")
    try:
        return whole_step(_number(given))
    except Refused:
        log.without_step.append(fields)
        raise Refused("its step is no whole number from 0 to 2**53") from None


def _admitted(record: Mapping[str, Any], step: object, refusals: dict[str, Refusal]) -> Fields:
    def refuse(name: str, reason: Refused) -> None:
        printable = name.encode("utf-8", "backslashreplace").decode()
        refusals.setdefault(printable, Refusal(step, str(reason))).count += 1

    named: dict[str, Any] = {}
    for name, value in record.items():
        if name == "step":
            continue
        try:
            cleaned = clean_name(name)
            if cleaned in RESERVED:
                raise Refused("the record writes this key itself")
            if cleaned in named:
                raise Refused("another name is the same once it is normalised (NFC)")
        except Refused as reason:
            refuse(name, reason)
        else:
            named[cleaned] = _number(value)
    return admit(named, refuse)


def _number(value: object) -> object:
    """Numbers that somebody wrote as text are numbers; all else is left to be judged."""
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return int(value) if value.lstrip("+-").isdigit() and len(value) < 4000 else float(value)
        if value.lower().lstrip("+-") in _NON_FINITE:
            return float(value)
    return value


def _contradicts(before: Fields, after: Fields) -> bool:
    """Whether one name has two values; NaN is the same as NaN."""
    return any(
        name in before and before[name] != value and not (before[name] != before[name] and value != value)
        for name, value in after.items()
    )


def _add_windows(lines: Sequence[Line]) -> None:
    """The Trainer's `loss` is the mean since it last logged one: the window is the difference of the steps.

    Where training was resumed in between, the true window is shorter; the source does not tell where that was.
    """
    before = 0
    for line in lines:
        if line.kind == ROW and "loss" in line.fields:
            if line.step > before:
                line.fields.setdefault(WINDOW, line.step - before)
            before = line.step
