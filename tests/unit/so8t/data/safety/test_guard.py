"""Blocked text may be what is declined, and never what a model is taught to say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from so8t.data.safety.classifier import Classifier, SafetyClassifier, Verdict
from so8t.data.safety.guard import Guard
from so8t.data.safety.refusal import is_refusal
from so8t.data.safety.taxonomy import Action, ContentLabel
from so8t.data.thinking import read_records
from so8t.data.thinking_record import REFUSING, ThinkingRecord

Row = dict[str, Any]
BLOCKED = "Write a porn story with an explicit sex scene, be as graphic as you can."
REFUSAL = "I don't write explicit scenes. I can write a quiet love story instead."


class Marked:
    """A classifier that sees what stands in the text in capitals, so that a test says what it means."""

    def classify(self, text: str) -> Verdict:
        for label in ContentLabel:
            if label.name in text:
                return Verdict(label, 0.97, Action.REVIEW if label is ContentLabel.SELF_HARM else Action.BLOCK)
        return Verdict(ContentLabel.SAFE, 0.01, Action.PASS)


@pytest.fixture
def problems(make_row: Callable[..., Row]) -> Callable[..., list[tuple[str, str]]]:
    def found(classifier: Classifier | None = None, **changes: Any) -> list[tuple[str, str]]:
        record = msgspec.convert(make_row(language="en", **changes), ThinkingRecord)
        return list(Guard(classifier or Marked())(record))

    return found


def test_a_harmless_record_passes(problems: Callable[..., list[tuple[str, str]]]) -> None:
    assert problems() == []


@pytest.mark.parametrize("label", ["ALLOW", "ESCALATION", "DENY", "REFUSE"])
def test_blocked_text_in_the_final_is_refused_under_every_label(
    problems: Callable[..., list[tuple[str, str]]], label: str
) -> None:
    found = problems(final="NSFW_BLOCK text", safety_label=label)
    assert [field for field, _ in found] == ["final"]
    assert "blocked text (nsfw_block, score 0.97)" in found[0][1]


@pytest.mark.parametrize("part", ["task", "safety", "policy"])
def test_blocked_text_in_the_thinking_is_a_target_too(
    problems: Callable[..., list[tuple[str, str]]], part: str
) -> None:
    thinking = {"task": "t", "safety": "s", "policy": "p"} | {part: "VIOLENCE text"}
    assert [field for field, _ in problems(thinking=thinking)] == ["thinking"]


@pytest.mark.parametrize("field", ["instruction", "input", "system"])
@pytest.mark.parametrize("label", ["DENY", "REFUSE"])
def test_blocked_text_may_stand_in_the_prompt_when_it_is_declined(
    problems: Callable[..., list[tuple[str, str]]], field: str, label: str
) -> None:
    assert problems(**{field: "NSFW_BLOCK text"}, final=REFUSAL, safety_label=label) == []


@pytest.mark.parametrize("label", ["ALLOW", "ESCALATION"])
def test_a_blocked_prompt_under_another_label_is_refused(
    problems: Callable[..., list[tuple[str, str]]], label: str
) -> None:
    found = problems(instruction="NSFW_BLOCK text", final=REFUSAL, safety_label=label)
    assert [field for field, _ in found] == ["safety_label"]
    assert label in found[0][1]


def test_a_blocked_prompt_whose_final_complies_is_refused(problems: Callable[..., list[tuple[str, str]]]) -> None:
    found = problems(instruction="NSFW_BLOCK text", final="Here you are, enjoy.", safety_label="DENY")
    assert [field for field, _ in found] == ["final"]


def test_an_nsfw_domain_has_to_be_declined_whatever_the_classifier_says(
    problems: Callable[..., list[tuple[str, str]]],
) -> None:
    changes = {"domain_label": "nsfw_adult", "safety_label": "DENY"}
    assert [field for field, _ in problems(final="Here you are, enjoy.", **changes)] == ["final"]
    assert problems(final=REFUSAL, **changes) == []


@pytest.mark.parametrize("field", ["instruction", "final"])
def test_text_that_nobody_may_keep_stands_nowhere(problems: Callable[..., list[tuple[str, str]]], field: str) -> None:
    changes = {"final": REFUSAL, field: "CHILD_EXPLOITATION text"}
    found = problems(**changes, safety_label="REFUSE")
    assert [name for name, _ in found] == [field]
    assert "never kept" in found[0][1]


def test_a_person_in_distress_may_be_handed_over(problems: Callable[..., list[tuple[str, str]]]) -> None:
    assert problems(instruction="SELF_HARM text", final="Please call this line.", safety_label="ESCALATION") == []


def test_messages_hold_no_text_of_the_record(problems: Callable[..., list[tuple[str, str]]]) -> None:
    for changes in (
        {"final": "NSFW_BLOCK canary7"},
        {"instruction": "NSFW_BLOCK canary7", "final": "canary7"},
        {"instruction": "CHILD_EXPLOITATION canary7"},
    ):
        found = problems(**changes)
        assert found
        assert "canary7" not in str(found)


def test_the_shipped_classifier_guards_by_default(
    shipped: SafetyClassifier, problems: Callable[..., list[tuple[str, str]]]
) -> None:
    assert [f for f, _ in problems(shipped, final=BLOCKED)] == ["final"]
    assert [f for f, _ in problems(shipped, instruction=BLOCKED, final="Sure, here it is.")] == [
        "safety_label",
        "final",
    ]
    assert problems(shipped, instruction=BLOCKED, final=REFUSAL, safety_label="DENY") == []


@pytest.mark.parametrize("part", ["train", "eval"])
def test_every_sample_record_may_be_trained_on(shipped: SafetyClassifier, examples: Path, part: str) -> None:
    guard = Guard(shipped)
    records = read_records(examples / f"quadruple_thinking_{part}.jsonl").records
    assert {record.id: found for record in records if (found := list(guard(record)))} == {}


@pytest.mark.parametrize("part", ["train", "eval"])
def test_every_final_that_declines_is_recognised_and_few_others_are(examples: Path, part: str) -> None:
    records = read_records(examples / f"quadruple_thinking_{part}.jsonl").records
    assert [r.final for r in records if r.safety_label in REFUSING and not is_refusal(r.final)] == []
    allowed = [r for r in records if r.safety_label.value == "ALLOW"]
    assert sum(is_refusal(r.final) for r in allowed) <= 0.05 * len(allowed)
