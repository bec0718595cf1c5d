"""Brings the base model into memory and makes it what is trained: gates, LoRA, frozen base.

Everything comes from a local folder; nothing is fetched from anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model, prepare_model_for_kbit_training
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from so8t.errors import ModelError
from so8t.model.architecture import architecture_of, check_lora_matches, resolve_lora_targets
from so8t.model.attach import attach_gates, mark_gates_trainable
from so8t.training.arguments import lora_config, model_load_arguments
from so8t.training.config_keys import Config

Tell = Callable[[str], None]

# What transformers lets out of a folder that is not whole: each has been seen.
_LOADING_ERRORS = (OSError, ValueError, KeyError, AttributeError, TypeError, ImportError, RuntimeError, SafetensorError)


@dataclass(frozen=True)
class Machine:
    """What the machine can do.

    Attributes:
        cuda: training runs on a CUDA device.
        bf16: that device, or the CPU, computes in bfloat16.
    """

    cuda: bool
    bf16: bool

    @classmethod
    def here(cls) -> "Machine":
        """This machine; the CPU always has bfloat16."""
        cuda = torch.cuda.is_available()
        return cls(cuda=cuda, bf16=torch.cuda.is_bf16_supported() if cuda else True)


def load_tokenizer(folder: Path) -> Any:
    """Load a model folder's tokenizer.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except _LOADING_ERRORS as error:
        raise ModelError(
            f"{folder} holds no tokenizer that can be loaded ({first_line(error)}): "
            "copy tokenizer.json and tokenizer_config.json of the model into it"
        ) from error


def load_model(config: Config, machine: Machine, tell: Tell) -> Any:
    """Load the base model and put on it what is trained.

    Args:
        config: the settings.
        machine: what the machine can do.
        tell: given one line for each thing done otherwise than asked.

    Returns:
        The model, ready for the trainer.

    Raises:
        ModelError: the folder is no supported model, or gates or LoRA do not fit it.
        ConfigError: quantisation is asked for where it cannot be.
    """
    model = _load_base(config, machine, tell)
    set_seed(config.training.seed)  # LoRA draws its first factors
    if config.so8t.enabled:
        attach_gates(
            model,
            config.so8t.layer_indices,
            init=config.so8t.init,
            init_scale=config.so8t.init_scale,
            parameterization=config.so8t.parameterization,
            seed=config.training.seed,
        )
    if config.quantization.load_in_4bit or config.quantization.load_in_8bit:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if config.base_is_frozen:
        model.requires_grad_(False)
        if config.training.gradient_checkpointing:
            # A frozen embedding's output asks for no gradient, and a checkpointed layer then passes none on.
            model.enable_input_require_grads()
    model = _with_lora(model, config, tell)
    mark_gates_trainable(model)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError("nothing of the model would be trained: switch so8t.enabled or qlora.enabled on")
    return model


def _load_base(config: Config, machine: Machine, tell: Tell) -> Any:
    folder = config.model.base_model
    arguments, messages = model_load_arguments(config, cuda=machine.cuda, bf16_supported=machine.bf16)
    for message in messages:
        tell(message)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **arguments)
    except _LOADING_ERRORS as error:
        raise ModelError(
            f"{folder} cannot be loaded as a language model ({first_line(error)}): "
            "name a whole checkpoint folder in model.base_model or --model-path"
        ) from error
    found = architecture_of(model).model_type
    if config.model.model_type not in (None, found):
        raise ModelError(
            f"{folder} is a {found} model, and model.model_type says {config.model.model_type}: correct one of them"
        )
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and config.data.max_seq_length > positions:
        tell(f"data.max_seq_length {config.data.max_seq_length} is beyond the model's {positions} positions")
    model.config.use_cache = False  # a cache of keys and values serves generation only
    return model


def _with_lora(model: Any, config: Config, tell: Tell) -> Any:
    if not config.qlora.enabled:
        return model
    targets, messages = resolve_lora_targets(model, config.qlora.target_modules)
    for message in messages:
        tell(message)
    wrapped = get_peft_model(model, lora_config(config, targets))
    check_lora_matches(wrapped, targets)
    return wrapped


def checkpoint_bytes(model: nn.Module) -> int:
    """About what one checkpoint takes: trained weights, and two moments in float32 for each."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return sum(p.numel() * (p.element_size() + 8) for p in trained)


def first_line(error: BaseException) -> str:
    """What went wrong, in one line of readable length.

    Example:
        >>> first_line(ValueError("no such layer\\nsecond line"))
        'no such layer'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
