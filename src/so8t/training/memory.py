"""How much memory a training run will need, estimated before anything of it is loaded.

What is exact and what is not: parameters are counted on a one-layer model without memory (PyTorch's meta device), so
weights, adapters, gates, gradients and optimizer state are exact to the bytes that bitsandbytes adds per matrix. The
activations are counted tensor by tensor (`so8t.training.memory_activations`).
The total is 2 to 6 % above the live tensors of a training step of Phi-3.5-mini (bfloat16, LoRA, gates, PET; 1,024 and
2,048 tokens, 1 and 4 sequences, with and without checkpointing), counted on tensors without memory.
Not estimated: fragmentation of the allocator, and kernels' scratch space beyond a fixed allowance.

Sizes below are bytes.
"""

from dataclasses import dataclass, fields
from typing import Any

from so8t.training.arguments import optimizer_in_use
from so8t.training.config_keys import Config
from so8t.training.memory_activations import activation_bytes, backward_bytes, layer_bytes, logit_bytes
from so8t.training.memory_optimizer import optimizer_bytes
from so8t.training.memory_parameters import (
    base_shapes,
    cast_bytes,
    gate_shapes,
    lora_shapes,
    trained_biases,
    weight_bytes,
)
from so8t.training.memory_shapes import ModelShape, numbers_in, shape_of
from so8t.training.memory_widths import SINGLE, widths_of

__all__ = ["MemoryEstimate", "estimate_memory"]

DEVICE_ALLOWANCE = 384 << 20
"""What a CUDA device needs beside tensors: the context, kernels loaded at first use, cuBLAS workspaces (32 MiB on
Hopper, 8 MiB before), and the rounding of the caching allocator. 300 to 500 MiB are usual."""


@dataclass(frozen=True)
class MemoryEstimate:
    """The bytes that training needs on one device at its fullest moment, by what they are for.

    Attributes:
        weights: the base model, with quantisation constants where it is quantised.
        adapters: LoRA matrices, in float32.
        gates: the gates' generators, in float32.
        gradients: of everything that is trained.
        optimizer: moments of everything that is trained.
        casts: half-precision copies of float32 weights, which autocast keeps through a step.
        activations: what all layers keep for the backward pass.
        working: beside those, where it is most: the logits with their gradients; or one layer on the way back; or the
            optimizer's intermediate results, which come when the activations are gone.
        device: `DEVICE_ALLOWANCE` on CUDA.
    """

    weights: int
    adapters: int
    gates: int
    gradients: int
    optimizer: int
    casts: int
    activations: int
    working: int
    device: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """Name -> bytes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def estimate_memory(
    config: Config,
    model_config: Any,
    *,
    cuda: bool,
    bf16_supported: bool,
    bitsandbytes_installed: bool | None = None,
    shards: int = 1,
    shape: ModelShape | None = None,
) -> MemoryEstimate:
    """Estimate what one device needs to train as the settings say.

    Args:
        config: the settings.
        model_config: the base model's transformers configuration.
        cuda: whether training runs on a CUDA device.
        bf16_supported: whether that device computes in bfloat16.
        bitsandbytes_installed: whether its optimizers can be used; None: look.
        shards: devices that parameters, gradients and optimizer state are split over (FSDP); 1: each has them whole.
        shape: `shape_of(model_config)`, where it is known already.

    Raises:
        ModelError: a LoRA target does not exist in the architecture.
    """
    shape = shape_of(model_config) if shape is None else shape
    widths = widths_of(config, model_config, cuda=cuda, bf16_supported=bf16_supported)
    adapters, gates = lora_shapes(config, model_config, shape), gate_shapes(config, shape)
    base = () if config.base_is_frozen else base_shapes(shape)
    biases = trained_biases(config, model_config, shape)
    optimizer, _ = optimizer_in_use(config.training.optim, cuda, bitsandbytes_installed)
    in_float32, in_base_type = [*adapters, *gates], [*base, *biases]
    gradients = SINGLE * numbers_in(in_float32) + widths.weights * numbers_in(in_base_type)
    state = optimizer_bytes(optimizer, in_float32) + optimizer_bytes(optimizer, in_base_type, widths.weights)
    layer = layer_bytes(config, model_config, shape, widths)
    activations = activation_bytes(config, shape, widths, layer)
    on_the_way_back = backward_bytes(config, shape, widths)
    if config.training.gradient_checkpointing:
        on_the_way_back += layer  # computed again, one at a time
    # AdamW of PyTorch, on CUDA for all parameters at once, needs a number more for each.
    in_the_step = gradients // shards if cuda and optimizer == "adamw_torch" else 0
    return MemoryEstimate(
        weights=weight_bytes(config, shape, widths) // shards,
        adapters=SINGLE * numbers_in(adapters) // shards,
        gates=SINGLE * numbers_in(gates) // shards,
        gradients=gradients // shards,
        optimizer=state // shards,
        casts=cast_bytes(shape, widths, adapters, trained_base=bool(base)),
        activations=activations,
        working=max(logit_bytes(config, shape, widths), on_the_way_back, in_the_step - activations),
        device=DEVICE_ALLOWANCE if cuda else 0,
    )
