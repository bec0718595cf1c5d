"""PET regularisation: a penalty on the second difference of the hidden states along the tokens.

d2[t] = h[t+2] - 2 h[t+1] + h[t], h the last hidden state [batch, tokens, features]. The mean of d2^2 is 0 for a
constant or linear sequence, 6 for unit white noise and 16 for one that alternates between -1 and 1: the penalty
damps what oscillates from token to token. Its weight lambda grows over three phases of training.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from so8t.errors import ConfigError, ModelError
from so8t.model.architecture import final_norm

Reduction = Literal["mean", "sum"]
Normalization = Literal["none", "rms"]
Phase = Literal["exploration", "transition", "stabilization"]


def second_difference_penalty(
    hidden: Tensor,
    attention_mask: Tensor | None = None,
    *,
    huber_delta: float = 0.0,
    reduction: Reduction = "mean",
    normalize: Normalization = "none",
    segment_ids: Tensor | None = None,
) -> Tensor:
    """The penalty on one batch, over triples of neighbouring real tokens only.

    A triple (t, t+1, t+2) counts when all three tokens are real and, with `segment_ids`, of one segment; the value
    therefore does not depend on the side or amount of padding, and what stands on padded places, NaN included,
    reaches neither the value nor the gradient.

    Args:
        hidden: last hidden state [B, T, D], any floating dtype; computed in float32 at least.
        attention_mask: [B, T], non-zero where a token is real; None when all are.
        huber_delta: 0 for squares d2^2. Above 0, Huber's function: d2^2 / 2 up to |d2| = delta and
            delta (|d2| - delta/2) beyond; note the factor 1/2 against the squares of delta = 0.
        reduction: ``"mean"``: the mean over a sequence's valid triples and features, then the mean over sequences (one
            without a valid triple counts as 0), so that batches of 4 and accumulations of 4 agree. ``"sum"``:
            the plain sum.
        normalize: ``"rms"`` divides a sequence's differences by the root mean square of its real tokens (detached),
            so that shrinking h does not lower the penalty; ``"none"`` leaves them.
        segment_ids: [B, T] integers, for several documents packed in one row.

    Returns:
        0-d float32 tensor (float64 for float64 input), attached to the graph; exactly 0 without a valid triple.

    Raises:
        ConfigError: a setting is out of range.
        ModelError: shapes do not fit.

    Example:
        >>> alternating = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(1, 4, 1)
        >>> second_difference_penalty(alternating).item()
        16.0
    """
    if not 0 <= huber_delta < math.inf:
        raise ConfigError(f"pet.huber_delta must be a finite number >= 0, not {huber_delta}")
    _require_one_of("pet.reduction", reduction, get_args(Reduction))
    _require_one_of("pet.normalize", normalize, get_args(Normalization))
    if hidden.dim() != 3:
        raise ModelError(f"PET needs hidden states [batch, tokens, features], not of shape {tuple(hidden.shape)}")

    real = _real_tokens(hidden, attention_mask)
    valid = real[:, 2:] & real[:, 1:-1] & real[:, :-2]
    if segment_ids is not None:
        _require_shape("segment_ids", segment_ids, hidden)
        same = segment_ids[:, 1:] == segment_ids[:, :-1]
        valid = valid & same[:, 1:] & same[:, :-1]

    h = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    difference = h[:, 2:] - 2 * h[:, 1:-1] + h[:, :-2]
    # Masked before it is squared: multiplying by 0 afterwards would keep a NaN, in value and in gradient.
    difference = difference.masked_fill(~valid[..., None], 0.0)
    if normalize == "rms":
        difference = difference / _root_mean_square(h.detach(), real)[:, None, None]
    per_sequence = _cost(difference, huber_delta).sum(dim=(1, 2))
    if reduction == "sum":
        return per_sequence.sum()
    return (per_sequence / (h.shape[-1] * valid.sum(dim=1).clamp(min=1))).mean()


def _cost(difference: Tensor, huber_delta: float) -> Tensor:
    if huber_delta == 0:
        return difference.square()
    zero = torch.zeros_like(difference)
    return nn.functional.huber_loss(difference, zero, reduction="none", delta=huber_delta)


def _root_mean_square(h: Tensor, real: Tensor) -> Tensor:
    """Per sequence, over its real tokens: [B]; never 0, since a sequence of zeros has differences of 0 too."""
    total = h.masked_fill(~real[..., None], 0.0).square().sum(dim=(1, 2))
    mean_square = total / (h.shape[-1] * real.sum(dim=1).clamp(min=1))
    return mean_square.clamp(min=torch.finfo(h.dtype).tiny).sqrt()


def _real_tokens(hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
    if attention_mask is None:
        return torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
    _require_shape("attention_mask", attention_mask, hidden)
    return attention_mask != 0


def _require_shape(name: str, tensor: Tensor, hidden: Tensor) -> None:
    if tensor.shape != hidden.shape[:2]:
        raise ModelError(
            f"PET's {name} has shape {tuple(tensor.shape)}, but the hidden states have "
            f"{tuple(hidden.shape[:2])} sequences and tokens: pass one value for each token"
        )


def _require_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} is one of {', '.join(map(str, allowed))}, not {value!r}")


@dataclass(frozen=True)
class PetSchedule:
    """The weight lambda of PET, constant in each of three phases of training.

    A `step` below counts the optimizer steps *completed so far*, as the Trainer's `state.global_step` does while a
    step is being computed: the first optimizer step is computed at 0, the s-th (counted from 1) at s - 1. A run of T
    steps explores at floor(T r1) steps, r1 the exploration ratio, is in transition up to floor(T (r1 + r2)) and
    stabilises after that; beyond T the last phase holds. Ratios are taken as the decimals that were written
    (0.29 is 29/100), so that rounding in binary never shifts a boundary by a step.

    Args:
        lambda_exploration: weight in the first phase, >= 0.
        lambda_transition: weight in the second, >= 0.
        lambda_stabilization: weight in the third, >= 0.
        exploration_ratio: share of the run spent in the first phase, > 0.
        transition_ratio: share of the second, > 0.
        stabilization_ratio: share of the third, > 0. The three sum to 1 (within 1e-6).

    Raises:
        ConfigError: a weight or ratio is out of range, or the ratios do not sum to 1.

    Example:
        >>> schedule = PetSchedule()
        >>> schedule.boundaries(273)
        (54, 163)
        >>> schedule.phase(54, 273), schedule.weight(54, 273)
        ('transition', 0.05)
    """

    lambda_exploration: float = 0.01
    lambda_transition: float = 0.05
    lambda_stabilization: float = 0.1
    exploration_ratio: float = 0.2
    transition_ratio: float = 0.4
    stabilization_ratio: float = 0.4

    def __post_init__(self) -> None:
        for phase in get_args(Phase):
            weight = getattr(self, f"lambda_{phase}")
            if not 0 <= weight < math.inf:
                raise ConfigError(f"pet.lambda_{phase} must be a finite number >= 0, not {weight}")
            ratio = getattr(self, f"{phase}_ratio")
            if not 0 < ratio < 1:
                raise ConfigError(f"pet.{phase}_ratio must lie between 0 and 1, not {ratio}")
        total = self.exploration_ratio + self.transition_ratio + self.stabilization_ratio
        if abs(total - 1) > 1e-6:
            raise ConfigError(
                "pet.exploration_ratio, pet.transition_ratio and pet.stabilization_ratio must sum to 1, "
                f"not {total:.6g}: they are the three phases' shares of the run"
            )

    def boundaries(self, total_steps: int) -> tuple[int, int]:
        """The steps at which the second and the third phase begin.

        Args:
            total_steps: optimizer steps T of the whole run, >= 1 (the Trainer's `state.max_steps`).

        Returns:
            floor(T r1) and floor(T (r1 + r2)).

        Raises:
            ConfigError: T is not positive: the run's length is unknown.
        """
        if total_steps < 1:
            raise ConfigError(f"PET's phases need the run's number of optimizer steps, at least 1, not {total_steps}")
        first = Fraction(str(self.exploration_ratio))
        second = first + Fraction(str(self.transition_ratio))
        return math.floor(total_steps * first), math.floor(total_steps * second)

    def phase(self, step: int, total_steps: int) -> Phase:
        """The phase in force after `step` completed optimizer steps of `total_steps`."""
        if step < 0:
            raise ConfigError(f"the number of completed optimizer steps is never negative, got {step}")
        transition, stabilization = self.boundaries(total_steps)
        if step < transition:
            return "exploration"
        return "transition" if step < stabilization else "stabilization"

    def weight(self, step: int, total_steps: int) -> float:
        """Lambda in force after `step` completed optimizer steps of `total_steps`."""
        match self.phase(step, total_steps):
            case "exploration":
                return self.lambda_exploration
            case "transition":
                return self.lambda_transition
            case "stabilization":
                return self.lambda_stabilization


class FinalHiddenState:
    """Keeps the final norm's last output, which equals `hidden_states[-1]`, without keeping the other layers'.

    The output holds the whole graph of its forward pass, so use `take`, which lets go of it, or `clear`.

    Args:
        model: a supported model, also inside PEFT or a distributed wrapper.

    Raises:
        ModelError: the architecture is not supported.

    Example::

        with FinalHiddenState(model) as final_hidden_state:
            loss = model(**batch).loss
            loss = loss + weight * second_difference_penalty(final_hidden_state.take(), batch["attention_mask"])
    """

    def __init__(self, model: nn.Module) -> None:
        self._value: Tensor | None = None
        self._handle = final_norm(model).register_forward_hook(self._keep)

    def take(self) -> Tensor:
        """The last output [B, T, D], attached to its graph; afterwards nothing is held.

        Raises:
            ModelError: no forward pass has run since the last `take` or `clear`, or the hook is closed.
        """
        value = self._value
        if value is None:
            raise ModelError("no hidden state was captured: run the model forward first, once for each take()")
        self.clear()
        return value

    @property
    def value(self) -> Tensor | None:
        """The last output, or None; it stays held."""
        return self._value

    def clear(self) -> None:
        """Let go of the last output."""
        self._value = None

    def close(self) -> None:
        """Remove the hook and let go of the last output; may be called twice."""
        self._handle.remove()
        self.clear()

    def _keep(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        self._value = output

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
