"""The fixed texts."""

from typing import get_args

import pytest

from so8t.serve.messages import MESSAGES, Language, fixed_message
from so8t.serve.outcome import Outcome


def test_every_outcome_but_an_answer_has_a_text_in_every_language() -> None:
    for outcome in set(Outcome) - {Outcome.ANSWERED}:
        for language in get_args(Language):
            assert fixed_message(outcome, language).strip()
    with pytest.raises(KeyError):
        fixed_message(Outcome.ANSWERED, "en")


def test_japanese_texts_are_japanese_and_english_ones_ascii() -> None:
    for texts in MESSAGES.values():
        assert texts["en"].isascii()
        assert any("\u3041" <= character <= "\u3096" for character in texts["ja"])


def test_nobody_can_tell_from_the_text_which_check_refused() -> None:
    for language in get_args(Language):
        refusals = (Outcome.REFUSED, Outcome.FORMAT_VIOLATION, Outcome.FINAL_REJECTED)
        assert len({fixed_message(outcome, language) for outcome in refusals}) == 1


def test_a_client_can_tell_a_refusal_from_an_escalation_and_from_a_failure() -> None:
    outcomes = (Outcome.REFUSED, Outcome.ESCALATED, Outcome.TIMED_OUT, Outcome.ERROR)
    assert len({fixed_message(outcome, "ja") for outcome in outcomes}) == len(outcomes)
