"""From the settings to the objects of Transformers, PEFT and bitsandbytes.

Pure functions: what the machine can do is passed in. Each returns the library's object together with messages
about what could not be done as asked and what is done instead.
"""

import importlib.util
import inspect
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from peft import LoraConfig
from transformers import BitsAndBytesConfig, TrainingArguments

from so8t.errors import ConfigError
from so8t.training.config_keys import Config

Precision = Literal["fp32", "fp16", "bf16"]

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_BITSANDBYTES_OPTIMIZERS = ("adamw_bnb_8bit", "paged_adamw_8bit", "paged_adamw_32bit")
_OTHER_NAMES = {"activation_checkpointing": "gradient_checkpointing", "eval_strategy": "evaluation_strategy"}
"""Argument of Transformers 5.23 -> its name in versions that do not have it."""


def training_arguments(
    config: Config,
    output_dir: Path,
    *,
    has_eval: bool,
    cuda: bool,
    bf16_supported: bool,
    bitsandbytes_installed: bool | None = None,
) -> tuple[TrainingArguments, list[str]]:
    """The Trainer's arguments.

    Args:
        config: The settings.
        output_dir: The run folder; checkpoints go to ``checkpoints`` in it.
        has_eval: Whether there is a dataset to evaluate on.
        cuda: Whether training runs on a CUDA device; else on the CPU.
        bf16_supported: Whether that device computes in bfloat16.
        bitsandbytes_installed: Whether its optimizers can be used; None: look.

    Returns:
        The arguments, and messages about fallbacks.
    """
    training = config.training
    precision, messages = effective_precision(config, cuda=cuda, bf16_supported=bf16_supported)
    optimizer, optimizer_messages = optimizer_in_use(training.optim, cuda, bitsandbytes_installed)
    eval_strategy = training.eval_strategy or "steps"
    wanted: dict[str, Any] = {
        "output_dir": str(output_dir / "checkpoints"),
        "num_train_epochs": training.num_train_epochs,
        "max_steps": training.max_steps,
        "per_device_train_batch_size": training.per_device_train_batch_size,
        "per_device_eval_batch_size": training.per_device_eval_batch_size or training.per_device_train_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "learning_rate": training.learning_rate,
        "weight_decay": training.weight_decay,
        "warmup_steps": training.warmup_ratio if training.warmup_steps is None else training.warmup_steps,
        "lr_scheduler_type": training.lr_scheduler_type,
        "optim": optimizer,
        "adam_beta1": training.adam_beta1,
        "adam_beta2": training.adam_beta2,
        "adam_epsilon": training.adam_epsilon,
        "max_grad_norm": training.max_grad_norm,
        "fp16": precision == "fp16",
        "bf16": precision == "bf16",
        "activation_checkpointing": training.gradient_checkpointing,
        "seed": training.seed,
        "dataloader_num_workers": training.dataloader_num_workers,
        "dataloader_pin_memory": training.dataloader_pin_memory and cuda,
        "logging_strategy": "steps",
        "logging_steps": training.logging_steps,
        "eval_strategy": eval_strategy if has_eval else "no",
        "eval_steps": training.eval_steps,
        "save_strategy": training.save_strategy,
        "save_steps": training.save_steps,
        "save_total_limit": training.save_total_limit,
        "report_to": training.report_to,
        # The Trainer's default replaces a NaN loss by the mean of the others in its log (measured: 0.0).
        "logging_nan_inf_filter": False,
        # The batch carries keys that the model's forward does not name; the trainer needs them.
        "remove_unused_columns": False,
        # Logits of a whole evaluation set (rows x tokens x 32,064) fit in no memory.
        "prediction_loss_only": True,
        "use_cpu": not cuda,
    }
    accepted = inspect.signature(TrainingArguments.__init__).parameters
    return TrainingArguments(**named_for(wanted, accepted)), messages + optimizer_messages


def named_for(wanted: dict[str, Any], accepted: Collection[str]) -> dict[str, Any]:
    """`wanted`, in the names of a `TrainingArguments` whose parameters are `accepted`.

    Transformers 5 takes a share of the steps as ``warmup_steps`` below 1, version 4 as ``warmup_ratio``; other
    arguments were renamed.

    Raises:
        ConfigError: The installed version has no name for one of them.

    Example:
        >>> named_for({"warmup_steps": 0.1, "eval_strategy": "no"}, ["warmup_steps", "warmup_ratio", "eval_strategy"])
        {'warmup_ratio': 0.1, 'eval_strategy': 'no'}
    """
    named = {}
    for name, value in wanted.items():
        if name == "warmup_steps" and "warmup_ratio" in accepted and 0 < value < 1:
            name = "warmup_ratio"
        if name not in accepted:
            name = _OTHER_NAMES.get(name, name)
        if name not in accepted:
            raise ConfigError(
                f"the installed transformers {transformers.__version__} has no training argument {name}: "
                "install the version that constraints.txt names"
            )
        named[name] = value
    return named


