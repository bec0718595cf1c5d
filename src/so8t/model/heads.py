"""Small linear heads that read a label off the last hidden state, for the gate that judges before anything is let out.

The state of the last real token is standardised and, as the design has it, split by role: half of it belongs to the
answer (no head reads it), and the rest to safety, domain and verifier. Heads know labels by their names only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from so8t.errors import ModelError
from so8t.model.rotation import BLOCK_SIZE

__all__ = [
    "HEADS_FILE",
    "HeadLayout",
    "HeadOutputs",
    "SafetyHeads",
    "load_heads",
    "pool_last",
    "role_widths",
    "save_heads",
]

HEADS_FILE = "so8t_heads.safetensors"
"""File name of the heads, beside the gates."""

_SHARES = (0.5, 0.2, 0.15, 0.15)  # answer, safety, domain, verifier


@dataclass(frozen=True)
class HeadLayout:
    """What the heads read and what they tell.

    Attributes:
        hidden_size: width of the hidden state, a multiple of 8.
        safety: safety labels, mildest first.
        domain: domain labels.
        verifier: names of the scores from 0 to 1.
        split: each head reads its role's part of the state; else each reads all of it.
    """

    hidden_size: int
    safety: tuple[str, ...]
    domain: tuple[str, ...]
    verifier: tuple[str, ...]
    split: bool = True


class HeadOutputs(NamedTuple):
    """Logits of the three heads: `safety` [rows, labels], `domain` [rows, domains], `verifier` [rows, scores]."""

    safety: Tensor
    domain: Tensor
    verifier: Tensor


def role_widths(hidden_size: int) -> tuple[int, int, int, int]:
    """Split a width 50 : 20 : 15 : 15 in whole blocks of eight (largest remainder first), so no gate straddles roles.

    Raises:
        ModelError: the width is no multiple of 8, or too small to give each role a block.

    Example:
        >>> role_widths(3072)
        (1536, 616, 464, 456)
    """
    blocks, odd = divmod(hidden_size, BLOCK_SIZE)
    wanted = [share * blocks for share in _SHARES]
    given = [int(width) for width in wanted]
    by_remainder = sorted(range(len(wanted)), key=lambda role: given[role] - wanted[role])
    for role in by_remainder[: blocks - sum(given)]:
        given[role] += 1
    if odd or min(given) < 1:
        raise ModelError(
            f"hidden size {hidden_size} cannot be split by role, which takes at least 5 blocks of 8: use split=False"
        )
    answer, safety, domain, verifier = (width * BLOCK_SIZE for width in given)
    return answer, safety, domain, verifier


class SafetyHeads(nn.Module):
    """The three heads.

    Args:
        layout: sizes and names.

    Raises:
        ModelError: the layout's hidden size cannot be split.

    Example:
        >>> heads = SafetyHeads(HeadLayout(64, ("ALLOW", "REFUSE"), ("general",), ("logical", "faithful")))
        >>> [tuple(logits.shape) for logits in heads(torch.zeros(3, 64))]
        [(3, 2), (3, 1), (3, 2)]
    """

    def __init__(self, layout: HeadLayout) -> None:
        super().__init__()
        self.layout = layout
        size = layout.hidden_size
        self._widths = role_widths(size)[1:] if layout.split else (size, size, size)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        names = (layout.safety, layout.domain, layout.verifier)
        self.safety, self.domain, self.verifier = (
            nn.Linear(width, len(labels)) for width, labels in zip(self._widths, names, strict=True)
        )

    @torch.no_grad()
    def standardise_by(self, pooled: Tensor) -> None:
        """Take mean and spread of the state from examples.

        Args:
            pooled: [rows, hidden], at least one row.
        """
        self.mean.copy_(pooled.mean(dim=0))
        self.scale.copy_(pooled.std(dim=0, correction=0).clamp_min(1e-6))

    def forward(self, pooled: Tensor) -> HeadOutputs:
        """Read the labels.

        Args:
            pooled: [rows, hidden], any floating dtype; computed in float32.
        """
        state = (pooled.float() - self.mean) / self.scale
        parts = torch.split(state, [*role_widths(state.shape[-1])], dim=-1)[1:] if self.layout.split else (state,) * 3
        heads = (self.safety, self.domain, self.verifier)
        return HeadOutputs(*(head(part) for head, part in zip(heads, parts, strict=True)))


def pool_last(hidden: Tensor, mask: Tensor) -> Tensor:
    """The state of each row's last real token, on whichever side the padding is.

    Args:
        hidden: [rows, tokens, width].
        mask: [rows, tokens], 1 on real tokens and 0 on padding.

    Returns:
        [rows, width].

    Raises:
        ModelError: a row has no real token.

    Example:
        >>> hidden = torch.arange(6.0).reshape(2, 3, 1)
        >>> pool_last(hidden, torch.tensor([[0, 1, 1], [1, 1, 0]])).flatten().tolist()
        [2.0, 4.0]
    """
    real = mask != 0
    if not bool(real.any(dim=1).all()):
        raise ModelError("a row without any token cannot be judged: leave empty texts out")
    last = mask.shape[1] - 1 - real.flip(1).int().argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last.to(hidden.device)]


def save_heads(heads: SafetyHeads, path: Path) -> None:
    """Write heads to a safetensors file whose header holds the layout; the file appears whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in heads.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(to_safetensors(state, {"format": "pt", "heads": msgspec.json.encode(heads.layout).decode()}))
    partial.replace(path)


def load_heads(path: Path) -> SafetyHeads:
    """Read a file of `save_heads`.

    Raises:
        ModelError: the file is missing, damaged, or holds something else.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            layout = msgspec.json.decode((file.metadata() or {})["heads"], type=HeadLayout)
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
        heads = SafetyHeads(layout)
        heads.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, msgspec.DecodeError, RuntimeError) as error:
        raise ModelError(
            f"{path} cannot be read as safety heads ({error}): train them with so8t heads train"
        ) from error
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise ModelError(f"{path} holds values that are not finite: train the heads again")
    return heads.eval()
