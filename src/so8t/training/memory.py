"""How much memory a training run will need, estimated before anything of it is loaded.

What is exact and what is not: parameters are counted on a one-layer model without memory (PyTorch's meta device), so
weights, adapters, gates, gradients and optimizer state are exact to the bytes that bitsandbytes adds per matrix. The
activations follow what PyTorch keeps for the backward pass of a pre-norm decoder layer, tensor by tensor, as
Korthikanti et al. 2022 (arXiv:2205.05198, section 4.1) do for GPT; tests compare them with what autograd really keeps.
The total is 2 to 6 % above the live tensors of a training step of Phi-3.5-mini (bfloat16, LoRA, gates, PET; 1,024 and
2,048 tokens, 1 and 4 sequences, with and without checkpointing), counted on tensors without memory.
Not estimated: fragmentation of the allocator, and kernels' scratch space beyond a fixed allowance.

Sizes below are bytes. B sequences of T tokens, hidden width H, feed-forward width I, vocabulary V.
"""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from so8t.model.architecture import architecture_of, resolve_lora_targets
from so8t.model.rotation import BLOCK_SIZE, GENERATORS
from so8t.training.arguments import effective_precision, load_dtype, optimizer_in_use
from so8t.training.config_keys import Config

__all__ = ["Linear", "MemoryEstimate", "ModelShape", "estimate_memory", "optimizer_bytes", "shape_of"]

DEVICE_ALLOWANCE = 384 << 20
"""What a CUDA device needs beside tensors: the context, kernels loaded at first use, cuBLAS workspaces (32 MiB on
Hopper, 8 MiB before), and the rounding of the caching allocator. 300 to 500 MiB are usual."""

_HALF, _SINGLE = 2, 4
_BLOCK_4BIT = 64
_BLOCK_OF_CONSTANTS = 256
_BLOCK_8BIT_OPTIMIZER = 256
_SMALLEST_8BIT_STATE = 4096
"""bitsandbytes keeps the optimizer state of smaller parameters in 32 bits (`min_8bit_size`)."""


