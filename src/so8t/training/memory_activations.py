"""What a training step holds beside parameters and optimizer state, which grows with the batch.

The activations follow what PyTorch keeps for the backward pass of a pre-norm decoder layer, tensor by tensor, as
Korthikanti et al. 2022 (arXiv:2205.05198, section 4.1) do for GPT; tests compare them with what autograd really keeps.

Sizes below are bytes. B sequences of T tokens, hidden width H, feed-forward width I, vocabulary V.
"""

from typing import Any

from so8t.training.config_keys import Config
from so8t.training.memory_parameters import gate_count, lora_targets
from so8t.training.memory_shapes import ModelShape
from so8t.training.memory_widths import SINGLE, Widths

__all__ = ["activation_bytes", "backward_bytes", "layer_bytes", "logit_bytes"]


def activation_bytes(config: Config, shape: ModelShape, widths: Widths, layer: int) -> int:
    """What is kept between forward and backward pass. With checkpointing, a layer keeps no more than its input (Chen et
    al. 2016, arXiv:1604.06174).

    Args:
        config: the settings.
        shape: the model's sizes.
        widths: bytes per number.
        layer: what one decoder layer keeps, as `layer_bytes` says.
    """
    tokens = _tokens(config)
    if config.training.gradient_checkpointing:
        layers = shape.layers * tokens * widths.stream * shape.hidden
    else:
        gate_inputs = gate_count(config, shape) * tokens * widths.projections * shape.hidden
        layers = _layers_that_keep(config, shape) * layer + gate_inputs
    final_norm = tokens * shape.hidden * SINGLE
    differences = 2 * tokens * shape.hidden * SINGLE if config.pet.enabled else 0
    return layers + final_norm + differences + _mask_bytes(config, widths)


def _layers_that_keep(config: Config, shape: ModelShape) -> int:
    """Layers before the first one that is trained need nothing for the backward pass."""
    gates_alone = config.base_is_frozen and not config.qlora.enabled
    return shape.layers - min(config.so8t.layer_indices or [0]) if gates_alone else shape.layers


def _mask_bytes(config: Config, widths: Widths) -> int:
    """A padded batch's attention mask, T x T, once for all layers: boolean, and as a bias."""
    batch, length = config.training.per_device_train_batch_size, config.data.max_seq_length
    return batch * length * length * (1 + widths.compute)


def layer_bytes(config: Config, model_config: Any, shape: ModelShape, widths: Widths) -> int:
    """Tensors that one decoder layer keeps for its backward pass, a gate's apart.

    Raises:
        ModelError: a LoRA target does not exist in the architecture.
    """
    norms = 2 * (SINGLE * shape.hidden + SINGLE)  # float32 input and reciprocal root mean square
    attention = _attention_bytes(config, shape, widths)
    feed_forward = 3 * shape.intermediate * widths.projections  # gate, up, activation of the gate
    inputs = _linear_input_bytes(config, model_config, shape, widths)
    return _tokens(config) * (norms + attention + feed_forward + inputs)


def _attention_bytes(config: Config, shape: ModelShape, widths: Widths) -> int:
    """Per token. Fused attention keeps q, k, v, its output and a log-sum-exp per head, and recomputes the rest (Dao et
    al. 2022, FlashAttention, arXiv:2205.14135); the plain one keeps its weights, T per head and token."""
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    if not config.so8t.use_efficient_attention:
        weights = shape.heads * config.data.max_seq_length
        in_float32_and_compute = SINGLE if widths.compute == SINGLE else SINGLE + widths.compute
        return 3 * widths.compute * queries + weights * in_float32_and_compute
    rotated_and_out = widths.compute * (2 * queries + keys)
    values = keys
    if shape.kv_heads != shape.heads:  # keys and values repeated for every query head
        rotated_and_out += widths.compute * (queries - keys)
        values = queries
    elif widths.projections == widths.compute and "qkv_proj" in shape.linears:
        values = queries + 2 * keys  # v is a view that keeps the whole projection
    return rotated_and_out + widths.compute * values + SINGLE * shape.heads


def _linear_input_bytes(config: Config, model_config: Any, shape: ModelShape, widths: Widths) -> int:
    """Per token: inputs of trained matrices. A frozen matrix keeps none."""
    if not config.base_is_frozen:
        groups = {_input_of(name): matrix.inputs for name, matrix in shape.linears.items()}
        inputs = list(groups.values()) if not widths.autocast else [m.inputs for m in shape.linears.values()]
        return widths.compute * sum(inputs) + 2 * widths.stream * shape.hidden  # and the norms' outputs
    kept = 0
    shared: set[str] = set()
    dropout = config.qlora.lora_dropout > 0
    for name in lora_targets(config, model_config):
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


def backward_bytes(config: Config, shape: ModelShape, widths: Widths) -> int:
    """Gradients that live together where the backward pass is widest, in the feed-forward layer, and the matrix that a
    quantised layer is unpacked to."""
    gradients = _tokens(config) * (3 * shape.intermediate * widths.projections + 2 * shape.hidden * SINGLE)
    unpacked = 0
    if widths.quantized is not None:
        unpacked = widths.compute * max(matrix.weights for matrix in shape.linears.values())
    return gradients + unpacked


def logit_bytes(config: Config, shape: ModelShape, widths: Widths) -> int:
    """At the start of the backward pass: the logits, log-probabilities in float32, the gradient of these and that of
    their float32 copy. In evaluation: logits, copy and log-probabilities."""
    training, length = config.training, config.data.max_seq_length
    logit = widths.compute
    trained = training.per_device_train_batch_size * (logit + 3 * SINGLE)
    evaluated = 0
    if config.data.eval_data is not None:
        batch = training.per_device_eval_batch_size or training.per_device_train_batch_size
        evaluated = batch * (logit + 2 * SINGLE)
    return max(trained, evaluated) * length * shape.vocabulary


def _tokens(config: Config) -> int:
    return config.training.per_device_train_batch_size * config.data.max_seq_length
