"""How many bytes a number takes in each part of a training run."""

from dataclasses import dataclass
from typing import Any

import torch

from so8t.training.arguments import effective_precision, load_dtype
from so8t.training.config_keys import Config

__all__ = ["HALF", "SINGLE", "Widths", "widths_of"]

HALF, SINGLE = 2, 4
"""Bytes of a number in half and in single precision."""


@dataclass(frozen=True)
class Widths:
    """Bytes per number.

    Attributes:
        weights: the base model's parameters (before quantisation).
        stream: the residual stream between layers, and the norms' outputs.
        projections: what the base's linear layers give out.
        compute: operands of matrix products and of attention.
        adapters: operands of LoRA's products.
        dropout_mask: what dropout keeps of each number: a truth value on CUDA, a factor on the CPU.
        autocast: whether autocast casts operands.
        quantized: bits per weight of the decoder layers' matrices, 4 or 8, or None.
    """

    weights: int
    stream: int
    projections: int
    compute: int
    adapters: int
    dropout_mask: int
    autocast: bool
    quantized: int | None


def widths_of(config: Config, model_config: Any, *, cuda: bool, bf16_supported: bool) -> Widths:
    """Bytes per number as the settings say.

    Args:
        config: the settings.
        model_config: the base model's transformers configuration, whose type is loaded where the settings name none.
        cuda: whether training runs on a CUDA device.
        bf16_supported: whether that device computes in bfloat16.
    """
    precision, _ = effective_precision(config, cuda=cuda, bf16_supported=bf16_supported)
    dtype, _ = load_dtype(config, cuda=cuda, bf16_supported=bf16_supported)
    if dtype == "auto":
        dtype = getattr(model_config, "dtype", None) or torch.float32
    loaded = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    weights, autocast = loaded.itemsize, precision != "fp32"
    quantization = config.quantization
    quantized = 4 if quantization.load_in_4bit else 8 if quantization.load_in_8bit else None
    compute = HALF if autocast else SINGLE if quantized else weights
    # Whatever is not quantised PEFT turns to float32; the stream begins there, and a quantised layer gives out the
    # type that it was given.
    return Widths(
        weights=weights,
        stream=SINGLE if quantized else weights,
        projections=SINGLE if quantized else compute,
        compute=compute,
        adapters=HALF if autocast else SINGLE,
        dropout_mask=1 if cuda else SINGLE,
        autocast=autocast,
        quantized=quantized,
    )