@dataclass(frozen=True)
class Linear:
    """A linear layer of a decoder layer.

    Attributes:
        inputs: features in.
        outputs: features out.
        bias: whether it has a bias.
    """

    inputs: int
    outputs: int
    bias: bool

    @property
    def weights(self) -> int:
        """Numbers in the weight matrix."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a decoder-only model.

    Attributes:
        hidden: width H of the residual stream.
        intermediate: width I of the feed-forward layer.
        layers: number of decoder layers.
        heads: attention heads.
        kv_heads: heads of keys and values.
        head_width: features of one head.
        vocabulary: rows V of the embedding matrix.
        linears: name -> linear layer, of one decoder layer.
        layer_parameters: parameter shapes of one decoder layer.
        outer_parameters: parameter shapes outside the decoder layers, a shared one once.
        output_is_tied: the output layer is the embedding matrix.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    linears: Mapping[str, Linear]
    layer_parameters: tuple[tuple[int, ...], ...]
    outer_parameters: tuple[tuple[int, ...], ...]
    output_is_tied: bool

    @property
    def parameters(self) -> int:
        """All parameters of the base model."""
        return _numbers(self.outer_parameters) + self.layers * _numbers(self.layer_parameters)


def shape_of(model_config: Any) -> ModelShape:
    """Read a model's sizes from its configuration.

    One decoder layer is built on the meta device, where tensors have shapes and no memory: no formula that a new
    version of an architecture could make wrong.

    Args:
        model_config: a transformers configuration of a supported architecture.

    Raises:
        ModelError: the architecture is not supported.

    Example:
        >>> from transformers import Phi3Config
        >>> phi = Phi3Config(vocab_size=32064, hidden_size=3072, intermediate_size=8192, num_hidden_layers=32)
        >>> shape_of(phi).parameters
        3821079552
    """
    architecture_of(model_config)
    one_layer = copy.deepcopy(model_config)
    one_layer.num_hidden_layers = 1
    if getattr(one_layer, "layer_types", None):
        one_layer.layer_types = one_layer.layer_types[:1]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(one_layer)
    layer = model.base_model.layers[0]
    inside = {id(parameter) for parameter in layer.parameters()}
    heads = model_config.num_attention_heads
    return ModelShape(
        hidden=model_config.hidden_size,
        intermediate=model_config.intermediate_size,
        layers=model_config.num_hidden_layers,
        heads=heads,
        kv_heads=getattr(model_config, "num_key_value_heads", None) or heads,
        head_width=getattr(model_config, "head_dim", None) or model_config.hidden_size // heads,
        vocabulary=model_config.vocab_size,
        linears={
            name.rpartition(".")[2]: Linear(module.in_features, module.out_features, module.bias is not None)
            for name, module in layer.named_modules()
            if isinstance(module, torch.nn.Linear)
        },
        layer_parameters=tuple(tuple(parameter.shape) for parameter in layer.parameters()),
        outer_parameters=tuple(tuple(p.shape) for p in model.parameters() if id(p) not in inside),
        output_is_tied=model.get_output_embeddings().weight is model.get_input_embeddings().weight,
    )


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
    widths = _widths(config, model_config, cuda=cuda, bf16_supported=bf16_supported)
    adapters, gates = _lora_shapes(config, model_config, shape), _gate_shapes(config, shape)
    base = () if config.base_is_frozen else _base_shapes(shape)
    biases = _trained_biases(config, model_config, shape)
    optimizer, _ = optimizer_in_use(config.training.optim, cuda, bitsandbytes_installed)
    in_float32, in_base_type = [*adapters, *gates], [*base, *biases]
    gradients = _SINGLE * _numbers(in_float32) + widths.weights * _numbers(in_base_type)
    state = optimizer_bytes(optimizer, in_float32) + optimizer_bytes(optimizer, in_base_type, widths.weights)
    layer = _layer_bytes(config, model_config, shape, widths)
    activations = _activation_bytes(config, shape, widths, layer)
    on_the_way_back = _backward_bytes(config, shape, widths)
    if config.training.gradient_checkpointing:
        on_the_way_back += layer  # computed again, one at a time
    # AdamW of PyTorch, on CUDA for all parameters at once, needs a number more for each.
    in_the_step = gradients // shards if cuda and optimizer == "adamw_torch" else 0
    return MemoryEstimate(
        weights=_weight_bytes(config, shape, widths) // shards,
        adapters=_SINGLE * _numbers(adapters) // shards,
        gates=_SINGLE * _numbers(gates) // shards,
        gradients=gradients // shards,
        optimizer=state // shards,
        casts=_cast_bytes(shape, widths, adapters, trained_base=bool(base)),
        activations=activations,
        working=max(_logit_bytes(config, shape, widths), on_the_way_back, in_the_step - activations),
        device=DEVICE_ALLOWANCE if cuda else 0,
    )


@dataclass(frozen=True)
class _Widths:
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


def _widths(config: Config, model_config: Any, *, cuda: bool, bf16_supported: bool) -> _Widths:
    precision, _ = effective_precision(config, cuda=cuda, bf16_supported=bf16_supported)
    dtype, _ = load_dtype(config, cuda=cuda, bf16_supported=bf16_supported)
    if dtype == "auto":
        dtype = getattr(model_config, "dtype", None) or torch.float32
    loaded = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    weights, autocast = loaded.itemsize, precision != "fp32"
    quantization = config.quantization
    quantized = 4 if quantization.load_in_4bit else 8 if quantization.load_in_8bit else None
    compute = _HALF if autocast else _SINGLE if quantized else weights
    # Whatever is not quantised PEFT turns to float32; the stream begins there, and a quantised layer gives out the
    # type that it was given.
    return _Widths(
        weights=weights,
        stream=_SINGLE if quantized else weights,
        projections=_SINGLE if quantized else compute,
        compute=compute,
        adapters=_HALF if autocast else _SINGLE,
        dropout_mask=1 if cuda else _SINGLE,
        autocast=autocast,
        quantized=quantized,
    )


# -- parameters ---------------------------------------------------------------------------------------------------


def _numbers(shapes: Iterable[tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes)


def _base_shapes(shape: ModelShape) -> tuple[tuple[int, ...], ...]:
    return shape.outer_parameters + shape.layer_parameters * shape.layers


def _lora_targets(config: Config, model_config: Any) -> list[str]:
    if not config.qlora.enabled:
        return []
    return resolve_lora_targets(model_config, config.qlora.target_modules)[0]


def _lora_shapes(config: Config, model_config: Any, shape: ModelShape) -> tuple[tuple[int, ...], ...]:
    """A [r, in] and B [out, r] of every target: r (in + out) numbers (Hu et al. 2021, arXiv:2106.09685)."""
    rank = config.qlora.r
    targets = [shape.linears[name] for name in _lora_targets(config, model_config)]
    return tuple(matrix for t in targets for matrix in ((rank, t.inputs), (t.outputs, rank))) * shape.layers


def _trained_biases(config: Config, model_config: Any, shape: ModelShape) -> tuple[tuple[int, ...], ...]:
    if not config.qlora.enabled or config.qlora.bias == "none":
        return ()
    targets = _lora_targets(config, model_config)
    trained = [
        linear
        for name, linear in shape.linears.items()
        if linear.bias and (config.qlora.bias == "all" or name in targets)
    ]
    return tuple((linear.outputs,) for linear in trained) * shape.layers


def _gate_count(config: Config, shape: ModelShape) -> int:
    if not config.so8t.enabled:
        return 0
    return shape.layers if config.so8t.layer_indices is None else len(config.so8t.layer_indices)


def _gate_shapes(config: Config, shape: ModelShape) -> tuple[tuple[int, ...], ...]:
    return ((shape.hidden // BLOCK_SIZE, GENERATORS),) * _gate_count(config, shape)


def _weight_bytes(config: Config, shape: ModelShape, widths: _Widths) -> int:
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
    return shape.layers * per_layer + _SINGLE * others


def _quantized_bytes(matrix: Linear, config: Config, bits: int) -> int:
    if bits == 8:
        width = _HALF if config.quantization.llm_int8_has_fp16_weight else 1
        return width * matrix.weights + _SINGLE * matrix.outputs
    constants = math.ceil(matrix.weights / _BLOCK_4BIT)
    code = 16 * _SINGLE
    if not config.quantization.bnb_4bit_use_double_quant:
        return math.ceil(matrix.weights / 2) + _SINGLE * constants + code
    second = math.ceil(constants / _BLOCK_OF_CONSTANTS)
    # 256 values of the second code, and the mean that is taken off the constants
    return math.ceil(matrix.weights / 2) + constants + _SINGLE * second + code + 256 * _SINGLE + _SINGLE


def optimizer_bytes(name: str, shapes: Iterable[tuple[int, ...]], width: int = _SINGLE) -> int:
    """Bytes of an optimizer's state.

    Args:
        name: as in `training.optim`, after fallbacks.
        shapes: of the trained parameters.
        width: bytes per number of these parameters.

    Returns:
        AdamW: two moments in the parameter's type, and its step count in float32. 8-bit AdamW: two moments in 8 bits
        and a float32 per 256 of each (Dettmers et al. 2021, arXiv:2110.02861); small parameters in 32 bits. Adafactor:
        a row, a column and the root mean square of a matrix (Shazeer and Stern 2018, arXiv:1804.04235). SGD without
        momentum: nothing.

    Example:
        >>> optimizer_bytes("adamw_torch", [(100, 10)])
        8004
        >>> optimizer_bytes("adafactor", [(100, 10)])
        444
    """
    return sum(_state_bytes(name, shape, width) for shape in shapes)


def _state_bytes(name: str, shape: tuple[int, ...], width: int) -> int:
    numbers = math.prod(shape)
    if name in ("adamw_torch", "adamw_torch_fused"):
        return 2 * width * numbers + _SINGLE
    if name == "paged_adamw_32bit" or (name.endswith("8bit") and numbers < _SMALLEST_8BIT_STATE):
        return 2 * _SINGLE * numbers
    if name.endswith("8bit"):
        return 2 * (numbers + _SINGLE * math.ceil(numbers / _BLOCK_8BIT_OPTIMIZER))
    if name == "adafactor":
        return _SINGLE * ((sum(shape) if len(shape) == 2 else numbers) + 1)
    return 0


def _cast_bytes(shape: ModelShape, widths: _Widths, adapters: Iterable[tuple[int, ...]], *, trained_base: bool) -> int:
    """Half-precision copies of weights in float32, which the graph holds until the step's backward pass is through."""
    if not widths.autocast:
        return 0
    numbers = _numbers(adapters)
    output = shape.vocabulary * shape.hidden
    if trained_base:
        numbers += shape.layers * sum(matrix.weights for matrix in shape.linears.values()) + output
    elif widths.stream == _SINGLE:
        numbers += output
    return _HALF * numbers


