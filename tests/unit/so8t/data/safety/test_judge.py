"""The classifier as the gate asks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.safety.classifier import SafetyClassifier, Verdict
from so8t.data.safety.decision import Decision
from so8t.data.safety.judge import ClassifierJudge
from so8t.data.safety.taxonomy import CEILING, DECISION, Action, ContentLabel
from so8t.data.thinking_record import SafetyLabel


class Says(SafetyClassifier):
    """A classifier with a fixed verdict."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self.digest = "0" * 64

    def classify(self, text: str) -> Verdict:
        return self._verdict


def test_what_passes_is_allowed_with_the_probability_of_being_safe() -> None:
    judge = ClassifierJudge(Says(Verdict(ContentLabel.SAFE, 0.1, Action.PASS)))
    assert judge.decide("x") == Decision(SafetyLabel.ALLOW, 0.9)


@pytest.mark.parametrize("label", [label for label in ContentLabel if CEILING[label] is Action.BLOCK])
def test_what_is_blocked_is_decided_as_its_label_is(label: ContentLabel) -> None:
    judge = ClassifierJudge(Says(Verdict(label, 0.95, Action.BLOCK)))
    assert judge.decide("x") == Decision(DECISION[label], 0.95)
    assert judge.decide("x").label in {SafetyLabel.DENY, SafetyLabel.REFUSE}


@pytest.mark.parametrize("label", [label for label in ContentLabel if label is not ContentLabel.SAFE])
def test_what_a_person_has_to_look_at_is_escalated(label: ContentLabel) -> None:
    assert ClassifierJudge(Says(Verdict(label, 0.5, Action.REVIEW))).decide("x") == Decision(
        SafetyLabel.ESCALATION, 0.5
    )


@given(st.text(max_size=300))
def test_any_text_is_decided_with_a_confidence(shipped: SafetyClassifier, text: str) -> None:
    decision = ClassifierJudge(shipped).decide(text)
    label, confidence = decision.label, decision.confidence
    assert label in SafetyLabel
    assert 0.0 <= confidence <= 1.0
