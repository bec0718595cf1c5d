"""The classifier: a text goes in; a label, a score and what to do come out, and nothing else.

There is no way to ask it for the texts most like a label, nor does it keep or return any text: it can detect and
refuse, not search or rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from so8t.data.safety.model import LinearModel, ModelFacts, load_model
from so8t.data.safety.taxonomy import CEILING, DISCARDED, Action, ContentLabel

__all__ = ["SHIPPED", "Classifier", "SafetyClassifier", "Verdict"]

SHIPPED = Path(__file__).parent / "shipped"
"""Folder of the classifier that comes with so8t, trained on examples/data/safety_train.jsonl."""

_WINDOW = 160
_STRIDE = 80
_AT_ONCE = 32  # windows; bounds the memory that a long text takes


@dataclass(frozen=True)
class Verdict:
    """What the classifier says about a text.

    Attributes:
        label: what the text is about; `safe` where nothing is to be done.
        score: calibrated probability that the text is not safe, 0 to 1.
        action: pass, review or block.
    """

    label: ContentLabel
    score: float
    action: Action


class Classifier(Protocol):
    """What is asked about single texts: a `SafetyClassifier`, or somebody else's."""

    def classify(self, text: str) -> Verdict:
        """Judge a text."""


class SafetyClassifier:
    """Tells whether a text is to be passed, reviewed or blocked.

    A text longer than 160 characters is looked at in windows of 160 that overlap by half, and the worst one decides: a
    blocked passage is not outweighed by harmless text around it.

    Args:
        model: the numbers.
        facts: labels and thresholds.
        digest: SHA-256 that stands for both.

    Attributes:
        digest: for a record of what decided.
        purpose: what the classifier is for, by language.

    Example:
        >>> classifier = SafetyClassifier.load()
        >>> classifier.classify("How do I make good bread?").action.value
        'pass'
    """

    def __init__(self, model: LinearModel, facts: ModelFacts, digest: str) -> None:
        self._model = model
        self._labels = facts.labels
        self._safe = facts.labels.index(ContentLabel.SAFE)
        self._thresholds = facts.thresholds
        self.digest = digest
        self.purpose = facts.purpose

    @classmethod
    def load(cls, folder: Path = SHIPPED) -> SafetyClassifier:
        """Load a classifier from the folder that `so8t safety train` wrote.

        Raises:
            ModelError: the folder is missing, damaged, altered or of another format.
        """
        return cls(*load_model(folder))

    def classify(self, text: str) -> Verdict:
        """Judge a text.

        Args:
            text: any text.
        """
        judged = (row for windows in _windows(text) for row in self._model.probabilities(windows))
        worst = max(judged, key=self._risk)
        score = self._risk(worst)
        if score < self._thresholds.review:
            return Verdict(ContentLabel.SAFE, score, Action.PASS)
        unsafe = worst.copy()
        unsafe[self._safe] = -1.0
        label = self._labels[int(np.argmax(unsafe))]
        # text that nobody may keep is not shown to a reviewer either
        certain = score >= self._thresholds.block or label in DISCARDED
        return Verdict(label, score, CEILING[label] if certain else Action.REVIEW)

    def _risk(self, probabilities: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return float(min(1.0, max(0.0, 1.0 - probabilities[self._safe])))


def _windows(text: str) -> Iterator[list[str]]:
    """The windows of a text, as many together as are judged at once."""
    starts = range(0, max(1, len(text) - _WINDOW + _STRIDE), _STRIDE)
    for first in range(0, len(starts), _AT_ONCE):
        yield [text[start : start + _WINDOW] for start in starts[first : first + _AT_ONCE]]
