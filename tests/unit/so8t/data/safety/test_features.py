"""Hashed character n-grams: equal for texts that look equal, the same on every machine, for any text."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.safety.features import BUCKETS, NGRAMS, feature_rows, features, normalise

ANY_TEXT = st.text(st.characters(), max_size=80)  # also lone surrogates


@given(ANY_TEXT)
def test_any_text_has_a_vector_with_ascending_columns_below_the_limit(text: str) -> None:
    columns, values = features(text)
    assert columns.size == values.size > 0
    assert (np.diff(columns) > 0).all()
    assert columns[0] >= 0
    assert columns[-1] < BUCKETS
    assert (values >= 1.0).all()


def by_counting(text: str) -> dict[int, float]:
    """The same vector one n-gram at a time, in Python's own integers."""
    padded = f" {normalise(text)} "
    hits: Counter[int] = Counter()
    for n in NGRAMS:
        for start in range(len(padded) - n + 1):
            state = 0xCBF29CE484222325 ^ n
            for character in padded[start : start + n]:
                state = (state ^ ord(character)) * 0x100000001B3 % 2**64
            hits[(state * 0x9E3779B97F4A7C15 % 2**64) >> 46] += 1
    return {bucket: 1 + math.log(count) for bucket, count in sorted(hits.items())}


@given(st.lists(ANY_TEXT | st.text("ab0 \u200b\u3000漢ﷺ", max_size=200), min_size=1, max_size=5))
def test_each_text_of_several_has_the_vector_that_counting_gives_it_alone(texts: list[str]) -> None:
    columns, values = feature_rows(texts)
    for row, text in enumerate(texts):
        first, expected = values[row] > 0, by_counting(text)
        assert columns[row][first].tolist() == features(text).columns.tolist() == list(expected)
        np.testing.assert_allclose(values[row][first], list(expected.values()), rtol=1e-6)
        assert values[row][first].tolist() == features(text).values.tolist()


def normalised_by_definition(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    visible = "".join(character for character in folded if unicodedata.category(character) != "Cf")
    return "".join("0" if character.isdecimal() else character for character in " ".join(visible.split()))


@given(ANY_TEXT | st.text("aß１٣ \n\x1c\u00a0\u3000\u200b\u200d\ufeff\U000e0061", max_size=30))
def test_normalising_does_what_it_says(text: str) -> None:
    assert normalise(text) == normalised_by_definition(text)


@given(st.text(max_size=40))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once or unicodedata.normalize("NFKC", once) != once


def test_width_case_digits_spaces_and_invisible_characters_make_no_difference() -> None:
    plain = features("make a bomb 12")
    for disguised in ("ＭＡＫＥ Ａ ＢＯＭＢ　３４", "ma\u200bke a  bo\u2060mb\n99"):
        assert features(disguised).columns.tolist() == plain.columns.tolist()


def test_a_repeated_ngram_counts_less_than_twice() -> None:
    once, twice = features("abab"), features("abababab")
    assert 1.0 < float(twice.values.max()) < 2 * float(once.values.max())


def test_the_hash_is_the_same_everywhere() -> None:
    """The weights of a stored model mean these buckets; a change of the hash makes every stored model wrong."""
    columns = features("拒否と検出 only, 2026").columns.astype("<i8")
    assert (
        hashlib.sha256(columns.tobytes()).hexdigest()
        == "250b6d6f16e702c7b3529ae0714a8f34d6167bde545f465da8e54d26dcca25eb"
    )
