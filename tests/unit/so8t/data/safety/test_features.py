"""Hashed character n-grams: equal for texts that look equal, the same on every machine, for any text."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.safety.features import BUCKETS, features, normalise

ANY_TEXT = st.text(st.characters(), max_size=80)  # also lone surrogates


@given(ANY_TEXT)
def test_any_text_has_a_vector_with_ascending_columns_below_the_limit(text: str) -> None:
    columns, values = features(text)
    assert columns.size == values.size > 0
    assert (np.diff(columns) > 0).all()
    assert columns[0] >= 0
    assert columns[-1] < BUCKETS
    assert (values >= 1.0).all()


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
