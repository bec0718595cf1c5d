"""Puts SO(8) gates on a base model's attention output, trains them beside LoRA and keeps them in a file.

A gate is a submodule `so8_gate` of a decoder layer's attention module, and a forward hook there rotates the
attention's output. That output *is* `o_proj`'s in every supported architecture, and the attention module is never
replaced: so the gate acts after LoRA on `o_proj` whether PEFT came before or after it, and the base weights keep
their names.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers.trainer_pt_utils import get_parameter_names

from so8t.errors import ModelError
from so8t.model.architecture import GATE_NAME, base_model, decoder_layers, find_gates
from so8t.model.rotation import BLOCK_SIZE, Initialization, Parameterization, SO8Gate

__all__ = [
    "CONVENTION",
    "GATES_FILE",
    "attach_gates",
    "attach_saved_gates",
    "find_gates",
    "gate_state_dict",
    "load_gate_state_dict",
    "load_gates",
    "mark_gates_trainable",
    "parameter_groups",
    "save_gates",
]

GATES_FILE = "so8_gates.safetensors"
"""File name of a checkpoint's gates, beside PEFT's adapter, which does not hold them."""

CONVENTION = "column: y = R x"
"""How a gate is to be read: each block of eight features, as a column, is multiplied by R from the left."""


def attach_gates(
    model: nn.Module,
    layer_indices: Sequence[int] | None = None,
    *,
    init: Initialization = "identity",
    init_scale: float = 0.05,
    parameterization: Parameterization = "exp",
    seed: int = 0,
) -> dict[int, SO8Gate]:
    """Put a gate on `o_proj`'s output in the chosen decoder layers.

    Args:
        model: a Phi-3, Llama or Qwen2 model of transformers, before or after PEFT wraps it.
        layer_indices: decoder layers counted from 0; None for all.
        init: ``"identity"`` (the logits stay the base model's) or ``"normal"``.
        init_scale: scale of ``"normal"``, see `SO8Gate`.
        parameterization: ``"exp"`` or ``"cayley"``.
        seed: of ``"normal"``; layers are drawn in ascending order.

    Returns:
        Layer index -> its new gate, ascending, trainable.

    Raises:
        ModelError: unsupported architecture, hidden size not a multiple of 8, an index out of range or repeated,
            or a layer that has a gate already. The model is unchanged then.
    """
    layers = decoder_layers(model)
    chosen = _validated(layer_indices, len(layers))
    occupied = [i for i in chosen if i in find_gates(model)]
    if occupied:
        raise ModelError(f"decoder layers {occupied} have a gate already: attach gates once")
    generator = torch.Generator().manual_seed(seed)
    gates = {
        i: SO8Gate(
            base_model(model).config.hidden_size,
            init=init,
            init_scale=init_scale,
            parameterization=parameterization,
            device=next(layers[i].parameters()).device,
            generator=generator,
        )
        for i in chosen
    }
    for i, gate in gates.items():
        attention = _attention(layers[i])
        attention.add_module(GATE_NAME, gate)
        attention.register_forward_hook(_rotate_output)
    return gates


def _rotate_output(attention: nn.Module, arguments: Any, output: tuple[Any, ...]) -> tuple[Any, ...]:
    """Forward hook; a plain function of the module, so that copies of a model use their own gates."""
    gate = attention.get_submodule(GATE_NAME)
    return (gate(output[0]), *output[1:])


def detach_gate(attention: nn.Module) -> None:
    """Take the gate off an attention module that has one: its output is then what it was before `attach_gates`.

    Args:
        attention: a decoder layer's `self_attn`.
    """
    for key, hook in list(attention._forward_hooks.items()):
        if hook is _rotate_output:
            del attention._forward_hooks[key]
    delattr(attention, GATE_NAME)


def _attention(layer: nn.Module) -> nn.Module:
    return layer.get_submodule("self_attn")


def _validated(layer_indices: Sequence[int] | None, n_layers: int) -> list[int]:
    if layer_indices is None:
        return list(range(n_layers))
    wrong = [i for i in layer_indices if isinstance(i, bool) or not isinstance(i, int) or not 0 <= i < n_layers]
    if wrong:
        raise ModelError(
            f"so8t.layer_indices {wrong} do not exist: the model has {n_layers} decoder layers, 0 to {n_layers - 1}"
        )
    repeated = sorted({i for i in layer_indices if list(layer_indices).count(i) > 1})
    if repeated:
        raise ModelError(f"so8t.layer_indices names layers {repeated} more than once: name each layer once")
    if not layer_indices:
        raise ModelError("so8t.layer_indices is empty: name layers, use null for all, or switch so8t off")
    return sorted(layer_indices)


def mark_gates_trainable(model: nn.Module) -> int:
    """Let the gates train again after `get_peft_model` or `prepare_model_for_kbit_training` froze everything.

    Returns:
        Number of gates.
    """
    gates = find_gates(model)
    for gate in gates.values():
        gate.theta.requires_grad_(True)
    return len(gates)


# As transformers.Trainer.get_decay_parameter_names: what scales or shifts does not decay.
_NO_DECAY = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]


def parameter_groups(
    model: nn.Module, weight_decay: float, lr: float, gate_lr_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Optimizer groups: weights that decay, those that do not, and the gates.

    Weight decay would pull theta towards 0, which is no regularisation of a rotation but a preference for the
    identity; `so8t_loss` has a term for those who want it.

    Args:
        model: the model with gates, LoRA and trainable marks in place.
        weight_decay: of the first group, 0 for the others.
        lr: learning rate of the first two groups.
        gate_lr_factor: the gates learn at `lr` times this.

    Returns:
        Groups in a fixed order named "decay", "no_decay" and "gates", without empty ones, each trainable parameter
        in exactly one.
    """
    gate_parameters = [gate.theta for gate in find_gates(model).values() if gate.theta.requires_grad]
    gate_identities = {id(parameter) for parameter in gate_parameters}
    decaying = set(get_parameter_names(model, [nn.LayerNorm], _NO_DECAY))
    others = [(n, p) for n, p in model.named_parameters() if p.requires_grad and id(p) not in gate_identities]
    groups = [
        {"name": "decay", "params": [p for n, p in others if n in decaying], "weight_decay": weight_decay, "lr": lr},
        {"name": "no_decay", "params": [p for n, p in others if n not in decaying], "weight_decay": 0.0, "lr": lr},
        {"name": "gates", "params": gate_parameters, "weight_decay": 0.0, "lr": lr * gate_lr_factor},
    ]
    return [group for group in groups if group["params"]]


def gate_state_dict(model: nn.Module, whole_state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The gates' parameters, detached, on the CPU, as `layers.{i}.self_attn.so8_gate.theta`."""
    if whole_state is None:
        return {_key(i): gate.theta.detach().cpu().clone() for i, gate in find_gates(model).items()}
    found = {_key(i): [v for k, v in whole_state.items() if k.endswith(_key(i))] for i in find_gates(model)}
    return {key: values[0].detach().cpu().clone() for key, values in found.items()}


@torch.no_grad()
def load_gate_state_dict(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy parameters into gates that are attached.

    Args:
        model: a model with exactly the gates that `state` holds.
        state: as `gate_state_dict` returns it.

    Raises:
        ModelError: a key is missing or unexpected, a shape differs, or a value is of no floating dtype; the gates are
            unchanged then.
    """
    parameters = {_key(i): gate.theta for i, gate in find_gates(model).items()}
    missing, unexpected = sorted(parameters.keys() - state.keys()), sorted(state.keys() - parameters.keys())
    if missing or unexpected:
        raise ModelError(
            f"gate parameters do not fit the model: missing {missing}, unexpected {unexpected}: "
            "attach gates to the same layers as when they were saved"
        )
    for key, parameter in parameters.items():
        if state[key].shape != parameter.shape or not state[key].is_floating_point():
            raise ModelError(
                f"{key} is {state[key].dtype} of shape {tuple(state[key].shape)}, but the model's gate has "
                f"{parameter.dtype} of shape {tuple(parameter.shape)}: load gates into the architecture they are from"
            )
    for key, parameter in parameters.items():
        parameter.copy_(_split_as(parameter, state[key]))


def _split_as(parameter: Tensor, values: Tensor) -> Tensor:
    if not isinstance(parameter, DTensor):
        return values
    return distribute_tensor(values.to(parameter.device), parameter.device_mesh, parameter.placements)


def shard_gates(model: nn.Module) -> None:
    """Split each gate over the ranks by itself (FSDP2), before the decoder layers are.

    A unit of its own keeps the generators in float32 where the layers compute in half precision, and whole between
    forward and backward pass, for `so8t_loss`.
    """
    for gate in find_gates(model).values():
        if not isinstance(gate, FSDPModule):
            fully_shard(gate, reshard_after_forward=False)


def save_gates(model: nn.Module, path: Path, whole_state: Mapping[str, Tensor] | None = None) -> None:
    """Write the gates to a safetensors file that says how to read them; the file appears whole or not at all.

    The header's metadata: `parameterization`, `layer_indices` (JSON), `convention`, `block_size`.

    Raises:
        ModelError: the model has no gates, or gates of different parameterizations.
    """
    gates = find_gates(model)
    parameterizations = {gate.parameterization for gate in gates.values()}
    if len(parameterizations) != 1:
        raise ModelError(f"{path.name} needs gates of one parameterization, and the model has {parameterizations}")
    metadata = {
        "format": "pt",
        "parameterization": parameterizations.pop(),
        "layer_indices": json.dumps(list(gates)),
        "convention": CONVENTION,
        "block_size": str(BLOCK_SIZE),
    }
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(to_safetensors(gate_state_dict(model, whole_state), metadata))
    partial.replace(path)


def load_gates(model: nn.Module, path: Path) -> None:
    """Read a file of `save_gates` into gates that are attached.

    Raises:
        ModelError: the file is missing, damaged or of another convention, or does not fit the model's gates in layers,
            shapes or parameterization; the gates are unchanged then.
    """
    metadata, state = _read(path)
    for i, gate in find_gates(model).items():
        if gate.parameterization != metadata["parameterization"]:
            raise ModelError(
                f"{path} holds {metadata['parameterization']!r} parameters, and the gate of layer {i} is of "
                f"{gate.parameterization!r}: the same numbers are another rotation there; attach gates as saved"
            )
    load_gate_state_dict(model, state)


def attach_saved_gates(model: nn.Module, path: Path) -> dict[int, SO8Gate]:
    """Put the gates of a file of `save_gates` on a model that has none.

    Returns:
        Layer index -> its gate.

    Raises:
        ModelError: as `attach_gates` and `load_gates`.
    """
    metadata, state = _read(path)
    gates = attach_gates(model, json.loads(metadata["layer_indices"]), parameterization=metadata["parameterization"])
    load_gate_state_dict(model, state)
    return gates


def _key(layer_index: int) -> str:
    return f"layers.{layer_index}.self_attn.{GATE_NAME}.theta"


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path} cannot be read as a file of SO(8) gates ({error}): use an earlier checkpoint"
        ) from None
    expected = {"convention": CONVENTION, "block_size": str(BLOCK_SIZE)}
    for name, value in expected.items():
        if metadata.get(name) != value:
            raise ModelError(f"{path} says {name} {metadata.get(name)!r}, and this so8t reads {value!r}")
    if not {"parameterization", "layer_indices"} <= metadata.keys():
        raise ModelError(f"{path} lacks the parameterization or layer_indices in its header: it is no file of so8t")
    return metadata, state
