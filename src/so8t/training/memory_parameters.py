"""The parameters of a training run: which are trained, and the bytes of the base model's weights.

Sizes are bytes.
"""

import math
from collections.abc import Iterable
from typing import Any

from so8t.model.architecture import resolve_lora_targets
from so8t.model.rotation import BLOCK_SIZE, GENERATORS
from so8t.training.config_keys import Config
from so8t.training.memory_shapes import Linear, ModelShape, Shapes, numbers_in
from so8t.training.memory_widths import HALF, SINGLE, Widths

__all__ = [
    "base_shapes",
    "cast_bytes",
    "gate_count",
    "gate_shapes",
    "lora_shapes",
    "lora_targets",
    "trained_biases",
    "weight_bytes",
]

_BLOCK_4BIT = 64
_BLOCK_OF_CONSTANTS = 256


def base_shapes(shape: ModelShape) -> Shapes:
    """All parameters of the base model."""
    return shape.outer_parameters + shape.layer_parameters * shape.layers


def lora_targets(config: Config, model_config: Any) -> list[str]:
    """Names of the linear layers that LoRA adapts, as in `ModelShape.linears`; none without LoRA.

    Raises:
        ModelError: one does not exist in the architecture.
    """
    if not config.qlora.enabled:
        return []
    return resolve_lora_targets(model_config, config.qlora.target_modules)[0]


def lora_shapes(config: Config, model_config: Any, shape: ModelShape) -> Shapes:
    """A [r, in] and B [out, r] of every target: r (in + out) numbers (Hu et al. 2021, arXiv:2106.09685)."""
    rank = config.qlora.r
    targets = [shape.linears[name] for name in lora_targets(config, model_config)]
    return tuple(matrix for t in targets for matrix in ((rank, t.inputs), (t.outputs, rank))) * shape.layers


def trained_biases(config: Config, model_config: Any, shape: ModelShape) -> Shapes:
    """Biases that are trained beside LoRA (`qlora.bias`), in the base model's type."""
    if not config.qlora.enabled or config.qlora.bias == "none":
        return ()
    targets = lora_targets(config, model_config)
    trained = [
        linear
        for name, linear in shape.linears.items()
        if linear.bias and (config.qlora.bias == "all" or name in targets)
    ]
    return tuple((linear.outputs,) for linear in trained) * shape.layers


def gate_count(config: Config, shape: ModelShape) -> int:
    """How many decoder layers have a gate."""
    if not config.so8t.enabled:
        return 0
    return shape.layers if config.so8t.layer_indices is None else len(config.so8t.layer_indices)


def gate_shapes(config: Config, shape: ModelShape) -> Shapes:
    """The gates' generators, [H/8, 28] each."""
    return ((shape.hidden // BLOCK_SIZE, GENERATORS),) * gate_count(config, shape)


def weight_bytes(config: Config, shape: ModelShape, widths: Widths) -> int:
    """The base model in memory.

    4 bits: half a byte per weight, and one constant per 64 weights: float32 (0.5 bit per weight), or with double
    quantisation 8 bits and a float32 per 256 constants, 8/64 + 32/(64 * 256) = 0.127 bit per weight (Dettmers et al.
    2023, QLoRA, arXiv:2305.14314, section 3). 8 bits: a byte per weight and a float32 per row (Dettmers et al. 2022,
    LLM.int8(), arXiv:2208.07339). The embedding, the output layer, norms and biases are not quantised, and
    `prepare_model_for_kbit_training` turns them to float32.
    """
    if widths.quantized is None:
        return widths.weights * shape.parameters
    matrices = shape.linears.values()
    others = shape.parameters - shape.layers * sum(matrix.weights for matrix in matrices)
    per_layer = sum(_quantized_bytes(matrix, config, widths.quantized) for matrix in matrices)
    return shape.layers * per_layer + SINGLE * others


def _quantized_bytes(matrix: Linear, config: Config, bits: int) -> int:
    if bits == 8:
        width = HALF if config.quantization.llm_int8_has_fp16_weight else 1
        return width * matrix.weights + SINGLE * matrix.outputs
    constants = math.ceil(matrix.weights / _BLOCK_4BIT)
    code = 16 * SINGLE
    if not config.quantization.bnb_4bit_use_double_quant:
        return math.ceil(matrix.weights / 2) + SINGLE * constants + code
    second = math.ceil(constants / _BLOCK_OF_CONSTANTS)
    # 256 values of the second code, and the mean that is taken off the constants
    return math.ceil(matrix.weights / 2) + constants + SINGLE * second + code + 256 * SINGLE + SINGLE


def cast_bytes(shape: ModelShape, widths: Widths, adapters: Iterable[tuple[int, ...]], *, trained_base: bool) -> int:
    """Half-precision copies of weights in float32, which the graph holds until the step's backward pass is through.

    Args:
        shape: the model's sizes.
        widths: bytes per number.
        adapters: shapes of LoRA's matrices.
        trained_base: whether the base model is trained.
    """
    if not widths.autocast:
        return 0
    numbers = numbers_in(adapters)
    output = shape.vocabulary * shape.hidden
    if trained_base:
        numbers += shape.layers * sum(matrix.weights for matrix in shape.linears.values()) + output
    elif widths.stream == SINGLE:
        numbers += output
    return HALF * numbers
