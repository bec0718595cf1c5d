"""What an evaluation measures, every token weighing the same."""

import torch
from torch import Tensor

from so8t.training.losses import accumulator_dtype
from so8t.training.row import perplexity
from so8t.training.window import to_host


class EvaluationTotals:
    """Sums over an evaluation set, so that every token counts the same whatever batch it is in.

    Args:
        device: where the logits are.

    Example:
        >>> totals = EvaluationTotals(torch.device("cpu"))
        >>> totals.add(torch.tensor([[2.0, 4.0, 1.0], [0.0, 4.0, 4.0]]))
        >>> totals.metrics("eval")["eval_loss"], totals.metrics("eval")["eval_accuracy"]
        (0.25, 0.625)
    """

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(3, dtype=accumulator_dtype(device), device=device)

    def add(self, sequences: Tensor) -> None:
        """Take in [sequences, 3] as `losses.sequence_statistics` makes it."""
        self._sums += sequences.sum(dim=0)

    def metrics(self, prefix: str) -> dict[str, float]:
        """Loss, perplexity, accuracy and number of predicted tokens; empty where no token was predicted."""
        ((cross_entropy, tokens, correct),) = to_host(self._sums[None])
        if not tokens:
            return {}
        loss = cross_entropy / tokens
        return {
            f"{prefix}_loss": loss,
            f"{prefix}_perplexity": perplexity(loss),
            f"{prefix}_accuracy": correct / tokens,
            f"{prefix}_tokens": int(tokens),
        }
