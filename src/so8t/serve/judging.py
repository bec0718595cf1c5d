"""Asks the judges about one text, and weighs what they and the thinking itself say.

Whatever a judge dies of, and whatever it gives that is no decision, refuses and is counted. Numbers are told to few
digits: all digits of a number that was computed from hidden thinking would let anybody who has the judge test guesses
of that thinking, as a digest without a key would.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from so8t.data.safety.decision import Decision, Reading
from so8t.data.thinking import DomainLabel, SafetyLabel

__all__ = ["STATED", "SafetyJudge", "Verdict", "ask", "most_severe", "stated"]

_SEVERITY = {label: rank for rank, label in enumerate(SafetyLabel)}
_LABELS = "ALLOW|ESCALATION|ESCALATE|DENY|REFUSE"
# In capitals a label is meant; in small letters ("refuse collection") only after a word that announces one.
STATED = re.compile(
    r"(?<![A-Za-z])(?:"
    rf"(?P<negation>(?i:not|never|cannot|don't)\s+)?(?P<capitals>{_LABELS})"
    rf"|(?i:(?:label|decision|verdict|判定)[\s\"'*_]*(?:[:=]|is\b|は)[\s\"'*_]*(?P<named>{_LABELS}))"
    r")(?![A-Za-z])"
)
"""A safety label that a thought writes out."""

_CONFIDENCE_DIGITS = 2
_READING_DIGITS = 1


class SafetyJudge(Protocol):
    """Decides what is to be done with a text: a classifier, or safety heads."""

    def decide(self, text: str) -> Decision:
        """Decide on one text.

        Args:
            text: the question, thinking and final together, or the final alone.
        """
        ...


@dataclass(frozen=True)
class Verdict:
    """What all judges together say about one text.

    Attributes:
        label: the most severe decision.
        confidence: how sure the least sure judge of that decision is, from 0 to 1, to two digits.
        reading: what heads read besides, to one digit; None where no judge has any.
        failed: how many judges raised, or gave something that is no decision.
    """

    label: SafetyLabel
    confidence: float
    reading: Reading | None = None
    failed: int = 0


def ask(judges: Sequence[SafetyJudge], text: str, allow_confidence: float) -> Verdict | None:
    """Ask every judge about a text.

    Args:
        judges: those who are asked. Any order.
        text: the text.
        allow_confidence: an ALLOW that is less sure than this becomes ESCALATION.

    Returns:
        The verdict; None without judges.
    """
    verdicts = [_ask_one(judge, text, allow_confidence) for judge in judges]
    worst = most_severe(verdicts)
    if worst is None:
        return None
    reading = next((verdict.reading for verdict in verdicts if verdict.reading is not None), None)
    return Verdict(worst.label, worst.confidence, reading, sum(verdict.failed for verdict in verdicts))


def stated(thoughts: Iterable[str]) -> Verdict | None:
    """Give the most severe label that is written out in thoughts ("DENY", "label: refuse"); None if there is none.

    An ALLOW of this kind has confidence 0: it is nobody's measurement. "NOT ALLOW" is a DENY.
    """
    found = (match for thought in thoughts for match in STATED.finditer(unicodedata.normalize("NFKC", thought)))
    labels = [_label_of(match) for match in found]
    return most_severe(Verdict(label, 0.0 if label is SafetyLabel.ALLOW else 1.0) for label in labels)


def _label_of(match: re.Match[str]) -> SafetyLabel:
    label = SafetyLabel((match["capitals"] or match["named"]).upper())
    return SafetyLabel.DENY if match["negation"] and label is SafetyLabel.ALLOW else label


def most_severe(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Give the most severe verdict, of equals the least sure one; None if there is none."""
    return max(verdicts, key=lambda one: (_SEVERITY[one.label], -one.confidence), default=None)


def _ask_one(judge: SafetyJudge, text: str, allow_confidence: float) -> Verdict:
    try:
        decision = judge.decide(text)
        label, confidence = SafetyLabel(decision.label), _share(decision.confidence)
        reading = decision.reading and _told(decision.reading)
    except Exception:  # noqa: BLE001 - whatever a judge dies of, its answer must not go out; it is counted
        return Verdict(SafetyLabel.REFUSE, 1.0, failed=1)
    if label is SafetyLabel.ALLOW and confidence < allow_confidence:
        label = SafetyLabel.ESCALATION
    return Verdict(label, round(confidence, _CONFIDENCE_DIGITS), reading)


def _told(reading: Reading) -> Reading:
    """The reading to the digits that are told."""
    return Reading(
        domain=DomainLabel(reading.domain),
        domain_confidence=round(_share(reading.domain_confidence), _READING_DIGITS),
        plausibility=round(_share(reading.plausibility), _READING_DIGITS),
        self_confidence=round(_share(reading.self_confidence), _READING_DIGITS),
    )


def _share(number: float) -> float:
    """The number, if it is one from 0 to 1; NaN is in no range.

    Raises:
        ValueError: it is not.
    """
    if not 0.0 <= number <= 1.0:
        raise ValueError("not a share")
    return float(number)
