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


@pytest.mark.parametrize(("marks", "found"), [(32, False), (33, True)])
@pytest.mark.parametrize("space", [" ", "\n", "\u3000 \t", "\x1c\r\n"])
def test_white_space_of_any_kind_counts_once(marks: int, found: bool, space: str) -> None:
    shared = random.Random(0).choices(".,;:!?-+*/", k=marks)
    assert repeats(space + " ".join(shared) + space, "\xa0" + space.join(shared), "", LIMITS) is found


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


def naive(answer: str, thinking: str, query: str, limits: OverlapLimits) -> bool:
    """The same question by trying all runs of every stream."""

    def runs(stream: list[str], length: int, step: int = 1) -> set[tuple[str, ...]]:
        return {tuple(stream[i : i + length]) for i in range(0, len(stream) - length + 1, step)}

    def both_ways(stream: list[str], length: int, step: int = 1) -> set[tuple[str, ...]]:
        return runs(stream, length, step) | runs(stream[::-1], length, step)

    def without(stream: list[str], known: set[tuple[str, ...]], length: int) -> list[str]:
        starts = [i for i in range(len(stream) - length + 1) if tuple(stream[i : i + length]) in known]
        return [code for i, code in enumerate(stream) if not any(start <= i < start + length for start in starts)]

    def share(a: list[str], t: list[str], q: list[str], length: int) -> bool:
        half, quarter = length // 2, length // 4
        if not runs(t, half) & both_ways(a, half, step=half):
            return False
        known = runs(q, quarter)
        return bool(runs(without(t, known, quarter), length) & both_ways(without(a, known, quarter), length))

    streams = [
        (lambda text: list(" ".join(text.split())), limits.characters),
        (lambda text: [character for character in text if character.isalnum()], limits.characters),
        (lambda text: re.findall("[ぁ-んァ-ヶ一-龥]", text), limits.japanese),
        (lambda text: re.findall(r"\w+", text), limits.words),
    ]
    return any(share(*map(stream, (answer, thinking, query)), length) for stream, length in streams)


small = st.text("ab .漢か\n\u3000\x1c", max_size=40)
limit = st.integers(4, 9)


@given(st.lists(st.text("ab .漢か\n", min_size=1, max_size=6), min_size=1, max_size=4), st.data(), limit, limit, limit)
def test_the_hashes_say_what_trying_everything_says(
    pieces: list[str], data: st.DataObject, characters: int, japanese: int, words: int
) -> None:
    composed = st.lists(st.sampled_from(pieces) | st.text("ab 漢", max_size=3), max_size=8).map("".join)
    answer, thinking, query = data.draw(composed | small), data.draw(composed | small), data.draw(composed | small)
    limits = OverlapLimits(characters=characters, japanese=japanese, words=words)
    assert repeats(answer, thinking, query, limits) == naive(answer, thinking, query, limits)


@pytest.mark.parametrize(("common", "found"), [(63, False), (64, True)])
def test_a_run_is_found_in_texts_too_long_for_the_stored_powers(common: int, found: bool) -> None:
    shared = letters(common)
    answer, thinking = f"{letters(40_000, seed=1)}1{shared}2", f"{letters(90_000, seed=2)}3{shared}4"
    assert repeats(answer, thinking, "", LIMITS) is found
    assert repeats(answer, thinking[::-1], "", LIMITS) is found


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