def effective_precision(config: Config, *, cuda: bool, bf16_supported: bool) -> tuple[Precision, list[str]]:
    """The precision training really runs in on this device, and why it is not the one asked for.

    Example:
        >>> import msgspec
        >>> half = msgspec.convert({"training": {"fp16": True}}, Config)
        >>> effective_precision(half, cuda=False, bf16_supported=False)
        ('fp32', ['training.fp16 needs CUDA: training runs in fp32'])
    """
    training = config.training
    if training.fp16:
        if not cuda:
            return "fp32", ["training.fp16 needs CUDA: training runs in fp32"]
        advice = "this card has bf16, which needs no loss scaling: consider training.bf16 instead of fp16"
        return "fp16", [advice] if bf16_supported else []
    if training.bf16 and not bf16_supported:
        if cuda:
            return "fp16", ["training.bf16 is not supported by this card: training runs in fp16"]
        return "fp32", ["training.bf16 is not supported here: training runs in fp32"]
    return ("bf16" if training.bf16 else "fp32"), []


def optimizer_in_use(name: str, cuda: bool, bitsandbytes_installed: bool | None = None) -> tuple[str, list[str]]:
    """The optimizer that really runs on this device, and why it is not the one asked for.

    Args:
        name: `training.optim`.
        cuda: whether training runs on a CUDA device.
        bitsandbytes_installed: whether its optimizers can be used; None: look.

    Example:
        >>> optimizer_in_use("paged_adamw_8bit", cuda=False)
        ('adamw_torch', ['training.optim: paged_adamw_8bit needs CUDA: adamw_torch is used'])
    """
    if name not in _BITSANDBYTES_OPTIMIZERS:
        return name, []
    if not cuda:
        return "adamw_torch", [f"training.optim: {name} needs CUDA: adamw_torch is used"]
    if not _has_bitsandbytes(bitsandbytes_installed):
        return "adamw_torch", [f"training.optim: {name} needs bitsandbytes, not installed: adamw_torch is used"]
    return name, []


def _has_bitsandbytes(installed: bool | None) -> bool:
    return importlib.util.find_spec("bitsandbytes") is not None if installed is None else installed


def lora_config(config: Config, targets: Sequence[str]) -> LoraConfig | None:
    """The adapters' configuration, or None where `qlora.enabled` is false.

    Args:
        config: The settings.
        targets: Names of the linear layers in the model at hand, already translated from `qlora.target_modules`.
    """
    qlora = config.qlora
    if not qlora.enabled:
        return None
    return LoraConfig(
        r=qlora.r,
        lora_alpha=qlora.lora_alpha,
        target_modules=list(targets),
        lora_dropout=qlora.lora_dropout,
        bias=qlora.bias,
        task_type=qlora.task_type,
    )


def quantization_config(
    config: Config, *, cuda: bool, bf16_supported: bool, bitsandbytes_installed: bool | None = None
) -> BitsAndBytesConfig | None:
    """How the base is loaded in 4 or 8 bits, or None where it is not.

    Raises:
        ConfigError: It is asked for, but there is no CUDA device or no bitsandbytes.
    """
    quantization = config.quantization
    if not (quantization.load_in_4bit or quantization.load_in_8bit):
        return None
    key = f"quantization.load_in_{'4' if quantization.load_in_4bit else '8'}bit"
    if not cuda:
        raise ConfigError(f"{key} needs a CUDA device, and there is none here: set it to false")
    if not _has_bitsandbytes(bitsandbytes_installed):
        raise ConfigError(f"{key} needs bitsandbytes: pip install bitsandbytes, or set it to false")
    precision, _ = effective_precision(config, cuda=cuda, bf16_supported=bf16_supported)
    chosen = quantization.bnb_4bit_compute_dtype
    return BitsAndBytesConfig(
        load_in_8bit=quantization.load_in_8bit,
        load_in_4bit=quantization.load_in_4bit,
        llm_int8_threshold=float(quantization.llm_int8_threshold),
        llm_int8_has_fp16_weight=quantization.llm_int8_has_fp16_weight,
        bnb_4bit_quant_type=quantization.bnb_4bit_quant_type,
        bnb_4bit_compute_dtype=_DTYPES[precision] if chosen is None else getattr(torch, chosen),
        bnb_4bit_use_double_quant=quantization.bnb_4bit_use_double_quant,
    )


def model_load_arguments(
    config: Config, *, cuda: bool, bf16_supported: bool, bitsandbytes_installed: bool | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Keyword arguments for ``AutoModelForCausalLM.from_pretrained``, and messages about fallbacks.

    Raises:
        ConfigError: As `quantization_config`.
    """
    dtype, messages = load_dtype(config, cuda=cuda, bf16_supported=bf16_supported)
    arguments: dict[str, Any] = {
        "dtype": dtype,
        "attn_implementation": "sdpa" if config.so8t.use_efficient_attention else "eager",
    }
    quantization = quantization_config(
        config, cuda=cuda, bf16_supported=bf16_supported, bitsandbytes_installed=bitsandbytes_installed
    )
    if quantization is not None:
        arguments["quantization_config"] = quantization
    return arguments, messages


def load_dtype(config: Config, *, cuda: bool, bf16_supported: bool) -> tuple[torch.dtype | str, list[str]]:
    """The data type the base model's weights are loaded in (``"auto"``: the checkpoint's own), and messages."""
    chosen = config.model.torch_dtype
    if chosen is None:
        precision, _ = effective_precision(config, cuda=cuda, bf16_supported=bf16_supported)
        # A trained weight needs fp32 as its master copy; a frozen one does not.
        return (_DTYPES[precision] if config.base_is_frozen else torch.float32), []
    if chosen == "float16" and not cuda:
        return torch.float32, ["model.torch_dtype: float16 needs CUDA: weights are loaded in float32"]
    return ("auto" if chosen == "auto" else getattr(torch, chosen)), []
