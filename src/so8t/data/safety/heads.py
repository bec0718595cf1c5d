"""Training records as rows for the safety heads, and the heads in the terms of the gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from so8t.data.chat import ChatEncoder
from so8t.data.thinking import DomainLabel, SafetyLabel, ThinkingRecord, render_assistant
from so8t.model.head_training import IGNORED, HeadRow, pooled_states
from so8t.model.heads import HeadLayout, SafetyHeads

__all__ = ["SAFETY_WEIGHTS", "HeadsJudge", "layout_for", "rows_of"]

SAFETY_WEIGHTS = (1.0, 3.0, 5.0, 5.0)
"""Weight of ALLOW, ESCALATION, DENY and REFUSE in the loss: a request that had to be declined counts most."""

_SCORES = ("logical", "faithful")


def layout_for(hidden_size: int, *, split: bool = True) -> HeadLayout:
    """The heads that records have labels for.

    Example:
        >>> layout_for(3072).safety
        ('ALLOW', 'ESCALATION', 'DENY', 'REFUSE')
    """
    return HeadLayout(
        hidden_size=hidden_size,
        safety=tuple(label.value for label in SafetyLabel),
        domain=tuple(label.value for label in DomainLabel),
        verifier=_SCORES,
        split=split,
    )


def rows_of(records: Sequence[ThinkingRecord], encoder: ChatEncoder, most_tokens: int = 2048) -> list[HeadRow]:
    """Turn each record into three rows: the request, the whole assistant turn and the final alone.

    The gate asks about each of these, always as plain text. A request says nothing about the verifier's scores.

    Args:
        records: checked records.
        encoder: of the model's tokenizer.
        most_tokens: longer texts keep their last tokens, which is where a causal model knows most.
    """
    return [row for record in records for row in _rows(record, encoder, most_tokens)]


def _rows(record: ThinkingRecord, encoder: ChatEncoder, most_tokens: int) -> Iterator[HeadRow]:
    request = f"{record.instruction}\n\n{record.input}" if record.input else record.instruction
    unknown = [float("nan")] * len(_SCORES)
    scores = [record.verifier.logical, record.verifier.faithful] if record.verifier else unknown
    texts = ((request, unknown), (render_assistant(record), scores), (record.final, scores))
    for text, verifier in texts:
        yield HeadRow(
            input_ids=encoder.plain(text)[-most_tokens:],
            safety=list(SafetyLabel).index(record.safety_label),
            domain=list(DomainLabel).index(record.domain_label) if record.domain_label else IGNORED,
            verifier=list(verifier),
        )


class HeadsJudge:
    """A `SafetyJudge` of the gate, made of heads and the model they were trained on.

    Args:
        model: the model.
        encoder: of its tokenizer.
        heads: trained with `rows_of` of the same model.
        most_tokens: as in `rows_of`.
    """

    def __init__(self, model: Any, encoder: ChatEncoder, heads: SafetyHeads, most_tokens: int = 2048) -> None:
        self._model, self._encoder, self._heads, self._most_tokens = model, encoder, heads, most_tokens

    def decide(self, text: str) -> tuple[SafetyLabel, float]:
        """Decide about a text.

        Returns:
            The most probable label and its probability. REFUSE and 0 where the text has no token or the probabilities
            are no numbers.
        """
        ids = self._encoder.plain(text)[-self._most_tokens :]
        if not ids:
            return SafetyLabel.REFUSE, 0.0
        row = HeadRow(input_ids=ids, safety=IGNORED, domain=IGNORED, verifier=[])
        with torch.no_grad():
            probabilities = self._heads(pooled_states(self._model, [row])).safety.softmax(dim=-1)[0]
        if not bool(probabilities.isfinite().all()):
            return SafetyLabel.REFUSE, 0.0
        best = int(probabilities.argmax())
        return SafetyLabel(self._heads.layout.safety[best]), float(probabilities[best])
