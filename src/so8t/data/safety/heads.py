"""Training records as rows for the safety heads, and the heads in the terms of the gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from so8t.data.chat import ChatEncoder
from so8t.data.safety.decision import Decision, Reading, text_to_judge
from so8t.data.thinking import DomainLabel, SafetyLabel, ThinkingRecord
from so8t.errors import ModelError
from so8t.model.architecture import base_model
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
    """Turn each record into three rows: the request, thinking with final, and the final alone.

    The gate asks about each of these, in just this form. A request says nothing about the verifier's scores.

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
    thinking = record.thinking
    whole = text_to_judge((thinking.task, thinking.safety, thinking.policy, record.final))
    texts = ((request, unknown), (whole, scores), (record.final, scores))
    for text, verifier in texts:
        yield HeadRow(
            input_ids=encoder.plain(text)[-most_tokens:],
            safety=list(SafetyLabel).index(record.safety_label),
            domain=list(DomainLabel).index(record.domain_label) if record.domain_label else IGNORED,
            verifier=list(verifier),
        )


class HeadsJudge:
    """A judge of the gate, made of heads and the model they were trained on.

    Args:
        model: the model; its decoder must be one that several threads may call (`so8t.serve.loading`).
        encoder: of its tokenizer.
        heads: trained with `rows_of` of the same model.
        name: what decides, with its digest.
        most_tokens: as in `rows_of`.

    Raises:
        ModelError: the heads are of another model, or have labels of their own.
    """

    def __init__(
        self, model: Any, encoder: ChatEncoder, heads: SafetyHeads, *, name: str = "heads", most_tokens: int = 2048
    ) -> None:
        layout, width = heads.layout, base_model(model).config.hidden_size
        if layout != layout_for(width, split=layout.split):
            raise ModelError(
                f"the heads (for a hidden state of {layout.hidden_size}) are not for this model (of {width}) or not of "
                "this version: train them again with so8t heads train --force"
            )
        self.name = name
        self._model, self._encoder, self._heads, self._most_tokens = model, encoder, heads, most_tokens

    def decide(self, text: str) -> Decision:
        """Decide about a text.

        Returns:
            The most probable label with its probability, and what the other heads read. A confidence of NaN where the
            text has no token or the model's numbers are none.
        """
        ids = self._encoder.plain(text)[-self._most_tokens :]
        if not ids:
            return Decision(SafetyLabel.REFUSE, float("nan"))
        row = HeadRow(input_ids=ids, safety=IGNORED, domain=IGNORED, verifier=[])
        with torch.no_grad():
            outputs = self._heads(pooled_states(self._model, [row]))
        safety, domain = outputs.safety.softmax(dim=-1)[0], outputs.domain.softmax(dim=-1)[0]
        logical, faithful = outputs.verifier.sigmoid()[0].tolist()
        reading = Reading(
            domain=DomainLabel(self._heads.layout.domain[int(domain.argmax())]),
            domain_confidence=float(domain.max()),
            plausibility=logical,
            self_confidence=faithful,
        )
        return Decision(SafetyLabel(self._heads.layout.safety[int(safety.argmax())]), float(safety.max()), reading)
