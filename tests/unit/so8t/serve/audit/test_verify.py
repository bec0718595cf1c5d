"""Edits, deletions, insertions, reordering, truncation and foreign keys are found, by what is needed to find each."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.serve.audit.chain import GENESIS, Head, chained
from so8t.serve.audit.errors import AuditInputError
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.rows import COLUMNS, row_of
from so8t.serve.audit.verify import verify

Make = Callable[..., AuditEvent]
Rows = list[dict[str, Any]]
KEY, FORGERS_KEY = AuditKey.of(bytes(range(32))), AuditKey.of(b"f" * 32)
KEYS = {KEY.key_id: KEY}


def chain(drafts: Rows, key: AuditKey = KEY, writer: int = 1) -> Rows:
    head, rows = Head(writer, 0, GENESIS), []
    for draft in drafts:
        content = {
            name: draft[name]
            for name in draft
            if name not in ("writer", "seq", "prev_row_hash", "row_hash", "row_hmac")
        }
        rows.append(chained({**content, "key_id": key.key_id}, head, key))
        head = Head(writer, head.seq + 1, rows[-1]["row_hash"])
    return rows


@pytest.fixture
def rows(make_event: Make) -> Rows:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    return chain([row_of(make_event(number), KEY, audit_id=f"{number:032x}", now=now) for number in range(6)])


def head_of(rows: Rows) -> Head:
    return Head(rows[-1]["writer"], rows[-1]["seq"], rows[-1]["row_hash"])


def test_an_untouched_log_is_whole_with_and_without_keys(rows: Rows) -> None:
    for keys in (KEYS, {}):
        found = verify(rows, keys, since=[head_of(rows[:3]), head_of(rows)])
        assert (found.rows, found.heads, found.findings, found.with_keys) == (6, (head_of(rows),), (), bool(keys))


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("index", [0, 3, 5])
def test_an_edit_of_any_column_of_any_row_is_found(rows: Rows, column: str, index: int) -> None:
    value = rows[index][column]
    rows[index][column] = value + 1 if isinstance(value, int | float) else f"x{value or ''}"[:64]
    assert verify(rows, KEYS).findings
    assert verify(rows, {}).findings or column == "row_hmac"


@pytest.mark.parametrize("index", range(5))
def test_a_deleted_row_is_found(rows: Rows, index: int) -> None:
    del rows[index]
    assert any("missing" in finding.message for finding in verify(rows, {}).findings)


@pytest.mark.parametrize("index", range(5))
def test_a_row_deleted_and_the_rest_renumbered_is_found(rows: Rows, index: int) -> None:
    del rows[index]
    for number, row in enumerate(rows, start=1):
        row["seq"] = number
    assert verify(rows, {}).findings


def test_an_inserted_row_is_found(rows: Rows) -> None:
    rows.insert(3, {**rows[2]})
    assert verify(rows, {}).findings


def test_reordered_rows_are_found(rows: Rows) -> None:
    rows[1], rows[2] = {**rows[2], "seq": 2}, {**rows[1], "seq": 3}
    assert verify(rows, {}).findings


def test_a_cut_off_end_is_found_by_a_remembered_head_and_by_nothing_else(rows: Rows) -> None:
    remembered = head_of(rows)
    cut = rows[:4]
    assert not verify(cut, KEYS).findings
    (finding,) = verify(cut, KEYS, since=[remembered]).findings
    assert (finding.writer, finding.seq) == (1, 6)
    assert "gone" in str(finding)


def test_a_chain_that_is_taken_away_whole_is_found_by_a_remembered_head(rows: Rows) -> None:
    second = chain(rows[:2], writer=2)
    remembered = [head_of(rows), head_of(second)]
    assert not verify([*rows, *second], KEYS, since=remembered).findings
    assert [finding.writer for finding in verify(rows, KEYS, since=remembered).findings] == [2]
    assert len(verify([], KEYS, since=remembered).findings) == 2


def test_remembered_heads_that_contradict_each_other_are_findings_in_any_order(rows: Rows) -> None:
    right, wrong = head_of(rows), Head(1, 6, GENESIS)
    for remembered in ([wrong, right], [right, wrong], [right, wrong, right]):
        (finding,) = verify(rows, KEYS, since=remembered).findings
        assert str(finding) == "chain 1, row 6: is another row than the remembered one"
    assert len(verify(rows[:4], KEYS, since=[right, wrong]).findings) == 1, "one row is gone"


@pytest.mark.parametrize(("hashed", "count"), [(GENESIS, 0), ("ab" * 32, 1)])
def test_the_head_of_an_empty_chain_is_the_genesis_and_nothing_else(rows: Rows, hashed: str, count: int) -> None:
    for log in (rows, []):
        assert len(verify(log, KEYS, since=[Head(1, 0, hashed)]).findings) == count


def test_a_chain_made_anew_without_the_key_is_found_with_the_keys(rows: Rows) -> None:
    forged = chain([{**row, "outcome": "answered", "safety_label": "ALLOW"} for row in rows], FORGERS_KEY)
    assert not verify(forged, {}).findings, "hashes alone cannot tell"
    assert len(verify(forged, KEYS).findings) == 6, "the forger's key was not given"
    for row in forged:
        row["key_id"] = KEY.key_id
    assert verify(forged, KEYS).findings


def test_a_chain_made_anew_under_the_real_keys_id_is_found_by_its_digests(rows: Rows) -> None:
    impostor = AuditKey(KEY.key_id, FORGERS_KEY.secret)
    findings = verify(chain(rows, impostor), KEYS).findings
    assert [finding.seq for finding in findings] == [1, 2, 3, 4, 5, 6]
    assert all("not written by the server" in finding.message for finding in findings)


def test_a_chain_made_anew_is_found_by_a_remembered_head_without_keys(rows: Rows) -> None:
    forged = chain(rows, FORGERS_KEY)
    assert verify(forged, {}, since=[head_of(rows[:3])]).findings


def test_rows_under_a_rotated_key_need_both_keys(rows: Rows) -> None:
    new = AuditKey.of(b"n" * 32)
    row = chained({**rows[0], "key_id": new.key_id}, head_of(rows), new)
    assert not verify([*rows, row], {**KEYS, new.key_id: new}).findings
    assert [finding.seq for finding in verify([*rows, row], KEYS).findings] == [7]


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1), st.binary(min_size=32, max_size=32))
def test_a_head_is_read_back(writer: int, seq: int, hashed: bytes) -> None:
    head = Head(writer, seq, hashed.hex())
    assert Head.parse(f" {head}\n") == head


@pytest.mark.parametrize("text", ["", "1:2", "1:2:xyz", f"1:2:{'A' * 64}", f"-1:2:{'0' * 64}", f"1:2:{'0' * 64}:3"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(AuditInputError):
        Head.parse(text)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("safety_conf", float("inf")),
        ("error_code", float("nan")),
        ("outcome", b"j\xf2\xb0{\x1e"),
        ("seq", "three"),
        ("writer", b"1"),
    ],
)
def test_values_that_the_log_never_writes_are_found_though_their_json_may_be_the_same(
    rows: Rows, column: str, value: object
) -> None:
    rows = chain([{**row, "safety_conf": None, "outcome": "avKweh4="} for row in rows])
    assert not verify(rows, KEYS).findings
    rows[2][column] = value
    assert verify(rows, {}).findings
