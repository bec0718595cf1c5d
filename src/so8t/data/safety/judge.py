"""The classifier in the terms of the gate: what the system is to do with a text, and how sure that is."""

from __future__ import annotations

from so8t.data.safety.classifier import SafetyClassifier
from so8t.data.safety.decision import Decision
from so8t.data.safety.taxonomy import DECISION, Action
from so8t.data.thinking import SafetyLabel

__all__ = ["ClassifierJudge"]


class ClassifierJudge:
    """A `SafetyJudge` of the gate, made of the classifier.

    Args:
        classifier: by default the one that comes with so8t.

    Attributes:
        name: what decides, with its digest.

    Example:
        >>> ClassifierJudge().decide("How do I make good bread?").label.value
        'ALLOW'
    """

    def __init__(self, classifier: SafetyClassifier | None = None) -> None:
        self._classifier = classifier or SafetyClassifier.load()
        self.name = f"classifier {self._classifier.digest}"

    def decide(self, text: str) -> Decision:
        """Decide about a text.

        Args:
            text: a request, or what is to be answered.

        Returns:
            ALLOW for what passes, the decision of its label for what is blocked, ESCALATION for what a person has to
            look at; and the probability, 0 to 1, that the text is on that side.
        """
        verdict = self._classifier.classify(text)
        if verdict.action is Action.PASS:
            return Decision(SafetyLabel.ALLOW, 1.0 - verdict.score)
        if verdict.action is Action.BLOCK:
            return Decision(DECISION[verdict.label], verdict.score)
        return Decision(SafetyLabel.ESCALATION, verdict.score)
