"""What of an event stands in a row: digests, labels, numbers; nothing that could be text."""

import hashlib
import hmac
import math
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.thinking import SafetyLabel
from so8t.serve.audit.digests import SINGLE_TEXTS, THINKING, digest
from so8t.serve.audit.errors import AuditInputError
from so8t.serve.audit.event import EVENT_TYPES, AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.rows import COLUMNS, bucket, row_of
from so8t.serve.gate import Parts
from so8t.serve.outcome import Outcome

NOW = datetime(2026, 11, 24, 9, 30, 0, 123456, tzinfo=UTC)
GUESSES = 1_000_000 if os.environ.get("KISEKI_FAULTS") == "full" else 100_000
Make = Callable[..., AuditEvent]


def test_the_digest_is_hmac_over_length_prefixed_fields_as_documented(key: AuditKey) -> None:
    fields = [b"query_hmac", b"r1", "手袋".encode()]
    message = b"".join(len(field).to_bytes(8, "big") + field for field in fields)
    assert digest(key, "query_hmac", "r1", "手袋") == hmac.new(key.secret, message, hashlib.sha256).hexdigest()


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_different_lists_of_texts_have_different_digests(one: list[str], other: list[str]) -> None:
    key = AuditKey.of(bytes(32))
    assert (digest(key, THINKING, "r", *one) == digest(key, THINKING, "r", *other)) == (one == other)


def test_the_same_text_cannot_be_recognised_in_another_request_or_column(key: AuditKey) -> None:
    columns = [*SINGLE_TEXTS.values(), THINKING]
    assert len({digest(key, column, scope, "text") for column in columns for scope in ("r1", "r2")}) == 2 * len(columns)


def test_the_rows_of_one_user_can_be_found(key: AuditKey, make_event: Make) -> None:
    one, two = (row_of(make_event(number), key, audit_id="a", now=NOW) for number in (1, 2))
    other = row_of(make_event(3, user_id="other"), key, audit_id="a", now=NOW)
    assert one["user_id_hmac"] == two["user_id_hmac"] != other["user_id_hmac"]


def test_h5_l17_a_dictionary_without_the_key_matches_nothing_and_with_it_exactly_the_text(
    key: AuditKey, make_event: Make
) -> None:
    secret = f"The code is {GUESSES // 3}."
    event = make_event(parts=Parts(secret, secret, secret, "f"), raw_output=secret, query=secret)
    row = row_of(event, key, audit_id="a", now=NOW)
    stored = {value for name, value in row.items() if name.endswith("_hmac")}
    public_keys = [b"", row["key_id"].encode(), event.request_id.encode()]
    unkeyed = keyed = 0
    for number in range(GUESSES):
        guess = f"The code is {number}."
        plain = guess.encode()
        tried = {hashlib.sha256(plain).hexdigest(), *(hmac.digest(k, plain, "sha256").hex() for k in public_keys)}
        unkeyed += bool(tried & stored)
        keyed += digest(key, "thinking_task_hmac", event.request_id, guess) == row["thinking_task_hmac"]
    assert (unkeyed, keyed) == (0, 1)


def test_a_row_has_all_columns_but_those_of_the_chain(key: AuditKey, make_event: Make) -> None:
    row = row_of(make_event(), key, audit_id="a" * 32, now=NOW)
    assert set(COLUMNS) - set(row) == {"writer", "seq", "prev_row_hash", "row_hash", "row_hmac"}
    assert set(row) <= set(COLUMNS)
    assert row["event_type"] == "think_final_answer"
    assert row["latency_ms"] == 12


def test_the_time_is_utc(key: AuditKey, make_event: Make) -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    assert row_of(make_event(), key, audit_id="a", now=tokyo)["ts_utc"] == "2026-11-24T09:30:00.123456Z"


def test_a_text_whose_parts_cannot_be_told_apart_is_hashed_whole(key: AuditKey, make_event: Make) -> None:
    row = row_of(make_event(parts=None, outcome=Outcome.FORMAT_VIOLATION), key, audit_id="a", now=NOW)
    assert row["raw_output_hmac"] is not None
    assert {row[name] for name in ("thinking_task_hmac", "thinking_hmac", "final_hmac", "thinking_characters")} == {
        None
    }
    assert row["event_type"] == "think_format_violation"


def test_where_nothing_was_generated_there_is_no_digest_of_it(key: AuditKey, make_event: Make) -> None:
    row = row_of(make_event(parts=None, raw_output=None, outcome=Outcome.TIMED_OUT), key, audit_id="a", now=NOW)
    assert row["raw_output_hmac"] is None
    assert row["raw_output_characters"] is None
    assert row["query_hmac"] is not None


@given(st.integers(0, 10**7))
def test_a_length_is_only_told_by_its_bucket(length: int) -> None:
    found = bucket(length)
    assert found is not None
    assert found >= length
    assert found == 0 or found & (found - 1) == 0
    assert found <= max(64, 2 * length)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_confidence_that_is_no_number_is_stored_as_none(key: AuditKey, make_event: Make, value: float | None) -> None:
    assert row_of(make_event(safety_confidence=value), key, audit_id="a", now=NOW)["safety_conf"] is None


def test_half_characters_of_a_broken_generation_are_hashed(key: AuditKey, make_event: Make) -> None:
    broken, other = (make_event(raw_output=text, parts=None) for text in ("\ud83d", "\ud83e"))
    digests = {row_of(event, key, audit_id="a", now=NOW)["raw_output_hmac"] for event in (broken, other)}
    assert len(digests) == 2


SECRET = "the thinking says no"


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": SECRET},
        {"request_id": ""},
        {"model_sha": SECRET},
        {"gate_version": SECRET},
        {"policy_digest": SECRET},
        {"error_code": SECRET},
        {"error_code": f"CUDA error: {SECRET}"},
        {"model_id": f"{SECRET}\n"},
        {"event_type": SECRET},
        {"latency_ms": math.nan},
        {"latency_ms": -1},
    ],
)
def test_a_plain_column_takes_no_text_and_the_refusal_does_not_quote_it(
    make_event: Make, changes: dict[str, object]
) -> None:
    with pytest.raises(AuditInputError) as caught:
        make_event(**changes)
    assert next(iter(changes)) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_every_outcome_has_an_event_type_of_the_audit_log() -> None:
    assert {outcome.event_type for outcome in Outcome} <= EVENT_TYPES


def test_an_event_shows_none_of_its_texts(make_event: Make) -> None:
    event = make_event(user_id=SECRET, query=SECRET, answer=SECRET, raw_output=SECRET, parts=Parts(*[SECRET] * 4))
    assert SECRET not in repr(event)
    assert SafetyLabel.ALLOW.name in repr(event)