# -- activations --------------------------------------------------------------------------------------------------


def _tokens(config: Config) -> int:
    return config.training.per_device_train_batch_size * config.data.max_seq_length


def _activation_bytes(config: Config, shape: ModelShape, widths: _Widths, layer: int) -> int:
    """What is kept between forward and backward pass. With checkpointing, a layer keeps no more than its input (Chen et
    al. 2016, arXiv:1604.06174)."""
    tokens = _tokens(config)
    if config.training.gradient_checkpointing:
        layers = shape.layers * tokens * widths.stream * shape.hidden
    else:
        gate_inputs = _gate_count(config, shape) * tokens * widths.projections * shape.hidden
        layers = _layers_that_keep(config, shape) * layer + gate_inputs
    final_norm = tokens * shape.hidden * _SINGLE
    differences = 2 * tokens * shape.hidden * _SINGLE if config.pet.enabled else 0
    return layers + final_norm + differences + _mask_bytes(config, widths)


def _layers_that_keep(config: Config, shape: ModelShape) -> int:
    """Layers before the first one that is trained need nothing for the backward pass."""
    gates_alone = config.base_is_frozen and not config.qlora.enabled
    return shape.layers - min(config.so8t.layer_indices or [0]) if gates_alone else shape.layers


def _layer_bytes(config: Config, model_config: Any, shape: ModelShape, widths: _Widths) -> int:
    """Tensors that one decoder layer keeps for its backward pass, a gate's apart."""
    norms = 2 * (_SINGLE * shape.hidden + _SINGLE)  # float32 input and reciprocal root mean square
    attention = _attention_bytes(config, shape, widths)
    feed_forward = 3 * shape.intermediate * widths.projections  # gate, up, activation of the gate
    inputs = _linear_input_bytes(config, model_config, shape, widths)
    return _tokens(config) * (norms + attention + feed_forward + inputs)


