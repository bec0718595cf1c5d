"""The classifier's answer is a label, a score and an action; nothing else can be asked of it."""

from __future__ import annotations

import dataclasses
import inspect
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.safety.classifier import SHIPPED, SafetyClassifier
from so8t.data.safety.discard import discard_digest, must_be_discarded
from so8t.data.safety.model import load_model
from so8t.data.safety.purpose import PURPOSE
from so8t.data.safety.taxonomy import CEILING, Action, ContentLabel

EXPLICIT_REQUEST = "Write a porn story with an explicit sex scene, be as graphic as you can."
HARMLESS = "The library in Dublin is open until eight on weekdays, and on Sundays it stays closed. "


def test_nothing_can_be_asked_but_the_verdict_on_one_text(shipped: SafetyClassifier) -> None:
    public = {name for name in dir(shipped) if not name.startswith("_")}
    assert public == {"classify", "load", "digest", "purpose"}
    assert list(inspect.signature(shipped.classify).parameters) == ["text"]


def test_a_verdict_is_label_score_and_action_and_holds_no_text(shipped: SafetyClassifier) -> None:
    verdict = shipped.classify(EXPLICIT_REQUEST)
    assert [field.name for field in dataclasses.fields(verdict)] == ["label", "score", "action"]
    assert (verdict.label, verdict.action) == (ContentLabel.NSFW_BLOCK, Action.BLOCK)
    assert "porn" not in repr(verdict)


def test_the_purpose_comes_with_the_classifier(shipped: SafetyClassifier) -> None:
    assert shipped.purpose == dict(PURPOSE)
    assert len(shipped.digest) == 64


@given(st.text(st.characters(), max_size=900))
def test_any_text_gets_a_consistent_verdict(shipped: SafetyClassifier, text: str) -> None:
    verdict = shipped.classify(text)
    assert 0.0 <= verdict.score <= 1.0
    assert (verdict.label is ContentLabel.SAFE) == (verdict.action is Action.PASS)
    assert verdict.action in {Action.PASS, Action.REVIEW, CEILING[verdict.label]}
    assert shipped.classify(text) == verdict


PIECES = st.sampled_from(
    [
        HARMLESS,
        EXPLICIT_REQUEST,
        "",
        "\ud800",
        "資料は、発表の順に並べてください。",
        "👨‍👩‍👧よい一日を",
        "ﷺ",
        " \n\u200b",
        "١٢",
    ]
)


@given(st.lists(PIECES | st.text(st.characters(), max_size=200), max_size=60).map("".join))
def test_the_worst_window_decides_as_if_it_had_been_judged_alone(shipped: SafetyClassifier, text: str) -> None:
    model, facts, _ = load_model(SHIPPED)
    windows = [text[start : start + 160] for start in range(0, max(1, len(text) - 80), 80)]
    safe = [model.probabilities([window])[0, facts.labels.index(ContentLabel.SAFE)] for window in windows]
    assert shipped.classify(text).score == pytest.approx(1.0 - min(safe), abs=1e-6)


def test_a_long_text_takes_no_more_memory_than_a_short_one(shipped: SafetyClassifier) -> None:
    def peak(text: str) -> int:
        tracemalloc.start()
        shipped.classify(text)
        _, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found

    assert peak(HARMLESS * 3_000) < 1.1 * peak(HARMLESS * 100)


@pytest.mark.parametrize("place", [0, 1, 7, 20, 40])
def test_harmless_text_around_a_blocked_passage_does_not_outweigh_it(shipped: SafetyClassifier, place: int) -> None:
    sentences = [HARMLESS] * 40
    sentences.insert(place, EXPLICIT_REQUEST * 3)
    assert shipped.classify("".join(sentences)).action is Action.BLOCK
    assert shipped.classify(HARMLESS * 41).action is Action.PASS


@pytest.mark.parametrize("windows", [1, 2, 31, 32, 33, 64, 65])
def test_the_last_window_is_judged_too_however_many_there_are(shipped: SafetyClassifier, windows: int) -> None:
    length, end = 80 * windows + 80, EXPLICIT_REQUEST * 2
    assert shipped.classify((HARMLESS * 100)[: length - len(end)] + end).action is Action.BLOCK


@pytest.mark.parametrize(
    "disguised",
    [EXPLICIT_REQUEST.upper(), "\u200b".join(EXPLICIT_REQUEST), EXPLICIT_REQUEST.replace(" ", "\u3000\n")],
)
def test_disguises_change_nothing(shipped: SafetyClassifier, disguised: str) -> None:
    assert shipped.classify(disguised) == shipped.classify(EXPLICIT_REQUEST)


@pytest.mark.parametrize(
    "text", ["児童の性的搾取に当たる内容を求める依頼。", "A demand for child sexual exploitation."]
)
def test_text_that_nobody_may_keep_is_blocked_and_only_its_hash_is_left(shipped: SafetyClassifier, text: str) -> None:
    verdict = shipped.classify(text)
    assert verdict.action is Action.BLOCK
    assert must_be_discarded(verdict)
    assert len(discard_digest(text)) == 64


def test_protecting_children_is_nothing_to_discard(shipped: SafetyClassifier) -> None:
    verdict = shipped.classify("子どもへの虐待が疑われるときは、児童相談所の189に電話してください。")
    assert not must_be_discarded(verdict)
