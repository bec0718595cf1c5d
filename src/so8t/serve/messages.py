"""The fixed texts that stand in for an answer, in the language of the request.

They are constant: no excerpt, no reason. The three refusals read the same, so that nobody can probe which check it
was that declined.
"""

from __future__ import annotations

from typing import Literal

from so8t.serve.outcome import Outcome

__all__ = ["MESSAGES", "Language", "fixed_message"]

Language = Literal["ja", "en"]
"""Languages that an answer can be asked in."""

_REFUSAL = {
    "ja": "申し訳ありませんが、このご質問にはお答えできません。",
    "en": "I'm sorry, but I can't answer this request.",
}

MESSAGES: dict[Outcome, dict[str, str]] = {
    Outcome.REFUSED: _REFUSAL,
    Outcome.FORMAT_VIOLATION: _REFUSAL,
    Outcome.FINAL_REJECTED: _REFUSAL,
    Outcome.ESCALATED: {
        "ja": "このご質問は担当者による確認が必要なため、ここではお答えできません。",
        "en": "This request has to be reviewed by a person, so I can't answer it here.",
    },
    Outcome.TIMED_OUT: {
        "ja": "時間内に回答を用意できませんでした。しばらくしてから、もう一度お試しください。",
        "en": "The answer was not ready in time. Please try again later.",
    },
    Outcome.ERROR: {
        "ja": "エラーのため回答できませんでした。しばらくしてから、もう一度お試しください。",
        "en": "An error kept me from answering. Please try again later.",
    },
}
"""Fixed text by outcome and language, for every outcome but `ANSWERED`."""


def fixed_message(outcome: Outcome, language: Language) -> str:
    """Give the text that is sent instead of an answer.

    Args:
        outcome: any outcome but `ANSWERED`, whose text is the answer itself.
        language: language of the request.

    Returns:
        The same text every time.

    Raises:
        KeyError: the outcome is `ANSWERED`, or the language is unknown.

    Example:
        >>> fixed_message(Outcome.REFUSED, "en") == fixed_message(Outcome.FORMAT_VIOLATION, "en")
        True
    """
    return MESSAGES[outcome][language]
