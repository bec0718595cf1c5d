"""What so8t knows about each supported architecture, and what a live model really has.

Phi-3 fuses q, k, v into `qkv_proj` and gate, up into `gate_up_proj`; Llama and Qwen2 do not. LoRA target names
come from here, and every one of them must match in every decoder layer: PEFT itself is content with one match
anywhere, and a target that matches nowhere trains nothing.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from accelerate.utils import extract_model_from_parallel
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from so8t.errors import ModelError
from so8t.model.rotation import SO8Gate

GATE_NAME = "so8_gate"
"""Name under which a gate is registered on its attention module."""


@dataclass(frozen=True)
class Architecture:
    """One supported architecture.

    Attributes:
        model_type: the configuration's `model_type`.
        lora_targets: linear layers of a decoder layer that LoRA is put on, in the order of the forward pass.
        fused: unfused name -> the fused layer that does its work here; empty where nothing is fused.
    """

    model_type: str
    lora_targets: tuple[str, ...]
    fused: Mapping[str, str]


_UNFUSED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_NOTHING_FUSED: Mapping[str, str] = MappingProxyType({})

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "phi3": Architecture(
            "phi3",
            ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
            MappingProxyType(
                {
                    "q_proj": "qkv_proj",
                    "k_proj": "qkv_proj",
                    "v_proj": "qkv_proj",
                    "gate_proj": "gate_up_proj",
                    "up_proj": "gate_up_proj",
                }
            ),
        ),
        "llama": Architecture("llama", _UNFUSED, _NOTHING_FUSED),
        "qwen2": Architecture("qwen2", _UNFUSED, _NOTHING_FUSED),
    }
)
"""The supported architectures by `model_type`. All keep their decoder layers in `layers`, each with
`self_attn.o_proj` as the attention's last operation, and normalise the last hidden state in `norm`."""


def architecture_of(model_or_config: Any) -> Architecture:
    """The facts about a model's architecture.

    Args:
        model_or_config: a transformers model (also wrapped by PEFT or for distribution) or its configuration.

    Raises:
        ModelError: the architecture is not supported.
    """
    model = base_model(model_or_config) if isinstance(model_or_config, nn.Module) else model_or_config
    model_type = getattr(getattr(model, "config", model), "model_type", None)
    return _architecture(str(model_type))


def lora_target_modules(model_type: str) -> tuple[str, ...]:
    """The linear layers that LoRA is put on by default.

    Raises:
        ModelError: the architecture is not supported.

    Example:
        >>> lora_target_modules("phi3")
        ('qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj')
    """
    return _architecture(model_type).lora_targets


def _architecture(model_type: str) -> Architecture:
    try:
        return ARCHITECTURES[model_type]
    except KeyError:
        supported = ", ".join(ARCHITECTURES)
        raise ModelError(
            f"model_type {model_type!r} is not supported by so8t; supported are {supported}: use such a model"
        ) from None


def base_model(model: nn.Module) -> Any:
    """The transformers model itself, beneath torch.compile, a distributed wrapper and PEFT."""
    unwrapped = extract_model_from_parallel(model, keep_torch_compile=False)
    return unwrapped.get_base_model() if isinstance(unwrapped, PeftModel) else unwrapped


def decoder_layers(model: nn.Module) -> Sequence[nn.Module]:
    """The decoder layers in order.

    Raises:
        ModelError: the architecture is not supported.
    """
    layers: Sequence[nn.Module] = _decoder(model).layers
    return layers


def final_norm(model: nn.Module) -> nn.Module:
    """The module whose output is the last hidden state.

    Raises:
        ModelError: the architecture is not supported.
    """
    norm: nn.Module = _decoder(model).norm
    return norm


def _decoder(model: nn.Module) -> Any:
    architecture_of(model)
    return base_model(model).base_model


def find_gates(model: nn.Module) -> dict[int, SO8Gate]:
    """The gates a model carries.

    Args:
        model: a supported model, also wrapped by PEFT or for distribution.

    Returns:
        Decoder layer index -> its gate, in order; each gate once, empty without gates.

    Raises:
        ModelError: the architecture is not supported.
    """
    candidates = ((i, getattr(layer.self_attn, GATE_NAME, None)) for i, layer in enumerate(decoder_layers(model)))
    return {i: gate for i, gate in candidates if isinstance(gate, SO8Gate)}


def resolve_lora_targets(model_or_config: Any, requested: Sequence[str] | None = None) -> tuple[list[str], list[str]]:
    """Turn the LoRA target names of a configuration file into those the architecture has.

    Args:
        model_or_config: a transformers model or its configuration.
        requested: layer names; None for all of the architecture's.

    Returns:
        The names to give to PEFT, in the order of the forward pass, and a message for each fused layer that stands in
        for requested unfused ones.

    Raises:
        ModelError: a name is unknown (the nearest known one is named), or none was requested.

    Example:
        >>> from transformers import Phi3Config
        >>> targets, messages = resolve_lora_targets(Phi3Config(), ["q_proj", "k_proj", "v_proj", "down_proj"])
        >>> targets
        ['qkv_proj', 'down_proj']
        >>> messages
        ['LoRA target q_proj, k_proj, v_proj: phi3 fuses it into qkv_proj, which is used']
    """
    architecture = architecture_of(model_or_config)
    if requested is None:
        return list(architecture.lora_targets), []
    if not requested:
        raise ModelError(
            f"no LoRA target was requested: name some of {', '.join(architecture.lora_targets)}, or switch LoRA off"
        )
    known = (*architecture.lora_targets, *architecture.fused)
    for name in requested:
        if name not in known:
            raise ModelError(_unknown_target(name, architecture, known))
    resolved = {architecture.fused.get(name, name) for name in requested}
    targets = [name for name in architecture.lora_targets if name in resolved]
    return targets, [message for name in targets for message in _fusion_message(name, requested, architecture)]


