"""Loads what is baked: the base model, dequantised where it was trained on in 4 or 8 bits, with LoRA and gates.

LoRA and gates learnt on top of the quantised weights, so these are the ones they are merged into. Nothing is left to
chance: a weight that is missing would be random, and an adapter that fits only in part would silently do less.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from so8t.errors import ModelError
from so8t.model.architecture import architecture_of
from so8t.model.attach import GATES_FILE, attach_saved_gates

# What transformers and PEFT let out of a folder that is not whole or does not fit.
LOADING_ERRORS = (OSError, ValueError, KeyError, AttributeError, TypeError, ImportError, RuntimeError, SafetensorError)

_ADAPTER_FILE = "adapter_model.safetensors"


@dataclass(frozen=True)
class Source:
    """What is baked.

    Attributes:
        checkpoint: folder with LoRA's adapter, or whole weights, and the gates.
        base: folder of the base model; the checkpoint itself where it holds whole weights.
        base_name: what the base model is called in the card; no private path.
        run_id: the run it comes from, if known.
        has_gates: whether the checkpoint must hold gates.
        quantization: `load_in_4bit`, `load_in_8bit`, `bnb_4bit_quant_type` and `bnb_4bit_use_double_quant` of the
            training; empty where the base was not quantised. A base stored quantised says so itself.
    """

    checkpoint: Path
    base: Path
    base_name: str
    run_id: str | None = None
    has_gates: bool = True
    quantization: Mapping[str, Any] = field(default_factory=dict)


def load_gated(source: Source, tell: Callable[[str], None]) -> tuple[Any, str | None]:
    """Load the trained model: base, LoRA, gates.

    Args:
        source: where they stand.
        tell: given one line for each thing worth knowing.

    Returns:
        The model in float32 on the CPU, and "4-bit" or "8-bit" where its base was dequantised, else None.

    Raises:
        ModelError: a part is missing, damaged or quantised in a way that cannot be undone, or the parts do not fit.
    """
    model, dequantised = _load_base(source, tell)
    if (source.checkpoint / _ADAPTER_FILE).exists():
        try:
            model = PeftModel.from_pretrained(model, str(source.checkpoint), local_files_only=True)
        except LOADING_ERRORS as error:
            raise ModelError(
                f"the LoRA adapter in {source.checkpoint} does not fit {source.base} ({first_line(error)}): "
                "name the base model it was trained on with --model-path"
            ) from error
        _require_all_of_adapter(model, source.checkpoint / _ADAPTER_FILE)
    if source.has_gates:
        attach_saved_gates(model, source.checkpoint / GATES_FILE)
    return model.eval(), dequantised


def _load_base(source: Source, tell: Callable[[str], None]) -> tuple[Any, str | None]:
    arguments: dict[str, Any] = {"dtype": torch.float32, "local_files_only": True}
    try:
        config = AutoConfig.from_pretrained(str(source.base), local_files_only=True)
    except LOADING_ERRORS as error:
        raise _not_loadable(source.base, error) from error
    architecture_of(config)
    bits = _quantized_bits(config, source.quantization)
    if bits is not None:
        if importlib.util.find_spec("bitsandbytes") is None:
            raise ModelError(
                f"the base model {source.base} was trained on in {bits} and has to be dequantised, which needs "
                "bitsandbytes: pip install bitsandbytes"
            )
        arguments["device_map"] = {"": "cpu"}  # in float32 the model may be larger than the graphics card
        if getattr(config, "quantization_config", None) is None:
            arguments["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=bits == "4-bit",
                load_in_8bit=bits == "8-bit",
                bnb_4bit_quant_type=source.quantization.get("bnb_4bit_quant_type", "nf4"),
                bnb_4bit_use_double_quant=source.quantization.get("bnb_4bit_use_double_quant", True),
            )
    try:
        model, report = AutoModelForCausalLM.from_pretrained(str(source.base), output_loading_info=True, **arguments)
        if bits is not None:
            tell(f"the base model is dequantised from {bits} to float32: LoRA and gates were trained on those weights")
            model = model.dequantize(torch.float32)
            model.is_loaded_in_4bit = model.is_loaded_in_8bit = False
            # transformers 5.23 would pack the weights again when they are saved, and cannot
            model._weight_conversions = None
    except LOADING_ERRORS as error:
        raise _not_loadable(source.base, error) from error
    if report["missing_keys"]:
        raise ModelError(
            f"{source.base} lacks the weight {sorted(report['missing_keys'])[0]} and maybe others, which would be "
            "random: download the model again, or name a whole one with --model-path"
        )
    return model, bits


def _quantized_bits(config: Any, trained: Mapping[str, Any]) -> str | None:
    """ "4-bit", "8-bit", or None where the base is in ordinary precision."""
    stored = getattr(config, "quantization_config", None)
    if stored is not None and not isinstance(stored, Mapping):
        stored = stored.to_dict()
    said = trained if stored is None else stored
    if said.get("load_in_4bit"):
        return "4-bit"
    if said.get("load_in_8bit"):
        return "8-bit"
    if stored is not None:
        raise ModelError(
            f"the base model is stored quantised by {stored.get('quant_method', 'an unknown method')}, which so8t "
            "cannot undo: name it in ordinary precision with --model-path"
        )
    return None


def _not_loadable(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{folder} cannot be loaded as a language model ({first_line(error)}): "
        "name a whole checkpoint folder with --model-path"
    )


def _require_all_of_adapter(model: PeftModel, file: Path) -> None:
    """PEFT only warns where a key of the adapter finds no place, or a place no key."""
    with safe_open(file, framework="pt", device="cpu") as opened:
        stored = set(opened.keys())
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if stored != wanted:
        odd = sorted(stored ^ wanted)[0]
        raise ModelError(
            f"{file} does not fit the model ({odd} stands on one side only): "
            "name the base model it was trained on with --model-path"
        )


def first_line(error: BaseException) -> str:
    """What went wrong, in one line of readable length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
