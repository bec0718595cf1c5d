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

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kiseki.importers.lines import Fields, Line
from kiseki.importers.numbers import number, whole
from kiseki.record.line import EVAL, ROW
from kiseki.record.row import Refused, admit, clean_name
from kiseki.vocabulary import RESERVED

WINDOW = "window_steps"

_KINDS_OF_RECORD = 1024
"""Sets of names that are remembered; a log has a handful."""

_SUMMARY_NAMES = frozenset(("train_runtime", "train_loss", "total_flos"))
_ONLY_FLOATS = frozenset((float,))


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
    reading = _Reading()
    for record in records:
        reading.take(record)
    _add_windows(reading.log.lines)
    return reading.log


class _Reading:
    """Takes in the records one after another.

    Attributes:
        log: what they were so far.
    """

    def __init__(self) -> None:
        self.log = Log()
        self._latest: dict[str, dict[int, Line]] = {ROW: {}, EVAL: {}}
        self._names = lru_cache(_KINDS_OF_RECORD)(_understood)

    def take(self, record: object) -> None:
        """The next record."""
        try:
            self._take(record)
        except Refused as reason:
            why = str(reason)
            self.log.not_taken[why] = self.log.not_taken.get(why, 0) + 1

    def _take(self, record: object) -> None:
        if not isinstance(record, dict):
            raise Refused("it is no JSON object")
        names = self._names(tuple(record))
        given = record.get("step")
        fields = _admitted(record, names, given, self.log.refusals)
        if len(fields) <= ("epoch" in fields):
            raise Refused("it holds no number that was measured")
        step = _step(given, fields, self.log)
        if names.kind is None:
            self.log.summaries.append((step, fields))
        else:
            self._take_line(names.kind, step, fields)

    def _take_line(self, kind: str, step: int, fields: Fields) -> None:
        latest = self._latest[kind]
        line = latest.get(step)
        if line is not None and not _contradicts(line.fields, fields):
            line.fields.update(fields)
            self.log.joined += 1
            return
        latest[step] = new = Line(kind, step, {**line.fields, **fields} if line else fields)
        self.log.lines.append(new)


def kind_of(record: Collection[str]) -> str | None:
    """`row`, `eval`, or None for the summary of a `train()` call.

    Args:
        record: its names.

    Example:
        >>> [kind_of(record) for record in ({"loss": 1}, {"eval_a_loss": 1}, {"train_loss": 1}, {"reward": 1})]
        ['row', 'eval', None, 'row']
    """
    if "loss" in record:
        return ROW
    if any(name.startswith("eval_") or _is_an_evaluations(name, record) for name in record):
        return EVAL
    return ROW if _SUMMARY_NAMES.isdisjoint(record) else None


def _is_an_evaluations(name: str, record: Collection[str]) -> bool:
    prefix = name.removesuffix("_runtime")
    return prefix not in (name, "train") and f"{prefix}_samples_per_second" in record


def _step(given: object, fields: Fields, log: Log) -> int:
    step = whole(number(given))
    if step is None:
        log.without_step.append(fields)
        raise Refused("it has no step" if given is None else "its step is no whole number from 0 to 2**53")
    return step


@dataclass(frozen=True, slots=True)
class _Names:
    """What the names of a record say.

    Attributes:
        kind: as `kind_of` has it.
        taken: pairs of a name and what the record calls it.
        refused: pairs of a name and the reason.
    """

    kind: str | None
    taken: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, Refused], ...]


def _understood(names: tuple[str, ...]) -> _Names:
    taken: dict[str, str] = {}
    refused: list[tuple[str, Refused]] = []
    for name in names:
        if name == "step":
            continue
        try:
            cleaned = clean_name(name)
            if cleaned in RESERVED:
                raise Refused("the record writes this key itself")
            if cleaned in taken:
                raise Refused("another name is the same once it is normalised (NFC)")
        except Refused as reason:
            refused.append((name, reason))
        else:
            taken[cleaned] = name
    return _Names(kind_of(names), tuple((name, cleaned) for cleaned, name in taken.items()), tuple(refused))


def _admitted(record: Mapping[str, Any], names: _Names, step: object, refusals: dict[str, Refusal]) -> Fields:
    named: Fields = {cleaned: record[name] for name, cleaned in names.taken}
    if not names.refused and _ONLY_FLOATS.issuperset(map(type, named.values())):
        return named  # as it is with nearly every record

    def refuse(name: str, reason: Refused) -> None:
        printable = name.encode("utf-8", "backslashreplace").decode()
        refusals.setdefault(printable, Refusal(step, str(reason))).count += 1

    for name, reason in names.refused:
        refuse(name, reason)
    return admit({name: number(value) for name, value in named.items()}, refuse)


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
