"""Fits the heads on a model that is finished: its weights stay as they are, so every text is read once.

Missing labels take no part in the loss. The safety loss is asymmetric: on top of a cross-entropy that weighs the severe
labels more, probability on a label milder than the right one costs four times what as large a step to the severe side
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from so8t.errors import ModelError
from so8t.model.architecture import base_model
from so8t.model.heads import HeadLayout, HeadOutputs, SafetyHeads, pool_last

__all__ = [
    "IGNORED",
    "HeadAccuracy",
    "HeadRow",
    "HeadTargets",
    "expected_cost",
    "head_loss",
    "judge_heads",
    "pooled_states",
    "targets_of",
    "train_heads",
]

IGNORED = -100
"""Column of a label that is not known."""

TOO_MILD = 2.0
TOO_SEVERE = 0.5


class HeadRow(TypedDict):
    """One text and what is known about it.

    `safety` and `domain` are columns of the layout's labels, or -100; `verifier` holds numbers from 0 to 1, or NaN.
    """

    input_ids: list[int]
    safety: int
    domain: int
    verifier: list[float]


@dataclass(frozen=True)
class HeadTargets:
    """The labels of several rows: `safety` [rows] and `domain` [rows], int64; `verifier` [rows, scores], float32."""

    safety: Tensor
    domain: Tensor
    verifier: Tensor


def targets_of(rows: Sequence[HeadRow], device: torch.device | str = "cpu") -> HeadTargets:
    """Stack the labels of rows."""
    return HeadTargets(
        torch.tensor([row["safety"] for row in rows], device=device),
        torch.tensor([row["domain"] for row in rows], device=device),
        torch.tensor([row["verifier"] for row in rows], dtype=torch.float32, device=device),
    )


def head_loss(
    outputs: HeadOutputs, targets: HeadTargets, safety_weights: Sequence[float], cost_weight: float = 0.5
) -> Tensor:
    """Sum of the heads' losses, each a mean over the labels that are known.

    Args:
        outputs: logits.
        targets: labels.
        safety_weights: weight of each safety label in its cross-entropy.
        cost_weight: of the expected cost.

    Returns:
        A scalar attached to the graph; 0 where no label is known.
    """
    known = targets.safety != IGNORED
    loss = sum((logits.sum() * 0.0 for logits in outputs), torch.zeros((), device=outputs.safety.device))
    if bool(known.any()):
        logits, right = outputs.safety[known], targets.safety[known]
        weights = torch.tensor(safety_weights, dtype=logits.dtype, device=logits.device)
        loss = loss + functional.cross_entropy(logits, right, weight=weights)
        loss = loss + cost_weight * expected_cost(logits.softmax(dim=-1), right)
    if bool((targets.domain != IGNORED).any()):
        loss = loss + functional.cross_entropy(outputs.domain, targets.domain, ignore_index=IGNORED)
    scored = ~targets.verifier.isnan()
    if bool(scored.any()):
        loss = loss + functional.binary_cross_entropy_with_logits(outputs.verifier[scored], targets.verifier[scored])
    return loss


def expected_cost(probabilities: Tensor, right: Tensor) -> Tensor:
    """Mean cost of deciding by these probabilities, for labels in order of severity.

    Args:
        probabilities: [rows, labels], mildest label first.
        right: [rows], column of the right label.

    Returns:
        A scalar: each step too mild costs 2, each step too severe 0.5.

    Example:
        >>> certain = torch.eye(4)
        >>> float(expected_cost(certain[:1], torch.tensor([3]))), float(expected_cost(certain[3:], torch.tensor([0])))
        (6.0, 1.5)
    """
    columns = torch.arange(probabilities.shape[1], device=probabilities.device)
    steps = (right[:, None] - columns[None, :]).to(probabilities.dtype)
    cost = TOO_MILD * steps.clamp_min(0.0) + TOO_SEVERE * (-steps).clamp_min(0.0)
    return (probabilities * cost).sum(dim=1).mean()


@torch.no_grad()
def pooled_states(
    model: nn.Module,
    rows: Sequence[HeadRow],
    *,
    batch_size: int = 8,
    on_progress: Callable[[int], None] = lambda rows_done: None,
) -> Tensor:
    """Read every row once with the finished model.

    Args:
        model: a supported model, with gates and LoRA as trained.
        rows: at least one.
        batch_size: rows at a time.
        on_progress: told after each batch how many rows are done.

    Returns:
        [rows, hidden], float32, on the CPU: the last hidden state of each row's last token.

    Raises:
        ModelError: there are no rows, or a row has no token.
    """
    if not rows:
        raise ModelError("there is no text to train heads on: name a file with records")
    decoder: Any = base_model(model).base_model
    was_training, states = model.training, []
    model.eval()
    try:
        for batch in _batches(rows, batch_size):
            ids, mask = _padded([row["input_ids"] for row in batch])
            device = next(model.parameters()).device
            output = decoder(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
            states.append(pool_last(output.last_hidden_state, mask).float().cpu())
            on_progress(sum(map(len, states)))
    finally:
        model.train(was_training)
    return torch.cat(states)


def train_heads(
    model: nn.Module,
    rows: Sequence[HeadRow],
    layout: HeadLayout,
    *,
    safety_weights: Sequence[float],
    steps: int = 300,
    learning_rate: float = 0.01,
    weight_decay: float = 0.1,
    seed: int = 0,
    batch_size: int = 8,
    on_progress: Callable[[int], None] = lambda rows_done: None,
) -> SafetyHeads:
    """Fit heads with the model as it is; none of its weights changes.

    Args:
        model: a supported model, with gates and LoRA as trained.
        rows: the training texts.
        layout: sizes and names of the heads.
        safety_weights: weight of each safety label.
        steps: AdamW steps, each over all rows.
        learning_rate: of the first step; it falls to 0 along a cosine.
        weight_decay: of the heads' weights.
        seed: of the heads' start.
        batch_size: rows the model reads at a time.
        on_progress: told how many rows the model has read.

    Returns:
        The heads, in evaluation mode, on the CPU.

    Raises:
        ModelError: there are no rows, a row has no token, or the states are not finite.
    """
    states = pooled_states(model, rows, batch_size=batch_size, on_progress=on_progress)
    if not bool(states.isfinite().all()):
        raise ModelError("the model's hidden states are not finite: the model is damaged, use an earlier checkpoint")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = SafetyHeads(layout)
    heads.standardise_by(states)
    targets = targets_of(rows)
    optimizer = torch.optim.AdamW(heads.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = head_loss(heads(states), targets, safety_weights)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return heads.eval()


@dataclass(frozen=True)
class HeadAccuracy:
    """How heads do on rows whose labels are known.

    Attributes:
        safety_right: share of the safety labels that is right.
        safety_too_mild: share that is milder than the right one.
        domain_right: share of the known domains that is right; None where none is known.
        verifier_error: mean distance to the known scores; None where none is known.
    """

    safety_right: float
    safety_too_mild: float
    domain_right: float | None
    verifier_error: float | None


@torch.no_grad()
def judge_heads(model: nn.Module, heads: SafetyHeads, rows: Sequence[HeadRow]) -> HeadAccuracy:
    """Compare what heads say with the labels.

    Args:
        model: the model they were trained on.
        heads: trained heads.
        rows: texts, all with a safety label.
    """
    outputs, targets = heads(pooled_states(model, rows)), targets_of(rows)
    chosen = outputs.safety.argmax(dim=-1)
    domains = (outputs.domain.argmax(dim=-1) == targets.domain)[targets.domain != IGNORED]
    errors = (outputs.verifier.sigmoid() - targets.verifier).abs()[~targets.verifier.isnan()]
    return HeadAccuracy(
        safety_right=float((chosen == targets.safety).float().mean()),
        safety_too_mild=float((chosen < targets.safety).float().mean()),
        domain_right=float(domains.float().mean()) if len(domains) else None,
        verifier_error=float(errors.mean()) if len(errors) else None,
    )


def _batches(rows: Sequence[HeadRow], size: int) -> Iterator[Sequence[HeadRow]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids and mask [rows, longest]; padded on the right, where a causal model's real tokens do not see it."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask
