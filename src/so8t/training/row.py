"""What one row says: of a window's sums, of its last step, of each rank."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from so8t.training.window import RankShare, WindowTotals


@dataclass(frozen=True)
class StepFacts:
    """What is known on the host about the optimizer step that a row closes with.

    Attributes:
        step: its number, counted from 1.
        epoch: passes over the data so far.
        learning_rates: as used in it, by the name they are recorded under; empty where unknown.
        grad_norm: before clipping; None where unknown.
        pet_weight: lambda; None with PET off.
    """

    step: int
    epoch: float | None
    learning_rates: Mapping[str, float]
    grad_norm: Tensor | float | None
    pet_weight: float | None


def training_row(totals: WindowTotals, facts: StepFacts, grad_norm: float | None, *, gates: bool) -> dict[str, Any]:
    """The row of a window, without what needs the run so far.

    Args:
        totals: the window.
        facts: of its last step.
        grad_norm: the number of `facts.grad_norm`.
        gates: whether the model has SO(8) gates.

    Returns:
        Arguments for `record_step`; what was not measured is absent. `loss` is the sum of its terms exactly.
    """
    steps, tokens = totals.steps, totals.tokens
    lm_loss = totals.cross_entropy / tokens if tokens else math.nan
    row: dict[str, Any] = {"step": facts.step, "epoch": facts.epoch, "loss": lm_loss, **facts.learning_rates}
    row["lm_loss"] = lm_loss
    if facts.pet_weight is not None:
        row["pet_loss"] = totals.pet_loss / steps
        row["pet_penalty"] = totals.pet_penalty / steps
        row["pet_lambda"] = facts.pet_weight
        row["loss"] += row["pet_loss"]
    if gates:
        row["so8t_loss"] = totals.so8t_loss / steps
        row["loss"] += row["so8t_loss"]
    if tokens:
        row["accuracy"] = totals.correct / tokens
    row["perplexity"] = perplexity(lm_loss)
    if grad_norm is not None:
        row["grad_norm"] = grad_norm
    if totals.seconds > 0:
        row["tokens_per_second"] = totals.input_tokens / totals.seconds
    row["window_steps"] = steps
    if totals.non_finite_steps:
        row["non_finite_steps"] = totals.non_finite_steps
    return row


def perplexity(cross_entropy: float) -> float:
    """exp(cross-entropy per token in nats), infinite where float64 has no number for it.

    Example:
        >>> perplexity(0.0), perplexity(1e4)
        (1.0, inf)
    """
    try:
        return math.exp(cross_entropy)
    except OverflowError:
        return math.inf


def rank_columns(ranks: Sequence[RankShare]) -> dict[str, float]:
    """Throughput and memory of each rank, by the name they are recorded under; empty with one rank.

    Example:
        >>> slow, fast = RankShare(100.0, 2.0, 7), RankShare(100.0, 1.0, 9)
        >>> rank_columns([slow, fast])["rank1/tokens_per_second"], rank_columns([slow])
        (100.0, {})
    """
    if len(ranks) < 2:
        return {}
    columns: dict[str, float] = {}
    for rank, share in enumerate(ranks):
        if share.input_tokens is not None and share.seconds > 0:
            columns[f"rank{rank}/tokens_per_second"] = share.input_tokens / share.seconds
        columns[f"rank{rank}/peak_memory_bytes"] = share.peak_memory_bytes
    return columns


def learning_rates(groups: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The learning rates of an optimizer's groups, by the name they are recorded under.

    The first group's is `learning_rate`; a group that learns otherwise has its own `learning_rate_NAME`.

    Example:
        >>> learning_rates([{"lr": 0.1, "name": "decay"}, {"lr": 0.1}, {"lr": 0.05, "name": "gates"}])
        {'learning_rate': 0.1, 'learning_rate_gates': 0.05}
    """
    first = groups[0]
    rates = {"learning_rate": float(first["lr"])}
    for place, group in enumerate(groups[1:], start=1):
        # The first rates differ even where warm-up makes both of them 0.
        if (group["lr"], group.get("initial_lr")) != (first["lr"], first.get("initial_lr")):
            rates[f"learning_rate_{group.get('name', f'group_{place}')}"] = float(group["lr"])
    return rates
