"""Criteria are fixed before training and judged by the record alone."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.analysis.criteria import Criterion, as_objects, criteria_digest, judge, overall, parse_criteria
from kiseki.errors import UsageError
from kiseki.history import History, read_history
from kiseki.record.line import frame
from kiseki.run_folder import RunFolder

Lines = Sequence[tuple[str, Mapping[str, Any]]]
OPEN = {"format": 1, "run_id": "r", "attempt": 1, "timestamp": "2026-11-23T05:00:00Z"}


@pytest.fixture
def record(tmp_path: Path) -> Callable[[Lines], History]:
    def write(lines: Lines) -> History:
        folder = RunFolder(tmp_path)
        folder.metrics.mkdir(exist_ok=True)
        framed = [
            frame(kind, json.dumps(payload).encode(), seq)
            for seq, (kind, payload) in enumerate([("open", OPEN), *lines])
        ]
        folder.journal.write_bytes(b"".join(framed))
        return read_history(folder)

    return write


def rows(name: str, values: Sequence[float | str], kind: str = "row") -> Lines:
    return [(kind, {"step": 10 * number, name: value}) for number, value in enumerate(values, start=1)]


def criterion(**keys: Any) -> Criterion:
    return parse_criteria([{"metric": "loss", "operator": "<", "threshold": 2.0, **keys}])[0]


@pytest.mark.parametrize(
    ("sign", "value", "answer"),
    [
        ("<", 1.9, "met"),
        ("<", 2.0, "missed"),
        ("<=", 2.0, "met"),
        ("<=", 2.1, "missed"),
        (">", 2.1, "met"),
        (">", 2.0, "missed"),
        (">=", 2.0, "met"),
        (">=", 1.9, "missed"),
    ],
)
def test_each_operator_decides_at_its_own_boundary(
    record: Callable[[Lines], History], sign: str, value: float, answer: str
) -> None:
    assert judge([criterion(operator=sign)], record(rows("loss", [5.0, value])))[0].answer == answer


def test_final_is_the_last_recorded_value_and_says_at_which_step(record: Callable[[Lines], History]) -> None:
    verdict = judge([criterion()], record(rows("loss", [1.0, 3.0])))[0]
    assert (verdict.answer, verdict.value, verdict.step) == ("missed", 3.0, 20)


@pytest.mark.parametrize(
    ("sign", "expected"), [("<", (1.0, 20)), ("<=", (1.0, 20)), (">", (4.0, 40)), (">=", (4.0, 40))]
)
def test_best_is_lowest_for_less_and_highest_for_greater(
    record: Callable[[Lines], History], sign: str, expected: tuple[float, int]
) -> None:
    verdict = judge([criterion(operator=sign, when="best")], record(rows("loss", [3.0, 1.0, "NaN", 4.0])))[0]
    assert (verdict.value, verdict.step) == expected


def test_evaluation_metrics_are_looked_up_in_the_evaluations_only(record: Callable[[Lines], History]) -> None:
    history = record([*rows("eval_loss", [0.5]), *rows("eval_loss", [3.0, 2.5], kind="eval")])
    assert judge([criterion(metric="eval_loss")], history)[0].value == 2.5
    assert judge([criterion(metric="loss", when="last_evaluation")], history)[0].value == 2.5


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("sign", ["<", ">="])
def test_a_non_finite_value_misses_whatever_was_asked(
    record: Callable[[Lines], History], value: str, sign: str
) -> None:
    verdict = judge([criterion(operator=sign)], record(rows("loss", [1.0, value])))[0]
    assert (verdict.answer, verdict.reason) == ("missed", "non-finite")


def test_a_metric_that_diverged_from_the_first_row_on_has_no_best(record: Callable[[Lines], History]) -> None:
    verdict = judge([criterion(when="best")], record(rows("loss", ["NaN", "NaN"])))[0]
    assert (verdict.answer, verdict.reason) == ("missed", "non-finite")


def test_what_was_never_recorded_is_not_measured(record: Callable[[Lines], History]) -> None:
    verdict = judge([criterion(metric="eval_accuracy")], record(rows("loss", [1.0])))[0]
    assert (verdict.answer, verdict.value, verdict.step) == ("not_measured", None, None)


@pytest.mark.parametrize(
    ("values", "completed", "expected"),
    [
        ([1.0], True, "go"),
        ([1.0], False, "conditional"),
        ([3.0], True, "no_go"),
        ([3.0], False, "no_go"),
        ([], True, "not_judged"),
    ],
)
def test_the_whole_follows_from_the_parts(
    record: Callable[[Lines], History], values: list[float], completed: bool, expected: str
) -> None:
    assert overall(judge([criterion()], record(rows("loss", values))), completed=completed) == expected


def test_one_met_and_one_not_measured_is_conditional_and_one_missed_decides(
    record: Callable[[Lines], History],
) -> None:
    met, unmeasured, missed = criterion(), criterion(metric="bleu"), criterion(threshold=0.5)
    history = record(rows("loss", [1.0]))
    assert overall(judge([met, unmeasured], history), completed=True) == "conditional"
    assert overall(judge([met, unmeasured, missed], history), completed=True) == "no_go"
    assert overall(judge([unmeasured], history), completed=True) == "not_judged"
    assert overall([], completed=True) == "not_judged"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("loss < 2", ["entry 2", "object"]),
        ({"operator": "<", "threshold": 1}, ["entry 2", "'metric'", "missing"]),
        ({"metric": "", "operator": "<", "threshold": 1}, ["entry 2", "metric"]),
        ({"metric": "loss", "operator": "==", "threshold": 1}, ["entry 2", "operator", "'=='", ">="]),
        ({"metric": "loss", "operator": ["<"], "threshold": 1}, ["entry 2", "operator"]),
        ({"metric": "loss", "operator": "<", "threshold": "1e-3"}, ["entry 2", "threshold", "1.0e-3"]),
        ({"metric": "loss", "operator": "<", "threshold": True}, ["entry 2", "threshold"]),
        ({"metric": "loss", "operator": "<", "threshold": math.nan}, ["entry 2", "threshold", "finite"]),
        ({"metric": "loss", "operator": "<", "threshold": 10**400}, ["entry 2", "threshold", "finite"]),
        ({"metric": "loss", "operator": "<", "threshold": 1, "when": "later"}, ["entry 2", "when", "'later'"]),
        ({"metric": "loss", "operator": "<", "threshold": 1, "treshold": 1}, ["entry 2", "'treshold'"]),
        ({"metric": "loss", "operator": "<", "threshold": 1, "description": 3}, ["entry 2", "description"]),
    ],
)
def test_a_wrong_entry_is_refused_by_number_and_key(entry: object, words: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        parse_criteria([{"metric": "loss", "operator": "<", "threshold": 1}, entry])
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize("entries", [{"metric": "loss"}, "loss", 3, None])
def test_criteria_that_are_no_list_are_refused(entries: object) -> None:
    with pytest.raises(UsageError, match="list"):
        parse_criteria(entries)


CRITERIA = st.builds(
    Criterion,
    metric=st.text(min_size=1),
    operator=st.sampled_from(["<", "<=", ">", ">="]),
    threshold=st.floats(allow_nan=False, allow_infinity=False),
    when=st.sampled_from(["final", "best", "last_evaluation"]),
    description=st.text(),
)


@given(st.lists(CRITERIA, max_size=4))
def test_criteria_come_back_equal_from_json_with_the_same_digest(criteria: list[Criterion]) -> None:
    back = parse_criteria(json.loads(json.dumps(as_objects(criteria))))
    assert back == criteria
    assert criteria_digest(back) == criteria_digest(criteria)


def test_the_digest_knows_the_order_and_every_field() -> None:
    one, other = criterion(), criterion(threshold=2.5)
    digests = {criteria_digest(some) for some in ([one], [other], [one, other], [other, one], [criterion(when="best")])}
    assert len(digests) == 5


def test_an_integer_threshold_is_the_same_promise_as_the_float() -> None:
    assert criteria_digest([criterion(threshold=2)]) == criteria_digest([criterion(threshold=2.0)])