def _unknown_target(name: str, architecture: Architecture, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return (
        f"LoRA target {name!r} does not exist in {architecture.model_type}; the nearest is {nearest!r}, "
        f"and all are {', '.join(architecture.lora_targets)}"
    )


def _fusion_message(target: str, requested: Sequence[str], architecture: Architecture) -> list[str]:
    parts = [name for name, fused in architecture.fused.items() if fused == target]
    asked = [name for name in parts if name in requested]
    if not asked:
        return []
    beyond = [name for name in parts if name not in requested]
    also = f" and trains {', '.join(beyond)} too" if beyond and target not in requested else ""
    return [f"LoRA target {', '.join(asked)}: {architecture.model_type} fuses it into {target}, which is used{also}"]


def check_lora_matches(model: nn.Module, targets: Iterable[str]) -> dict[str, int]:
    """Make sure that LoRA sits on every target in every decoder layer.

    Args:
        model: the model after PEFT has wrapped it.
        targets: layer names as given to PEFT.

    Returns:
        Target -> number of layers that carry LoRA, over the whole model.

    Raises:
        ModelError: a target has no LoRA in some layer; those layers are listed.
    """
    layers = decoder_layers(model)
    carried = [_lora_modules(layer) for layer in layers]
    for target in targets:
        missing = [i for i, modules in enumerate(carried) if target not in modules]
        if missing:
            raise ModelError(
                f"LoRA target {target!r} matched nothing in decoder layers {_ranges(missing)} of {len(layers)}: "
                "these would not be trained; take the names from the architecture: "
                + ", ".join(architecture_of(model).lora_targets)
            )
    return {target: sum(target in modules for modules in carried) for target in targets}


def _lora_modules(root: nn.Module) -> dict[str, LoraLayer]:
    """Last part of the name -> module, of those below `root` that carry LoRA."""
    return {name.rpartition(".")[2]: m for name, m in root.named_modules() if isinstance(m, LoraLayer)}


def _ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers in short form: 0-7, 12."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def live_facts(model: nn.Module) -> dict[str, Any]:
    """What the model in memory really is: for the report, beside what the configuration file asked for.

    Args:
        model: a supported model with its gates and LoRA as they are trained.

    Returns:
        JSON-ready values: `architecture`, `model_type`, `n_layers`, `hidden_size`, `dtype` (of the base weights),
        `quantization` ("4-bit", "8-bit" or None), `total_parameters` and `trainable_parameters` (a packed 4-bit
        weight counts what it stands for), `gate_layers`, `gate_parameters`, `gate_parameterization`, `lora_modules`
        (name -> modules that carry LoRA), `lora_parameters`, `lora_r`, `lora_alpha` (a list where layers differ). What
        is absent is None, 0 or empty.

    Raises:
        ModelError: the architecture is not supported.
    """
    base = base_model(model)
    layers = decoder_layers(model)
    gates = find_gates(model)
    lora_layers = [module for layer in layers for module in _lora_modules(layer).values()]
    lora_names = [name for layer in layers for name in _lora_modules(layer)]
    return {
        "architecture": type(base).__name__,
        "model_type": base.config.model_type,
        "n_layers": len(layers),
        "hidden_size": base.config.hidden_size,
        "dtype": str(base.dtype).removeprefix("torch."),
        "quantization": _quantization(base),
        "total_parameters": sum(map(parameter_count, model.parameters())),
        "trainable_parameters": sum(parameter_count(p) for p in model.parameters() if p.requires_grad),
        "gate_layers": list(gates),
        "gate_parameters": sum(gate.theta.numel() for gate in gates.values()),
        "gate_parameterization": _common(gate.parameterization for gate in gates.values()),
        "lora_modules": {name: lora_names.count(name) for name in dict.fromkeys(lora_names)},
        "lora_parameters": sum(parameter_count(p) for name, p in model.named_parameters() if ".lora_" in name),
        "lora_r": _common(r for layer in lora_layers for r in layer.r.values()),
        "lora_alpha": _common(alpha for layer in lora_layers for alpha in layer.lora_alpha.values()),
    }


def parameter_count(parameter: nn.Parameter) -> int:
    """Number of weights a parameter stands for; bitsandbytes packs two 4-bit weights into a byte."""
    quant_state = getattr(parameter, "quant_state", None)
    return parameter.numel() if quant_state is None else math.prod(quant_state.shape)


def _quantization(base: Any) -> str | None:
    if getattr(base, "is_loaded_in_4bit", False):
        return "4-bit"
    return "8-bit" if getattr(base, "is_loaded_in_8bit", False) else None


def _common(values: Iterable[Any]) -> Any:
    """The value all share, None for no values, a list of the different ones otherwise."""
    different = list(dict.fromkeys(values))
    return (different[0] if different else None) if len(different) < 2 else different
