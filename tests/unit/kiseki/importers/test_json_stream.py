"""A log is read as far as it goes, and where it does not go on is told."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.importers import json_text
from kiseki.importers.json_stream import SourceError, read_pieces
from kiseki.importers.json_text import LONGEST_VALUE

SAMPLE = (
    b'{"a": 1.5, "log": [{"x": 12}, {"x": NaN}, {"y": -Infinity}], "z": {"deep": [1, "\xe6\x90\x8d"]}, "n": 4686}\n'
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def same(one: object, other: object) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(
    fields=st.dictionaries(st.text().filter(lambda name: name != "log"), values, max_size=4),
    items=st.lists(values, max_size=6),
    indent=st.sampled_from([None, 2]),
    plain=st.booleans(),
)
def test_whatever_python_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any], items: list[Any], indent: int | None, plain: bool
) -> None:
    path = tmp_path_factory.mktemp("json") / "state.json"
    written = json.dumps({**fields, "log": items}, indent=indent, ensure_ascii=plain, sort_keys=True)
    path.write_bytes(written.encode("utf-8", "surrogatepass"))
    try:
        written.encode("utf-8")
    except UnicodeEncodeError:
        return  # text with lone surrogates, written unescaped, is no UTF-8
    pieces = read_pieces(path, "log")
    assert pieces.unread is None
    assert same(pieces.fields, fields)
    assert same(pieces.items, items)
    assert (pieces.bytes, pieces.sha256) == (
        path.stat().st_size,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def test_cut_at_every_byte_only_whole_values_are_read_and_the_loss_is_told(tmp_path: Path) -> None:
    whole = json.loads(SAMPLE)
    path = tmp_path / "state.json"
    counts = []
    for length in range(1, len(SAMPLE) + 1):
        path.write_bytes(SAMPLE[:length])
        pieces = read_pieces(path, "log")
        items = pieces.items or []
        counts.append(len(items))
        assert same(items, whole["log"][: len(items)])
        assert all(same(value, whole[name]) for name, value in pieces.fields.items())
        assert (pieces.unread is None) == (length >= len(SAMPLE) - 1)
        assert pieces.unread is None or pieces.unread.byte <= length
        assert pieces.sha256 == hashlib.sha256(SAMPLE[:length]).hexdigest()
    assert counts == sorted(counts)
    assert counts[-1] == 3


@pytest.mark.parametrize("shift", range(-40, 41))
def test_values_that_lie_across_the_border_of_two_blocks_are_read_whole(tmp_path: Path, shift: int) -> None:
    path = tmp_path / "state.json"
    padding = " " * ((1 << 20) - 60 + shift)
    path.write_text('{"log": [' + padding + '{"損失": 1234.5e-3, "b": -Infinity}, 7], "c": 123.25}', encoding="utf-8")
    pieces = read_pieces(path, "log")
    assert pieces.unread is None
    assert pieces.items == [{"損失": 1.2345, "b": -math.inf}, 7]
    assert pieces.fields == {"c": 123.25}


@pytest.mark.parametrize(
    "log",
    [
        '[{"a": 1}, {"b": NaN}, {"c": 1e400}, 3, {"\\ud800": "損"},\n{"d": -0.0}]',
        '[{"a": {"b": {}}},{"c": [{}, {}]}, {"},": "},{"},{"d": "}]}, {"}]',
        '[{"a": 1}, {"a": 1} 1 , {"a": 1}]',
        '[{"a": 1},, {"a": 1}, {"a": 1}]',
        '[{"a": 1}, {"a": 1}], "log": [{"a": 2}, {"a": 2}]',
        '[{"a": 1}, {"a": 1}]}, {"a": 1}]',
        '[{"a": 1}, {"a": 1}, "and so on, {}, {}',
        '[{"a": 1}, {"a": \x00}, {"a": 1}]',
    ],
)
def test_items_that_are_read_many_at_once_are_those_that_are_read_singly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    path = tmp_path / "state.json"
    path.write_text(f'{{"log": {log}, "z": [{{}}, {{}}]}}', encoding="utf-8")
    monkeypatch.setattr(json_text, "_BLOCK_BYTES", 1)  # what was read so far then never holds a whole item and more
    singly = read_pieces(path, "log")
    for block in range(2, path.stat().st_size + 1):
        monkeypatch.setattr(json_text, "_BLOCK_BYTES", block)
        assert repr(read_pieces(path, "log")) == repr(singly)


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("1" * 10_000 + "]}", "no whole JSON value"),
        ("1" * (2 * LONGEST_VALUE) + "]}", "no JSON"),
        ('"' + "x" * (2 * LONGEST_VALUE) + " and no end", "no JSON"),
        ("wrong]}", "no whole JSON value"),
        ("1 2]}", "no whole JSON value"),
        ("3]", "ends too early"),
        ("3", "no whole JSON value"),
        ("3]} {", "something follows"),
        ("3], 4: 5}", "a name was due"),
        ("3], 'a': 5}", "no whole JSON value"),
        ('3], "a" 5}', "no whole JSON value"),
    ],
)
def test_what_stands_before_a_broken_place_is_kept(tmp_path: Path, rest: str, why: str) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"log": [{"loss": 1}, ' + rest, encoding="utf-8")
    pieces = read_pieces(path, "log")
    assert pieces.items is not None
    assert pieces.items[0] == {"loss": 1}
    assert pieces.unread is not None
    assert why in pieces.unread.why
    assert pieces.bytes == path.stat().st_size


@pytest.mark.parametrize(("later", "items"), [("null", None), ("5", None), ("[]", []), ("[2]", [2])])
def test_of_two_members_of_one_name_the_later_one_counts(tmp_path: Path, later: str, items: list[Any] | None) -> None:
    path = tmp_path / "state.json"
    path.write_text(f'{{"log": [1], "log": {later}}}', encoding="utf-8")
    assert read_pieces(path, "log").items == items


def test_bytes_that_are_no_utf_8_end_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b'{"log": [{"a": 1}, {"\xff": 2}]}')
    pieces = read_pieces(path, "log")
    assert pieces.items == [{"a": 1}]
    assert pieces.unread is not None
    assert pieces.unread.why == "the bytes are not UTF-8"


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"\xef\xbb\xbf" + SAMPLE)
    assert read_pieces(path, "log").unread is None


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\x00\x01", b"loss: 1", b"\xff\xfe{", b" \n "])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="no JSON object"):
        read_pieces(path, "log")


def test_a_file_of_four_gigabytes_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with path.open("wb") as out:
        out.truncate(4 << 30)
    with pytest.raises(SourceError, match="4096 MiB"):
        read_pieces(path, "log")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_pieces(tmp_path / "none.json", "log")
