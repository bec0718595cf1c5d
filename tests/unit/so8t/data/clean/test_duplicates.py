import random

import numpy as np
import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.data.clean.duplicates import Fate, find_duplicates
from so8t.data.clean.signature import SIGNATURE, minhash, signature, similarity

ALPHABET = [chr(0x4E00 + i) for i in range(2000)]


def text_of(seed: int, length: int = 400) -> str:
    return "".join(random.Random(seed).choices(ALPHABET, k=length))


def signatures(*documents: Document):
    return np.array([signature(document) for document in documents], dtype=SIGNATURE)


def document(text: str, tier: str = "1", retrieved_at: str | None = None) -> Document:
    return Document(text=text, id="", metadata={"tier": tier, "retrieved_at": retrieved_at})


def fates(*documents: Document) -> list[Fate]:
    return [Fate(value) for value in find_duplicates(signatures(*documents), 0.8)]


def jaccard(one: str, other: str) -> float:
    pieces = [{text[i : i + 5] for i in range(len(text) - 4)} for text in (one, other)]
    return len(pieces[0] & pieces[1]) / len(pieces[0] | pieces[1])


def test_equal_texts_are_found_whatever_their_case_width_and_punctuation():
    assert fates(document("ABC、新しい 日。" + text_of(1)), document("abc新しい日" + text_of(1))) == [
        Fate.KEPT,
        Fate.EQUAL,
    ]


def test_similar_texts_are_found_and_different_ones_are_kept():
    base = text_of(1)
    assert fates(document(base), document(base[:-10] + text_of(2, 10)), document(text_of(3))) == [
        Fate.KEPT,
        Fate.SIMILAR,
        Fate.KEPT,
    ]


def test_half_in_common_is_not_similar():
    base = text_of(1)
    others = [document(base[: 200 + n] + text_of(n + 10, 200 - n)) for n in range(40)]
    assert fates(document(base), *others).count(Fate.SIMILAR) <= 2  # among themselves they may be


def test_the_most_trusted_stays_then_the_newest_then_the_first():
    text = text_of(1)
    assert fates(document(text, "3"), document(text, "1"), document(text, "2")) == [Fate.EQUAL, Fate.KEPT, Fate.EQUAL]
    old, new = "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
    assert fates(document(text, "1", old), document(text, "1", new)) == [Fate.EQUAL, Fate.KEPT]
    assert fates(document(text), document(text)) == [Fate.KEPT, Fate.EQUAL]
    assert fates(document(text, "unknown"), document(text, "3")) == [Fate.EQUAL, Fate.KEPT]


@pytest.mark.parametrize("share", [0.95, 0.8, 0.5, 0.1])
def test_the_estimate_is_near_the_true_share_of_common_pieces(share):
    base = text_of(7, 2000)
    cut = int(2000 * 2 * share / (1 + share))
    other = base[:cut] + text_of(8, 2000 - cut)
    assert similarity(minhash(base), minhash(other)) == pytest.approx(jaccard(base, other), abs=0.12)


def test_nineteen_in_twenty_pairs_with_85_percent_in_common_are_found():
    found = 0
    for seed in range(40):
        base = text_of(seed, 1000)
        found += fates(document(base), document(base[:-30] + text_of(seed + 1000, 30)))[1] is Fate.SIMILAR
    assert found >= 38


@given(st.lists(st.integers(0, 5), max_size=12))
@settings(max_examples=30)
def test_one_of_every_group_of_equal_texts_is_kept(seeds):
    result = fates(*(document(text_of(seed, 60)) for seed in seeds)) if seeds else []
    assert result.count(Fate.KEPT) == len(set(seeds))


def test_no_texts_and_texts_without_letters_are_no_error():
    assert find_duplicates(np.array([], dtype=SIGNATURE), 0.8).tolist() == []
    assert fates(document("!?"), document("。"), document("a")) == [Fate.KEPT, Fate.EQUAL, Fate.KEPT]
