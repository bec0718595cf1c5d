"""The record: what is good is read as it is, what breaks a rule is named by line and field."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.assistant_text import AssistantText, parse_assistant
from so8t.data.thinking import RecordError, parse_line, read_records
from so8t.data.thinking_record import SafetyLabel, ThinkingRecord, content_sha256, record_id, render_assistant
from so8t.errors import DataError

Row = dict[str, Any]
MakeRow = Callable[..., Row]


def line_of(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()


def problems_of(row: Row) -> list[tuple[str, str]]:
    with pytest.raises(RecordError) as caught:
        parse_line(line_of(row), 7)
    assert all(problem.line == 7 for problem in caught.value.problems)
    assert "line 7" in str(caught.value)
    return [(problem.field, problem.message) for problem in caught.value.problems]


def without(row: Row, dotted: str) -> Row:
    copy: Row = json.loads(json.dumps(row))
    *parents, last = dotted.split(".")
    place = copy
    for name in parents:
        place = place[name]
    del place[last]
    return copy


def test_the_documented_row_is_read(make_row: MakeRow) -> None:
    record = parse_line(line_of(make_row()), 1)
    assert record.safety_label is SafetyLabel.ALLOW
    assert record.final == "露出した配管に保温材を巻いてください。"
    assert record.source.license == "CC0-1.0"
    assert render_assistant(record) == (
        "<think-task>Household winter tip.</think-task><think-safety>Everyday maintenance.</think-safety>"
        "<think-policy>general: public know-how.</think-policy><final>露出した配管に保温材を巻いてください。</final>"
    )
    assert parse_assistant(render_assistant(record)) == AssistantText(
        record.thinking.task, record.thinking.safety, record.thinking.policy, record.final
    )


def test_the_id_is_the_hash_of_the_content_and_of_nothing_else(make_row: MakeRow) -> None:
    row = make_row()
    content = {
        "final": row["final"],
        "input": "",
        "instruction": row["instruction"],
        "language": "ja",
        "policy_domain": "general",
        "safety_label": "ALLOW",
        "system": "",
        "thinking": {name: row["thinking"][name] for name in ("policy", "safety", "task")},
    }
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    record = parse_line(line_of(row), 1)
    assert content_sha256(record) == content_sha256(row) == digest
    assert record_id(record) == record_id(row) == digest[:16] == row["id"]
    assert content_sha256({**row, "verifier": None, "split": "train"}) == digest


@given(st.data())
def test_every_allowed_row_is_read_as_it_was_written(data: st.DataObject) -> None:
    text = st.text(
        alphabet=st.characters(exclude_characters="<＜﹤&%", exclude_categories=["Cs"]), min_size=1, max_size=30
    )
    text = text.filter(lambda value: bool(value.strip()))
    row: Row = {
        "schema_version": "1",
        "language": data.draw(st.sampled_from(["ja", "en"])),
        "system": data.draw(st.text(max_size=9, alphabet=st.characters(exclude_categories=["Cs"]))),
        "instruction": data.draw(text),
        "input": data.draw(st.text(max_size=30, alphabet=st.characters(exclude_categories=["Cs"]))),
        "thinking": {name: data.draw(text) for name in ("task", "safety", "policy")},
        "final": data.draw(text),
        "safety_label": data.draw(st.sampled_from([label.value for label in SafetyLabel])),
        "policy_domain": data.draw(text),
        "source": {"tier": "1", "license": "CC0-1.0", "retrieved_at": "2025-12-01T09:00:00+09:00"},
    }
    row["id"] = record_id(row)
    row["source"]["sha256"] = content_sha256(row)
    record = parse_line(line_of(row), 1)
    assert parse_line(msgspec.json.encode(record), 1) == record
    assert {name: getattr(record, name) for name in ("system", "instruction", "input", "final")} == {
        name: row[name] for name in ("system", "instruction", "input", "final")
    }
    parts = parse_assistant(render_assistant(record))
    assert (parts.task, parts.safety, parts.policy, parts.final) == (*row["thinking"].values(), row["final"])


@pytest.mark.parametrize(
    "field",
    [
        "schema_version", "id", "language", "instruction", "thinking", "thinking.task", "thinking.safety",
        "thinking.policy", "final", "safety_label", "policy_domain", "source", "source.tier", "source.license",
        "source.retrieved_at", "source.sha256", "verifier.logical",
    ],
)  # fmt: skip
def test_a_missing_field_is_named(make_row: MakeRow, field: str) -> None:
    assert problems_of(without(make_row(), field)) == [(field, "is missing")]


@pytest.mark.parametrize("field", ["system", "input", "domain_label", "verifier", "split"])
def test_optional_fields_may_be_left_out(make_row: MakeRow, field: str) -> None:
    row = make_row(system="", split="train")
    assert parse_line(line_of(without(row, field)), 1).id == row["id"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schema_version": "2"}, "schema_version"),
        ({"language": "zh"}, "language"),
        ({"instruction": 5}, "instruction"),
        ({"domain_label": "cooking"}, "domain_label"),
        ({"verifier": {"logical": 1.01, "faithful": 0.5}}, "verifier.logical"),
        ({"verifier": {"logical": 0.5, "faithful": -0.01}}, "verifier.faithful"),
        ({"split": "somewhere"}, "split"),
        ({"id": "XYZ"}, "id"),
        ({"verdict": 1}, "verdict"),
        ({"instruction": ""}, "instruction"),
        ({"instruction": "あ" * 8001}, "instruction"),
    ],
)
def test_a_wrong_value_is_named(make_row: MakeRow, changes: Row, field: str) -> None:
    assert [name for name, _ in problems_of({**make_row(), **changes})] == [field]


def test_an_instruction_of_8000_characters_is_accepted(make_row: MakeRow) -> None:
    assert len(parse_line(line_of(make_row(instruction="あ" * 8000)), 1).instruction) == 8000


@pytest.mark.parametrize("field", ["instruction", "final", "policy_domain"])
def test_a_blank_text_is_named(make_row: MakeRow, field: str) -> None:
    assert [name for name, _ in problems_of(make_row(**{field: " \n\u3000"}))] == [field]


@pytest.mark.parametrize("part", ["task", "safety", "policy"])
@pytest.mark.parametrize("text", ["", " ", "a <final>x", "＜THINK＞", "<|end|>"])
def test_a_thought_must_be_neither_blank_nor_tagged(make_row: MakeRow, part: str, text: str) -> None:
    thinking = {**make_row()["thinking"], part: text}
    assert [name for name, _ in problems_of(make_row(thinking=thinking))] == [f"thinking.{part}"]


@pytest.mark.parametrize("text", ["</final>", "<think-safety>", "<|assistant|>", "&lt;final&gt;", "<Thinking"])
def test_an_answer_must_hold_no_tag_and_no_role_token(make_row: MakeRow, text: str) -> None:
    ((field, message),) = problems_of(make_row(final=f"Answer {text}"))
    assert field == "final"
    assert "reserved" in message


def test_a_question_may_speak_of_tags(make_row: MakeRow) -> None:
    row = make_row(instruction="Print <final> and <|end|> please", input="</think-task>")
    assert parse_line(line_of(row), 1).input == "</think-task>"


@pytest.mark.parametrize("alias", ["ESCALATE", "ESCALATION"])
def test_escalate_is_read_as_escalation(make_row: MakeRow, alias: str) -> None:
    record = parse_line(line_of(make_row(safety_label=alias)), 1)
    assert record.safety_label is SafetyLabel.ESCALATION
    assert record.id == make_row(safety_label="ESCALATION")["id"]
    assert b'"ESCALATION"' in msgspec.json.encode(record)


@pytest.mark.parametrize("label", ["allow", "", "MAYBE", None, 0])
def test_an_unknown_label_rejects_the_row(make_row: MakeRow, label: object) -> None:
    assert [name for name, _ in problems_of({**make_row(), "safety_label": label})] == ["safety_label"]


@pytest.mark.parametrize("domain", ["nsfw_adult", "nsfw_block"])
@pytest.mark.parametrize("label", list(SafetyLabel))
def test_nsfw_rows_may_only_decline(make_row: MakeRow, domain: str, label: SafetyLabel) -> None:
    row = make_row(domain_label=domain, safety_label=label.value)
    if label in (SafetyLabel.DENY, SafetyLabel.REFUSE):
        assert parse_line(line_of(row), 1).safety_label is label
    else:
        assert [name for name, _ in problems_of(row)] == ["safety_label"]


@pytest.mark.parametrize("moment", ["yesterday", "2025-12-01", "2025-12-01T00:00:00", ""])
def test_a_time_without_offset_is_refused(make_row: MakeRow, moment: str) -> None:
    source = {**make_row()["source"], "retrieved_at": moment}
    assert [name for name, _ in problems_of(make_row(source=source))] == ["source.retrieved_at"]


def test_a_row_edited_after_it_was_hashed_is_found_and_told_its_hash(make_row: MakeRow) -> None:
    row = {**make_row(), "final": "別の答え。"}
    found = dict(problems_of(row))
    assert set(found) == {"id", "source.sha256"}
    assert record_id(row) in found["id"]
    assert content_sha256(row) in found["source.sha256"]


@pytest.mark.parametrize("line", [b"{", b"[]", b'"text"', b"null", b'{"a":1}{"b":2}', b"{'a': 1}"])
def test_a_line_that_is_not_one_object_is_refused(line: bytes) -> None:
    with pytest.raises(RecordError, match="line 3"):
        parse_line(line, 3)


def test_a_lone_surrogate_is_refused(make_row: MakeRow) -> None:
    line = line_of(make_row(final="MARK")).replace(b"MARK", b"\\ud800")
    with pytest.raises(RecordError, match="line 1"):
        parse_line(line, 1)


def test_every_bad_row_is_collected_and_every_good_one_kept(make_row: MakeRow, write_rows: Callable[..., Path]) -> None:
    good = [make_row(instruction=f"Question {number}?") for number in range(3)]
    path = write_rows(good[0], "{broken", "", good[1], without(make_row(), "safety_label"), good[0], good[2])
    result = read_records(path)
    assert [record.instruction for record in result.records] == ["Question 0?", "Question 1?", "Question 2?"]
    assert [(problem.line, problem.field) for problem in result.problems] == [(2, ""), (5, "safety_label"), (6, "id")]
    assert "line 1" in result.problems[-1].message
    assert result.bad_rows == 3
    assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_windows_line_ends_and_unicode_line_separators_inside_text_are_fine(make_row: MakeRow, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line_of(make_row(final="a\u2028b\u0085c")) + b"\r\n" + line_of(make_row()) + b"\r\n")
    result = read_records(path)
    assert not result.problems
    assert result.records[0].final == "a\u2028b\u0085c"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"\xef\xbb\xbf{}", "UTF-8 byte order mark"),
        ("\ufeff{}".encode("utf-16-le"), "UTF-16 byte order mark"),
        (b"{}\n" + "質問".encode("cp932"), "line 2 is not UTF-8"),
    ],
)
def test_a_file_that_is_no_plain_utf8_text_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_records(path)
    assert "rows.jsonl" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_records(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        read_records(tmp_path)


def test_content_of_a_mapping_without_a_label_cannot_be_hashed(make_row: MakeRow) -> None:
    with pytest.raises(DataError, match="safety_label"):
        record_id(without(make_row(), "safety_label"))


def test_records_cannot_be_changed(make_row: MakeRow) -> None:
    record: ThinkingRecord = parse_line(line_of(make_row()), 1)
    with pytest.raises(AttributeError):
        record.final = "x"  # type: ignore[misc]
