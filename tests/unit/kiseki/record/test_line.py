"""A line that is read back is the line that was written, or it is nothing."""

import json

from hypothesis import given
from hypothesis import strategies as st

from kiseki.record.line import EVAL, NOTE, ROW, Line, frame, parse

payloads = st.dictionaries(st.text(max_size=20), st.one_of(st.floats(allow_nan=False), st.text()), max_size=8).map(
    lambda content: json.dumps(content, ensure_ascii=True).encode()
)


@given(kind=st.sampled_from([ROW, EVAL, NOTE]), payload=payloads, seq=st.integers(0, 2**63))
def test_what_was_framed_is_parsed_unchanged(kind: str, payload: bytes, seq: int) -> None:
    line = frame(kind, payload, seq)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse(line[:-1]) == Line(kind, payload, seq)
    assert parse(line[:-1], due=seq) == Line(kind, payload, seq)
    assert parse(line[:-1], due=seq + 1) == Line(kind, payload, seq)


@given(payload=payloads, seq=st.integers(0, 10**6), data=st.data())
def test_a_flipped_bit_anywhere_is_found(payload: bytes, seq: int, data: st.DataObject) -> None:
    line = bytearray(frame(ROW, payload, seq)[:-1])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= 1 << data.draw(st.integers(0, 7))
    assert parse(bytes(line)) is None
    assert parse(bytes(line), due=seq) is None


@given(payload=payloads, data=st.data())
def test_a_line_cut_short_is_nothing(payload: bytes, data: st.DataObject) -> None:
    line = frame(ROW, payload, 12)[:-1]
    assert parse(line[: data.draw(st.integers(0, len(line) - 1))]) is None


def test_a_line_is_one_json_object_whose_first_key_is_its_kind() -> None:
    line = json.loads(frame(ROW, b'{"step":1}', 3))
    assert list(line) == ["row", "seq", "crc"]
    assert line["row"] == {"step": 1}


def test_a_line_costs_at_most_80_bytes_more_than_what_it_carries() -> None:
    assert len(frame(ROW, b"{}", 10**12)) - len(b"{}") <= 80
