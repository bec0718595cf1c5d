"""An answer that repeats the thinking word for word is found; one that quotes the user is not."""

import base64
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.errors import ConfigError
from so8t.serve.overlap import OverlapLimits, base64_texts, repeats

LIMITS = OverlapLimits()
THOUGHT = (
    "the request comes from a tenant who wants to enter a neighbour's flat, and the policy on locks says that we "
    "name the landlord and the police as the people to call but never a way of opening a door without its key"
)
GEDANKE = (
    "利用者は隣室の鍵を開ける方法を尋ねていますが方針では解錠の手順を示さず管理会社と警察への連絡を案内することに"
    "なっているため具体的な道具や手順には一切触れません"
)


def letters(count: int, seed: int = 0) -> str:
    """Letters without words, in which nothing repeats."""
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz", k=count))


@pytest.mark.parametrize(("common", "found"), [(63, False), (64, True), (200, True)])
def test_64_characters_in_common_are_too_many(common: int, found: bool) -> None:
    shared = letters(common)
    assert repeats(f"1{shared}2", f"3{shared}4", "", LIMITS) is found


@pytest.mark.parametrize(("common", "found"), [(11, False), (12, True)])
def test_12_words_in_common_are_too_many_whatever_stands_between_them(common: int, found: bool) -> None:
    words = [f"{letters(3, seed)}" for seed in range(common)]
    assert repeats("x, " + "; ".join(words) + "! y", "z " + " ".join(words) + " w", "", LIMITS) is found


@pytest.mark.parametrize(("common", "found"), [(39, False), (40, True)])
def test_40_japanese_characters_in_common_are_too_many_whatever_stands_between_them(common: int, found: bool) -> None:
    shared = GEDANKE[:common]
    assert repeats("了。" + "・".join(shared) + "ん", f"以{shared}上", "", LIMITS) is found


@pytest.mark.parametrize(
    "answer",
    [
        THOUGHT,
        THOUGHT[20:100],
        "My reasoning: " + THOUGHT.replace(" ", "\n"),
        THOUGHT[::-1],
        " ".join(THOUGHT.split()[::-1]),
        "-".join(THOUGHT),
        " ".join(THOUGHT),
    ],
)
def test_a_thought_is_found_whole_cut_out_set_apart_and_backwards(answer: str) -> None:
    assert repeats(answer, THOUGHT, "", LIMITS)


@pytest.mark.parametrize("answer", [GEDANKE, GEDANKE[5:60], "\n".join(GEDANKE), GEDANKE[::-1]])
def test_a_japanese_thought_is_found_too(answer: str) -> None:
    assert repeats(answer, GEDANKE, "", LIMITS)


def test_quoting_the_user_is_no_repetition_of_the_thinking_that_quotes_the_same() -> None:
    query = "Please translate: " + THOUGHT
    assert not repeats(f"Here you are: «{THOUGHT}».", f"They want this in German: '{THOUGHT}'.", query, LIMITS)
    assert repeats(
        f"Here you are: «{THOUGHT}».", f"They want this in German: '{THOUGHT}'.", "Please translate.", LIMITS
    )


def test_what_stands_around_a_quotation_still_counts() -> None:
    query = "the landlord and the police as the people to call"
    assert query in THOUGHT
    assert repeats(THOUGHT, THOUGHT, query, LIMITS)


def test_the_users_words_in_the_middle_of_a_repetition_do_not_excuse_it() -> None:
    before, quoted, after = letters(40, seed=1), letters(30, seed=2), letters(40, seed=3)
    assert repeats(before + quoted + after, before + quoted + after, f"?{quoted}!", LIMITS)
    assert not repeats(before + quoted, before + quoted, f"?{quoted}!", LIMITS)


def test_common_phrases_are_no_repetition() -> None:
    answer = "Please call the landlord or the police; they are the people who may open a door for you."
    assert not repeats(answer, THOUGHT, "", LIMITS)


def naive(answer: str, thinking: str, limits: OverlapLimits) -> bool:
    """The same question with the longest common run of every stream, by trying all of them."""

    def share(a: list[str], b: list[str], length: int) -> bool:
        runs = {tuple(way[i : i + length]) for way in (b, b[::-1]) for i in range(len(b) - length + 1)}
        return any(tuple(a[i : i + length]) in runs for i in range(len(a) - length + 1))

    streams = [
        (lambda text: list(" ".join(text.split())), limits.characters),
        (lambda text: [character for character in text if character.isalnum()], limits.characters),
        (lambda text: re.findall("[ぁ-んァ-ヶ一-龥]", text), limits.japanese),
        (lambda text: re.findall(r"\w+", text), limits.words),
    ]
    return any(share(stream(answer), stream(thinking), length) for stream, length in streams)


small = st.text("ab .漢か", max_size=40)


@given(small, small, st.integers(4, 9), st.integers(4, 9), st.integers(4, 9))
def test_the_hashes_say_what_trying_everything_says(
    answer: str, thinking: str, characters: int, japanese: int, words: int
) -> None:
    limits = OverlapLimits(characters=characters, japanese=japanese, words=words)
    assert repeats(answer, thinking, "", limits) == naive(answer, thinking, limits)


@given(small, small, small)
def test_a_query_never_makes_an_answer_suspicious_that_shares_nothing(answer: str, thinking: str, query: str) -> None:
    limits = OverlapLimits(characters=4, japanese=4, words=4)
    if not set(answer) & set(thinking):
        assert not repeats(answer, thinking, query, limits)


@given(st.text("ab ", min_size=8, max_size=30))
def test_an_answer_the_user_wrote_himself_is_never_a_repetition(text: str) -> None:
    assert not repeats(text, text, text, OverlapLimits(characters=4, japanese=4, words=4))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=18), st.sampled_from(["standard", "url"]))
def test_base64_is_decoded_over_line_ends_in_both_alphabets(text: str, alphabet: str) -> None:
    encode = base64.urlsafe_b64encode if alphabet == "url" else base64.b64encode
    coded = encode(text.encode()).decode()
    wrapped = "\n".join(coded[start : start + 19] for start in range(0, len(coded), 19))
    assert text in base64_texts(f"Result: {wrapped}")


@given(st.text(max_size=80))
def test_decoding_raises_for_no_text(text: str) -> None:
    base64_texts(text)


@pytest.mark.parametrize("name", ["characters", "japanese", "words"])
def test_a_limit_that_everything_reaches_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        OverlapLimits(**{name: 3})
