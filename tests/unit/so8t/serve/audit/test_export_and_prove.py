"""Rows for others, the same every time; and texts that are shown to be those that were hashed."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from so8t.serve.audit.chain import GENESIS, Head, chained, row_hash
from so8t.serve.audit.errors import AuditInputError, AuditKeyError, AuditRowChanged
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.export import to_csv, to_jsonl
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.audit.prove import prove
from so8t.serve.audit.reader import opened, rows_in_order
from so8t.serve.audit.rows import COLUMNS, row_of
from so8t.serve.audit.verify import verify
from support import strict_json

Make = Callable[..., AuditEvent]
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def row(make_event: Make, key: AuditKey) -> dict[str, Any]:
    return chained(row_of(make_event(), key, audit_id="a" * 32, now=NOW), Head(1, 0, GENESIS), key)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    confidence=st.floats(),
    latency=st.floats(0, 1e12),
    model=st.text(
        st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]), min_size=1, max_size=99
    ),
)
def test_what_is_stored_is_read_back_and_exported_so_that_its_hash_still_matches(
    tmp_path: Path, key: AuditKey, make_event: Make, confidence: float, latency: float, model: str
) -> None:
    path = tmp_path / "audit.db"
    log = AuditLog(path, key)
    log.submit(make_event(safety_confidence=confidence, latency_ms=latency, model_id=model)).result(timeout=60)
    log.close()
    with opened(path) as connection:
        rows = list(rows_in_order(connection))
    assert not verify(rows, {key.key_id: key}).findings
    exported = [strict_json(line) for line in to_jsonl(rows)]
    assert [row_hash(row) for row in exported] == [row["row_hash"] for row in rows]
    assert not verify(exported, {key.key_id: key}).findings
    assert rows[-1]["model_id"] == model


def test_a_line_without_its_two_last_digests_is_what_was_hashed(row: dict[str, Any]) -> None:
    (line,) = to_jsonl([row])
    content = strict_json(line)
    assert list(content) == sorted(COLUMNS)
    assert b": " not in line


def test_the_table_has_every_column_and_no_active_cell(row: dict[str, Any]) -> None:
    text = b"".join(to_csv([{**row, "model_id": '=cmd("x")'}, row])).decode()
    lines = list(csv.DictReader(io.StringIO(text)))
    assert tuple(lines[0]) == COLUMNS
    assert [line["model_id"] for line in lines] == ['\'=cmd("x")', "demo"]
    assert float(lines[1]["safety_conf"]) == row["safety_conf"]
    assert lines[1]["error_code"] == ""
    assert "\r" not in text


EXACT = {"user": "user", "query": "question 1", "answer": "Wear gloves.", "task": "task 1", "safety": "safety",
         "policy": "policy", "final": "Wear gloves.", "raw": "<think-task>t1</think-task> and so on"}  # fmt: skip


def test_the_key_proves_every_text_and_the_thinking_together(row: dict[str, Any], key: AuditKey) -> None:
    found = prove(row, {key.key_id: key}, EXACT)
    assert found == dict.fromkeys([*EXACT, "thinking"], True)


@pytest.mark.parametrize("name", EXACT)
def test_a_text_that_differs_by_one_character_is_not_proved(row: dict[str, Any], key: AuditKey, name: str) -> None:
    found = prove(row, {key.key_id: key}, {**EXACT, name: EXACT[name] + " "})
    wrong = {name, "thinking"} if name in ("task", "safety", "policy") else {name}
    assert {name for name, same in found.items() if not same} == wrong


def test_parts_that_were_moved_about_are_not_the_thinking(row: dict[str, Any], key: AuditKey) -> None:
    found = prove(row, {key.key_id: key}, {"task": "safety", "safety": "task 1", "policy": "policy"})
    assert found == {"task": False, "safety": False, "policy": True, "thinking": False}


def test_without_the_rows_key_nothing_is_said(row: dict[str, Any]) -> None:
    other = AuditKey.of(bytes(32))
    with pytest.raises(AuditKeyError, match=str(row["key_id"])):
        prove(row, {other.key_id: other}, EXACT)


@pytest.mark.parametrize("column", COLUMNS)
def test_with_a_row_that_was_changed_nothing_is_proved(row: dict[str, Any], key: AuditKey, column: str) -> None:
    value = row[column]
    changed = {**row, column: value + 1 if isinstance(value, int | float) else f"x{value or ''}"[:64]}
    with pytest.raises(AuditKeyError if column == "key_id" else AuditRowChanged, match="row"):
        prove(changed, {key.key_id: key}, EXACT)


def test_with_a_row_whose_hash_was_made_anew_nothing_is_proved(row: dict[str, Any], key: AuditKey) -> None:
    impostor = AuditKey(key.key_id, b"f" * 32)
    forged = chained({**row, "audit_id": "b" * 32}, Head(1, 0, GENESIS), impostor)
    with pytest.raises(AuditRowChanged, match="not written by the server"):
        prove(forged, {key.key_id: key}, EXACT)


def test_what_the_row_has_no_digest_of_cannot_be_proved(row: dict[str, Any], key: AuditKey, make_event: Make) -> None:
    malformed = row_of(make_event(parts=None), key, audit_id="b" * 32, now=NOW)
    with pytest.raises(AuditInputError, match="try raw"):
        prove(chained(malformed, Head(1, 0, GENESIS), key), {key.key_id: key}, {"task": "task 1"})
    with pytest.raises(AuditInputError, match="'mood'"):
        prove(row, {key.key_id: key}, {"mood": "good"})
