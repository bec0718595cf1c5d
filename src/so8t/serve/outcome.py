"""How a request to `/think` can end."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Outcome"]


class Outcome(StrEnum):
    """What became of one request. Only `ANSWERED` carries generated text; the others carry a fixed message.

    Example:
        >>> Outcome.FORMAT_VIOLATION.event_type
        'think_format_violation'
    """

    ANSWERED = "answered"
    """The final part passed every check."""
    ESCALATED = "escalated"
    """A person has to look at it."""
    REFUSED = "refused"
    """The safety decision on thinking and final declines."""
    FORMAT_VIOLATION = "format_violation"
    """The text is not exactly the four parts, or hides something that reads as a tag."""
    FINAL_REJECTED = "final_rejected"
    """The final part alone is declined, repeats the thinking, or holds a chat role token."""
    TIMED_OUT = "timed_out"
    """The generation took too long."""
    ERROR = "error"
    """The generation failed."""

    @property
    def event_type(self) -> str:
        """Name of the audit event that this outcome writes."""
        return _EVENT_TYPES[self]


_EVENT_TYPES = {
    Outcome.ANSWERED: "think_final_answer",
    Outcome.ESCALATED: "think_escalation",
    Outcome.REFUSED: "think_refused",
    Outcome.FORMAT_VIOLATION: "think_format_violation",
    Outcome.FINAL_REJECTED: "think_final_answer_rejected",
    Outcome.TIMED_OUT: "think_error",
    Outcome.ERROR: "think_error",
}
