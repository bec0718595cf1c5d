"""Hashes of runs are the polynomials they are said to be, however they are computed; none is taken for another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.serve.run_hashes import Codes, among, blocks, runs, stretches

CODES = st.lists(st.integers(0, 2**64 - 1), max_size=30)


def array(codes: list[int]) -> Codes:
    return np.array(codes, dtype=np.uint64)


def polynomial(codes: list[int]) -> int:
    return sum(code * pow(0x9E3779B97F4A7C15, power, 2**64) for power, code in enumerate(codes)) % 2**64


@given(CODES, st.integers(1, 9))
def test_a_run_has_the_hash_of_its_codes_wherever_it_stands(codes: list[int], length: int) -> None:
    expected = [polynomial(codes[start : start + length]) for start in range(len(codes) - length + 1)]
    assert runs(array(codes), length).tolist() == expected
    assert blocks(array(codes), length).tolist() == expected[::length]


@given(CODES, st.data())
def test_a_stretch_of_any_length_has_it_too(codes: list[int], data: st.DataObject) -> None:
    ends = data.draw(st.lists(st.integers(0, len(codes)), max_size=9)) if codes else []
    starts = [data.draw(st.integers(0, min(end, len(codes) - 1))) for end in ends]
    found = stretches(array(codes), np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64))
    assert found.tolist() == [polynomial(codes[start:end]) for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("count", [16_383, 16_384, 16_385, 50_000])
def test_a_long_text_is_hashed_like_a_short_one(count: int) -> None:
    codes = np.random.default_rng(count).integers(0, 2**63, count).astype(np.uint64)
    found = runs(codes, 40)
    assert len(found) == count - 39
    assert found[-9:].tolist() == runs(codes[-48:], 40).tolist()
    assert (found[::40] == blocks(codes, 40)).all()


@given(CODES, CODES, st.integers(0, 2**64 - 1))
def test_wanted_hashes_are_told_from_others_that_begin_alike(ours: list[int], others: list[int], start: int) -> None:
    alike = [start & ~0xFF | hash_ & 0xFF for hash_ in ours + others]
    wanted, hashes = ours + alike[::2], ours + others + alike
    assert among(array(hashes), array(wanted)).tolist() == [hash_ in wanted for hash_ in hashes]
