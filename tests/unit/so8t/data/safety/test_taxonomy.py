"""Nine labels, four decisions, and older names that read as one of them."""

from __future__ import annotations

import pytest

from so8t.data.safety.purpose import PURPOSE, PURPOSE_EN, PURPOSE_JA
from so8t.data.safety.taxonomy import ALIASES, CANONICAL, CEILING, DECISION, DISCARDED, Action, ContentLabel, label_of
from so8t.data.thinking_record import SafetyLabel
from so8t.errors import DataError


def test_the_taxonomy_has_the_nine_labels_in_order() -> None:
    assert [label.value for label in CANONICAL] == [
        "safe",
        "nsfw_soft",
        "nsfw_block",
        "violence",
        "harassment",
        "self_harm",
        "weapons_detail",
        "medical_advice_high_risk",
        "illegal_content",
    ]


def test_child_exploitation_is_no_label_of_a_data_set_but_one_to_discard() -> None:
    assert {ContentLabel.CHILD_EXPLOITATION} == DISCARDED
    assert set(CANONICAL) | DISCARDED == set(ContentLabel)


def test_every_label_has_one_of_the_four_decisions_and_all_four_are_used() -> None:
    assert set(DECISION) == set(ContentLabel)
    assert set(DECISION.values()) == set(SafetyLabel)


def test_only_safe_text_is_allowed_and_nsfw_text_is_denied_or_refused() -> None:
    allowed = [label for label, decision in DECISION.items() if decision is SafetyLabel.ALLOW]
    assert allowed == [ContentLabel.SAFE]
    for label in (ContentLabel.NSFW_SOFT, ContentLabel.NSFW_BLOCK):
        assert DECISION[label] in {SafetyLabel.DENY, SafetyLabel.REFUSE}
        assert CEILING[label] is Action.BLOCK


@pytest.mark.parametrize("label", [ContentLabel.SELF_HARM, ContentLabel.MEDICAL_ADVICE_HIGH_RISK])
def test_whoever_may_be_in_danger_is_handed_to_a_person_and_never_blocked(label: ContentLabel) -> None:
    assert DECISION[label] is SafetyLabel.ESCALATION
    assert CEILING[label] is Action.REVIEW


def test_all_names_of_the_older_label_sets_read_as_a_label() -> None:
    fine = [name for name in ALIASES if name.partition("_")[0] in {"sexual", "hate", "weapons", "privacy"}]
    assert len(fine) == 3 + 4 + 3 + 1
    assert label_of("nsfw") is ContentLabel.NSFW_BLOCK
    assert label_of("medical_advice_educational") is ContentLabel.SAFE
    assert label_of("child_exploitation") in DISCARDED
    assert all(label_of(label.value) is label for label in ContentLabel)


@pytest.mark.parametrize("name", ["", "NSFW_BLOCK", "safety_detection", "unsafe"])
def test_a_name_that_does_not_say_what_a_text_is_about_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="is no safety label"):
        label_of(name)


def test_the_purpose_stands_word_for_word() -> None:
    assert (
        PURPOSE_JA == "NSFWコーパスの主目的は安全判定と拒否挙動の学習であり、"
        "生成を目的としない。分類器は検出・拒否用途に限る。"
    )
    assert PURPOSE_EN == (
        "The main purpose of the NSFW corpus is to learn safety judgement and refusal behaviour; "
        "it is not for generation. The classifier is limited to detection and refusal."
    )
    assert dict(PURPOSE) == {"ja": PURPOSE_JA, "en": PURPOSE_EN}
