"""The terms of the training loss: L = LM + lambda * PET + so8t_loss.

Each term is scaled so that the sum over the micro-batches of an optimizer step is the step's value: LM by the tokens
of the step (the Trainer's `num_items_in_batch`), PET and so8t_loss by the micro-batch's share of its sequences. Four
sequences in one batch and four batches of one sequence then have the same loss and the same gradients.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from so8t.data.chat import IGNORED
from so8t.errors import ConfigError
from so8t.model.pet import Normalization, PetSchedule, Reduction, second_difference_penalty


@dataclass(frozen=True)
class PetRegularization:
    """How PET enters the loss.

    Args:
        schedule: lambda over the run.
        huber_delta: as in `second_difference_penalty`.
        reduction: likewise.
        normalize: likewise.

    Example:
        >>> PetRegularization.of({"enabled": True, "lambda_exploration": 0.2}).schedule.lambda_exploration
        0.2
        >>> PetRegularization.of({"enabled": False}) is None
        True
    """

    schedule: PetSchedule = field(default_factory=PetSchedule)
    huber_delta: float = 0.0
    reduction: Reduction = "mean"
    normalize: Normalization = "none"

    @classmethod
    def of(cls, settings: "Self | Mapping[str, Any] | None") -> Self | None:
        """From a configuration's `pet` section as a mapping; None where PET is off.

        Raises:
            ConfigError: a key is unknown or a value out of range.
        """
        if settings is None or isinstance(settings, cls):
            return settings
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"pet_regularization is a PetRegularization, a mapping of the pet settings or None, not {settings!r}"
            )
        given = dict(settings)
        if not given.pop("enabled", True):
            return None
        own = {name: given.pop(name) for name in ("huber_delta", "reduction", "normalize") if name in given}
        unknown = sorted(given.keys() - PetSchedule.__dataclass_fields__.keys())
        if unknown:
            raise ConfigError(f"pet has no key {', '.join(map(str, unknown))}: remove it or correct its name")
        return cls(schedule=PetSchedule(**given), **own)

    def penalty(self, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
        """The unweighted penalty on one micro-batch; see `second_difference_penalty`."""
        return second_difference_penalty(
            hidden,
            attention_mask,
            huber_delta=self.huber_delta,
            reduction=self.reduction,
            normalize=self.normalize,
        )


@dataclass(frozen=True)
class LossTerms:
    """What one micro-batch contributes to its optimizer step; 0-d tensors, attached to the graph.

    Attributes:
        lm: language-model loss, divided by the tokens of the whole step.
        pet_penalty: PET without its weight, by the micro-batch's share of the step; None with PET off.
        pet_weight: lambda of the step.
        so8t: the gates' term; None without gates, and in all but one micro-batch of a step.
    """

    lm: Tensor
    pet_penalty: Tensor | None = None
    pet_weight: float = 0.0
    so8t: Tensor | None = None

    @property
    def pet(self) -> Tensor | None:
        """lambda * PET."""
        return None if self.pet_penalty is None else self.pet_weight * self.pet_penalty

    def total(self) -> Tensor:
        """The loss to differentiate."""
        total = self.lm
        for term in (self.pet, self.so8t):
            if term is not None:
                total = total + term.to(total.device)
        return total


@torch.no_grad()
def count_predictions(logits: Tensor, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """How many tokens were to be predicted, and how many were (greedily, under teacher forcing).

    Args:
        logits: [batch, tokens, vocabulary].
        inputs: the model's inputs, with `labels` [batch, tokens] (-100 where no loss is taken), or `shift_labels`
            where the collator has shifted them already.

    Returns:
        Two 0-d int64 tensors.

    Example:
        >>> logits = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])
        >>> counted, correct = count_predictions(logits, {"labels": torch.tensor([[-100, 1, 1]])})
        >>> counted.item(), correct.item()
        (2, 1)
    """
    predicting, targets = _aligned(logits, inputs)
    counted = targets != IGNORED
    correct = (predicting.argmax(dim=-1) == targets) & counted
    return counted.sum(), correct.sum()


@torch.no_grad()
def sequence_statistics(logits: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Cross-entropy, tokens and right predictions of every sequence, to be summed over an evaluation set.

    Args:
        logits: [batch, tokens, vocabulary].
        inputs: as in `count_predictions`.

    Returns:
        [batch, 3]: sum of the cross-entropy in nats, predicted tokens, right ones; float64 (float32 on MPS).
    """
    predicting, targets = _aligned(logits, inputs)
    counted = targets != IGNORED
    cross_entropy = torch.nn.functional.cross_entropy(
        predicting.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    )
    correct = (predicting.argmax(dim=-1) == targets) & counted
    dtype = accumulator_dtype(logits.device)
    return torch.stack([column.to(dtype).sum(dim=1) for column in (cross_entropy, counted, correct)], dim=1)


def accumulator_dtype(device: torch.device) -> torch.dtype:
    """float64, so that long sums and counts stay exact; MPS has none."""
    return torch.float32 if device.type == "mps" else torch.float64


def _aligned(logits: Tensor, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits and the labels they predict, of equal length."""
    if "shift_labels" in inputs:
        return logits, inputs["shift_labels"].to(logits.device)
    return logits[:, :-1], inputs["labels"][:, 1:].to(logits.device)
