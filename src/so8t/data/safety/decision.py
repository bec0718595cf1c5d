"""What a judge says about a text, and which text it is asked about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from so8t.data.thinking import DomainLabel, SafetyLabel

__all__ = ["Decision", "Reading", "text_to_judge"]


@dataclass(frozen=True)
class Reading:
    """What heads read off thinking and final besides the safety label. Numbers are from 0 to 1.

    Attributes:
        domain: the field the request belongs to.
        domain_confidence: its probability.
        plausibility: how sound the reasoning is; the head is trained on the records' `verifier.logical`.
        self_confidence: how far the answer keeps to the reasoning; trained on `verifier.faithful`.
    """

    domain: DomainLabel
    domain_confidence: float
    plausibility: float
    self_confidence: float


@dataclass(frozen=True)
class Decision:
    """What is to be done with a text.

    Attributes:
        label: the decision.
        confidence: how sure it is, from 0 to 1; NaN where it could not be computed, which refuses.
        reading: what heads read besides; None of a judge that has none.
    """

    label: SafetyLabel
    confidence: float
    reading: Reading | None = None


def text_to_judge(parts: Iterable[str]) -> str:
    """Join thoughts and final as judges see them: without tags, one line after the other.

    Heads are trained on the same text that they are asked about later.

    Args:
        parts: the texts of the parts, in order.

    Example:
        >>> text_to_judge(["Household tip.", "Harmless.", "general", "Wear gloves."])
        'Household tip.\\nHarmless.\\ngeneral\\nWear gloves.'
    """
    return "\n".join(parts)
