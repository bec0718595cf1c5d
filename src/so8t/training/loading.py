"""Brings the base model into memory and makes it what is trained: gates, LoRA, frozen base.

Everything comes from a local folder; nothing is fetched from anywhere.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from huggingface_hub.errors import StrictDataclassError
from peft import get_peft_model, prepare_model_for_kbit_training
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, set_seed

from so8t.errors import ConfigError, ModelError
from so8t.model.architecture import architecture_of, check_lora_matches, resolve_lora_targets
from so8t.model.attach import attach_gates, mark_gates_trainable
from so8t.training.arguments import lora_config, model_load_arguments
from so8t.training.config_keys import Config
from so8t.training.memory import MemoryEstimate
from so8t.training.memory_advice import check_memory
from so8t.training.memory_shapes import shape_of

Tell = Callable[[str], None]

# What transformers lets out of a folder that is not whole: each has been seen.
_LOADING_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    ImportError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
)


@dataclass(frozen=True)
class Machine:
    """What the machine can do.

    Attributes:
        cuda: training runs on a CUDA device.
        bf16: that device, or the CPU, computes in bfloat16.
        free_bytes: free memory of that device, or what this process may take of the machine's.
        processes: how many processes train together.
        sharded: they split the model among them (FSDP); else each holds all of it.
        fsdp_version: 1 or 2, where they do.
        deepspeed: DeepSpeed runs the training.
    """

    cuda: bool
    bf16: bool
    free_bytes: int
    processes: int = 1
    sharded: bool = False
    fsdp_version: int = 2
    deepspeed: bool = False

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> "Machine":
        """This machine.

        Args:
            environment: what `torchrun` and `accelerate launch` tell their processes.
        """
        cuda = torch.cuda.is_available()
        processes = int(environment.get("WORLD_SIZE", "1"))
        if cuda:
            free, _ = torch.cuda.mem_get_info(int(environment.get("LOCAL_RANK", "0")))
            # Cards before Ampere only imitate bfloat16, more slowly than float32; the CPU always has it.
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            free = psutil.virtual_memory().available // max(1, int(environment.get("LOCAL_WORLD_SIZE", "1")))
            bf16 = True
        sharded, deepspeed = (
            environment.get(f"ACCELERATE_USE_{name}", "false").lower() == "true" for name in ("FSDP", "DEEPSPEED")
        )
        version = int(environment.get("FSDP_VERSION", "1")) if sharded else 2
        return cls(
            cuda=cuda,
            bf16=bf16,
            free_bytes=free,
            processes=processes,
            sharded=sharded,
            fsdp_version=version,
            deepspeed=deepspeed,
        )


def check_fits(config: Config, machine: Machine, tell: Tell) -> MemoryEstimate:
    """Say what training will need of the device's memory, before anything is loaded.

    Args:
        config: the settings.
        machine: what the machine can do.
        tell: given the line.

    Raises:
        MemoryShort: a CUDA device has clearly too little; the message says what would fit.
        ModelError: the model folder's configuration cannot be used.
    """
    folder = config.model.base_model
    try:
        model_config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        shape = shape_of(model_config)
    except _LOADING_ERRORS as error:
        raise ModelError(
            f"{folder} holds no configuration of a language model that can be used ({first_line(error)}): "
            "copy config.json of the model into it"
        ) from error
    return check_memory(
        config,
        model_config,
        machine.free_bytes,
        cuda=machine.cuda,
        bf16_supported=machine.bf16,
        tell=tell,
        shards=machine.processes if machine.sharded and machine.cuda else 1,
        shape=shape,
    )


def check_sharding(config: Config, machine: Machine, tell: Tell) -> None:
    """Refuse what cannot be split over devices, and say where splitting will not happen.

    Raises:
        ConfigError: a quantised base is to be split, or FSDP 1 is to do it.
    """
    if machine.deepspeed and config.so8t.enabled and (config.training.bf16 or config.training.fp16):
        tell(
            "DeepSpeed gives the gates half-precision generators beside its own in float32, and checkpoints hold the "
            "rounded ones: where they must be float32 start with configs/accelerate/ddp_2.yaml or fsdp_2.yaml"
        )
    if not machine.sharded:
        return
    if machine.fsdp_version != 2:
        raise ConfigError(
            "FSDP 1 packs the parameters of a layer into one of a single type, and half-precision weights, float32 "
            "adapters and gates are several: set fsdp_version: 2 as in configs/accelerate/fsdp_2.yaml"
        )
    if config.quantization.load_in_4bit or config.quantization.load_in_8bit:
        raise ConfigError(
            "quantization.load_in_4bit and load_in_8bit do not go with FSDP, which cannot split bitsandbytes' weights: "
            "set them to false, or start with configs/accelerate/ddp_2.yaml"
        )
    if not machine.cuda:
        tell("FSDP needs GPUs, and there is none here: each process holds the whole model (DDP)")


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
    check_sharding(config, machine, tell)
    return make_trainable(_load_base(config, machine, tell), config, tell)


def make_trainable(model: Any, config: Config, tell: Tell) -> Any:
    """Put on a base model what is trained, and freeze what is not.

    Args:
        model: a supported transformers model as it was loaded; it is changed.
        config: the settings.
        tell: given one line for each thing done otherwise than asked.

    Returns:
        The model, inside PEFT's where there is LoRA.

    Raises:
        ModelError: gates or LoRA do not fit the model, or nothing would be trained.
    """
    model.config.use_cache = False  # a cache of keys and values serves generation only
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
