"""What the records of a Trainer's log become."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.importers.trainer_log import WINDOW, kind_of, read_log

Record = dict[str, Any]


def lines(*records: object) -> list[tuple[str, int, dict[str, Any]]]:
    return [(line.kind, line.step, line.fields) for line in read_log(records).lines]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"loss": 1.0, "learning_rate": 0.1, "epoch": 1.0}, "row"),
        ({"loss": 1.0, "train_runtime": 2.0, "train_tokens_per_second": 3.0}, "row"),
        ({"loss": 1.0, "eval_f1": 0.5}, "row"),
        ({"reward": 1.0, "kl": 0.1}, "row"),
        ({"eval_loss": 1.0, "eval_runtime": 2.0}, "eval"),
        ({"eval_held_out_loss": 1.0}, "eval"),
        ({"eval_loss": 1.0, "memory(GiB)": 3.0}, "eval"),
        ({"test_loss": 1.0, "test_runtime": 1.0, "test_samples_per_second": 8.0}, "eval"),
        ({"train_runtime": 2.0, "train_samples_per_second": 4.0, "train_loss": 1.0, "total_flos": 5.0}, None),
        ({"total_flos": 5.0}, None),
        ({"train_runtime": 2.0, "train_samples_per_second": 4.0}, None),
    ],
)
def test_the_names_tell_what_a_record_is(record: Record, kind: str | None) -> None:
    assert kind_of(record) == kind


def test_evaluation_sets_and_own_logs_of_one_step_are_one_line() -> None:
    assert lines(
        {"loss": 1.0, "epoch": 0.5, "step": 10},
        {"eval_a_loss": 2.0, "epoch": 0.5, "step": 10},
        {"eval_b_loss": 3.0, "epoch": 0.5, "step": 10},
        {"pet_loss": 0.1, "step": 10},
    ) == [
        ("row", 10, {"loss": 1.0, "epoch": 0.5, "pet_loss": 0.1, WINDOW: 10}),
        ("eval", 10, {"eval_a_loss": 2.0, "epoch": 0.5, "eval_b_loss": 3.0}),
    ]


def test_a_record_that_contradicts_begins_a_line_that_carries_on_the_rest() -> None:
    nan = math.nan
    found = lines(
        {"loss": 1.0, "grad_norm": nan, "step": 10},
        {"part": 0.1, "grad_norm": nan, "step": 10},
        {"part": 0.2, "step": 10},
    )
    assert [(fields["loss"], fields["part"]) for _, _, fields in found] == [(1.0, 0.1), (1.0, 0.2)]


def test_the_window_is_the_distance_to_the_loss_before() -> None:
    found = lines(
        {"loss": 3.0, "step": 1},
        {"loss": 2.0, "step": 10},
        {"reward": 1.0, "step": 15},
        {"loss": 1.0, "step": 20},
        {"loss": 1.0, "step": 12},
        {"loss": 1.0, "step": 14, WINDOW: 7},
    )
    assert [fields.get(WINDOW) for _, _, fields in found] == [1, 9, None, 10, None, 7]


def test_numbers_written_as_text_are_numbers_and_other_texts_are_counted() -> None:
    log = read_log(
        [
            {"loss": "0.25", "learning_rate": "1e-4", "grad_norm": "nan", "big": "9007199254740993", "step": "2"},
            {"loss": 1.0, "percentage": "33.3%", "list": [1], "gone": None, "step": 3},
            {"loss": 1.0, "percentage": "66.6%", "step": 4},
        ]
    )
    first = log.lines[0]
    assert (first.step, first.fields["loss"], first.fields["learning_rate"]) == (2, 0.25, 1e-4)
    assert math.isnan(float(first.fields["grad_norm"]))
    assert first.fields["big"] == "9007199254740993"
    assert {name: refusal.count for name, refusal in log.refusals.items()} == {"percentage": 2, "list": 1}
    assert log.refusals["percentage"].step == 3
    assert "gone" not in log.lines[1].fields


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("text", "it is no JSON object"),
        (None, "it is no JSON object"),
        ({"loss": 1.0}, "it has no step"),
        ({"loss": 1.0, "step": None}, "it has no step"),
        ({"loss": 1.0, "step": -1}, "its step is no whole number from 0 to 2**53"),
        ({"loss": 1.0, "step": 1.5}, "its step is no whole number from 0 to 2**53"),
        ({"loss": 1.0, "step": True}, "its step is no whole number from 0 to 2**53"),
        ({"loss": 1.0, "step": "soon"}, "its step is no whole number from 0 to 2**53"),
        ({"loss": 1.0, "step": 2**60}, "its step is no whole number from 0 to 2**53"),
        ({"loss": 1.0, "step": math.nan}, "its step is no whole number from 0 to 2**53"),
        ({"epoch": 1.0, "step": 3}, "it holds no number that was measured"),
        ({"loss": "high", "step": 3}, "it holds no number that was measured"),
        ({}, "it holds no number that was measured"),
    ],
)
def test_what_is_not_taken_is_counted_with_the_reason(record: object, why: str) -> None:
    log = read_log([record, {"loss": 1.0, "step": 5}])
    assert log.not_taken == {why: 1}
    assert len(log.lines) == 1


def test_names_that_the_record_writes_itself_or_cannot_write_are_refused() -> None:
    log = read_log([{"loss": 1.0, "timestamp": 5.0, "attempt": 2, "\ud800": 1.0, "": 1.0, "a\nb": 1.0, "step": 1}])
    assert log.lines[0].fields == {"loss": 1.0, WINDOW: 1}
    assert set(log.refusals) == {"timestamp", "attempt", "\\ud800", "", "a\nb"}


numbers = st.floats() | st.integers(-(2**53), 2**53)
names = st.sampled_from(["loss", "learning_rate", "grad_norm", "epoch", "eval_loss", "eval_f1", "train_loss", "損失"])
records = st.fixed_dictionaries({"step": st.integers(0, 9) | st.none()}) | st.dictionaries(names, numbers, max_size=4)


@given(
    st.lists(
        st.builds(lambda step, fields: {**fields, "step": step}, st.integers(0, 9), st.dictionaries(names, numbers))
        | records
        | st.text(max_size=3)
    )
)
def test_every_record_is_a_line_or_joined_or_a_summary_or_counted_as_not_taken(given_records: list[Any]) -> None:
    log = read_log(given_records)
    assert len(log.lines) + len(log.summaries) + log.joined + sum(log.not_taken.values()) == len(given_records)


@given(
    st.lists(st.builds(lambda step, value: {"step": step, **value}, st.integers(0, 5), st.dictionaries(names, numbers)))
)
def test_the_last_line_of_a_step_holds_the_last_value_of_every_name(given_records: list[Record]) -> None:
    expected: dict[tuple[str, int], Record] = {}
    for record in given_records:
        kind = kind_of(record)
        if kind is not None and record.keys() - {"step", "epoch"}:
            expected.setdefault((kind, record["step"]), {}).update(record)
    latest = {(line.kind, line.step): line.fields for line in read_log(given_records).lines}
    assert latest.keys() == expected.keys()
    for key, fields in latest.items():
        for name, value in expected[key].items():
            assert name == "step" or repr(fields[name]) == repr(value)