def _attention_bytes(config: Config, shape: ModelShape, widths: _Widths) -> int:
    """Per token. Fused attention keeps q, k, v, its output and a log-sum-exp per head, and recomputes the rest (Dao et
    al. 2022, FlashAttention, arXiv:2205.14135); the plain one keeps its weights, T per head and token."""
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    if not config.so8t.use_efficient_attention:
        weights = shape.heads * config.data.max_seq_length
        in_float32_and_compute = _SINGLE if widths.compute == _SINGLE else _SINGLE + widths.compute
        return 3 * widths.compute * queries + weights * in_float32_and_compute
    rotated_and_out = widths.compute * (2 * queries + keys)
    values = keys
    if shape.kv_heads != shape.heads:  # keys and values repeated for every query head
        rotated_and_out += widths.compute * (queries - keys)
        values = queries
    elif widths.projections == widths.compute and "qkv_proj" in shape.linears:
        values = queries + 2 * keys  # v is a view that keeps the whole projection
    return rotated_and_out + widths.compute * values + _SINGLE * shape.heads


def _linear_input_bytes(config: Config, model_config: Any, shape: ModelShape, widths: _Widths) -> int:
    """Per token: inputs of trained matrices. A frozen matrix keeps none."""
    if not config.base_is_frozen:
        groups = {_input_of(name): matrix.inputs for name, matrix in shape.linears.items()}
        inputs = list(groups.values()) if not widths.autocast else [m.inputs for m in shape.linears.values()]
        return widths.compute * sum(inputs) + 2 * widths.stream * shape.hidden  # and the norms' outputs
    kept = 0
    shared: set[str] = set()
    dropout = config.qlora.lora_dropout > 0
    for name in _lora_targets(config, model_config):
        matrix, group = shape.linears[name], _input_of(name)
        if dropout or widths.autocast or group not in shared:
            kept += widths.adapters * matrix.inputs
        if dropout:
            kept += widths.dropout_mask * matrix.inputs
        shared.add(group)
        kept += widths.adapters * config.qlora.r
    return kept


def _input_of(name: str) -> str:
    """Which linear layers read the same tensor."""
    if name in ("q_proj", "k_proj", "v_proj", "qkv_proj"):
        return "attention"
    return "feed-forward" if name in ("gate_proj", "up_proj", "gate_up_proj") else name


def _mask_bytes(config: Config, widths: _Widths) -> int:
    """A padded batch's attention mask, T x T, once for all layers: boolean, and as a bias."""
    batch, length = config.training.per_device_train_batch_size, config.data.max_seq_length
    return batch * length * length * (1 + widths.compute)


def _backward_bytes(config: Config, shape: ModelShape, widths: _Widths) -> int:
    """Gradients that live together where the backward pass is widest, in the feed-forward layer, and the matrix that a
    quantised layer is unpacked to."""
    gradients = _tokens(config) * (3 * shape.intermediate * widths.projections + 2 * shape.hidden * _SINGLE)
    unpacked = 0
    if widths.quantized is not None:
        unpacked = widths.compute * max(matrix.weights for matrix in shape.linears.values())
    return gradients + unpacked


def _logit_bytes(config: Config, shape: ModelShape, widths: _Widths) -> int:
    """At the start of the backward pass: the logits, log-probabilities in float32, the gradient of these and that of
    their float32 copy. In evaluation: logits, copy and log-probabilities."""
    training, length = config.training, config.data.max_seq_length
    logit = widths.compute
    trained = training.per_device_train_batch_size * (logit + 3 * _SINGLE)
    evaluated = 0
    if config.data.eval_data is not None:
        batch = training.per_device_eval_batch_size or training.per_device_train_batch_size
        evaluated = batch * (logit + 2 * _SINGLE)
    return max(trained, evaluated) * length * shape.vocabulary
