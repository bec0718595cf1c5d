"""Absorbs LoRA and the SO(8) gates into ordinary weights: what is left is a stock model.

A gate rotates `o_proj`'s output, y = R (W x + b), and R is constant once training is over. So W' = R W and b' = R b do
the same work with no module of ours. LoRA on `o_proj` acts before the gate and is merged first: W' = R (W + s B A).
(W R, the reverse product, is another model.) Merging happens in float32, the rotation in float64, rounded once.
"""

from collections.abc import Callable

import torch
from peft import PeftModel
from torch import Tensor, nn

from so8t.errors import ModelError
from so8t.model.architecture import decoder_layers, find_gates
from so8t.model.attach import detach_gate
from so8t.model.rotation import BLOCK_SIZE
from so8t.model.rotation_statistics import rotation_statistics

OnStage = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is done, and of how much (None where it cannot be counted)."""


def rotated_rows(rows: Tensor, rotation: Tensor) -> Tensor:
    """R W for a weight, R b for a bias: each block of eight rows, as a column, is multiplied by R from the left.

    Args:
        rows: [D, ...], the output features first, as `nn.Linear` keeps weight and bias.
        rotation: [D/8, 8, 8], as `SO8Gate.rotation` gives it.

    Returns:
        The shape and dtype of `rows`, computed in float64 and rounded once.

    Example:
        >>> quarter_turn = torch.eye(8).index_put((torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 1, 0])),
        ...                                       torch.tensor([0.0, 0.0, -1.0, 1.0]))
        >>> rotated_rows(torch.arange(1.0, 9.0), quarter_turn[None]).tolist()
        [-2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    """
    blocks = rows.to("cpu", torch.float64).reshape(rows.shape[0] // BLOCK_SIZE, BLOCK_SIZE, -1)
    product = rotation.to("cpu", torch.float64) @ blocks
    return product.reshape(rows.shape).to(rows.device, rows.dtype)


def no_stage(name: str, done: int, total: int | None) -> None:
    """Nobody wants to know."""


@torch.no_grad()
def bake(model: nn.Module, on_stage: OnStage = no_stage) -> nn.Module:
    """Merge LoRA and gates into the weights, in place, in float32.

    Args:
        model: a Phi-3, Llama or Qwen2 model, with gates, LoRA, both or neither; not quantised.
        on_stage: told how far it is.

    Returns:
        The transformers model itself: float32, without PEFT, gates or hooks of ours. `model` must not be used any more.

    Raises:
        ModelError: the architecture is not supported, the weights are quantised, or LoRA or gates are not finite.

    Example:
        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> from so8t.model.attach import attach_gates
        >>> model = LlamaForCausalLM(LlamaConfig(vocab_size=16, hidden_size=16, intermediate_size=16,
        ...                                      num_hidden_layers=1, num_attention_heads=2)).eval()
        >>> _ = attach_gates(model, init="normal", init_scale=0.3)
        >>> tokens = torch.arange(8)[None]
        >>> with torch.no_grad():
        ...     gated = model(tokens).logits
        ...     baked = bake(model)(tokens).logits
        >>> bool((gated - baked).abs().max() < 1e-5), [name for name in model.state_dict() if "so8" in name]
        (True, [])
    """
    gates = find_gates(model)
    packed = [name for name, parameter in model.named_parameters() if type(parameter) is not nn.Parameter]
    if packed:
        raise ModelError(f"{packed[0]} is quantised: dequantise the base model before LoRA is put on it, then bake")
    if gates and not rotation_statistics(gates.values()).max_orthogonality_error < float("inf"):
        raise ModelError("the gates hold values that are not finite: bake an earlier checkpoint (--checkpoint)")
    model.float()
    on_stage("merging LoRA", 0, None)
    merged = _merged(model)
    layers = decoder_layers(merged)
    for done, (i, gate) in enumerate(gates.items()):
        on_stage("rotating o_proj", done, len(gates))
        attention = layers[i].get_submodule("self_attn")
        rotation = gate.rotation()
        for parameter in attention.get_submodule("o_proj").parameters():
            parameter.copy_(rotated_rows(parameter, rotation))
        detach_gate(attention)
    return merged.eval()


def _merged(model: nn.Module) -> nn.Module:
    if not isinstance(model, PeftModel):
        return model
    try:
        merged: nn.Module = model.merge_and_unload(safe_merge=True)
    except ValueError as error:  # PEFT's word for NaN
        raise ModelError(f"LoRA cannot be merged ({error}): bake an earlier checkpoint (--checkpoint)") from error
    return merged
