"""Outcomes and their audit events."""

from so8t.serve.outcome import Outcome


def test_every_outcome_writes_an_event_of_the_audit_log() -> None:
    assert {outcome: outcome.event_type for outcome in Outcome} == {
        Outcome.ANSWERED: "think_final_answer",
        Outcome.ESCALATED: "think_escalation",
        Outcome.REFUSED: "think_refused",
        Outcome.FORMAT_VIOLATION: "think_format_violation",
        Outcome.FINAL_REJECTED: "think_final_answer_rejected",
        Outcome.TIMED_OUT: "think_error",
        Outcome.ERROR: "think_error",
    }


def test_an_outcome_is_its_own_name_in_text() -> None:
    assert f"{Outcome.FINAL_REJECTED}" == "final_rejected"
