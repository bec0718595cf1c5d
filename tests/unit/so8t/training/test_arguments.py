"""Every accepted key reaches the library object it is meant for."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from transformers import TrainingArguments

from so8t.errors import ConfigError
from so8t.training.arguments import (
    effective_precision,
    lora_config,
    model_load_arguments,
    named_for,
    quantization_config,
    training_arguments,
)
from so8t.training.config import Config

TARGETS = ["qkv_proj", "o_proj"]


def configured(**keys: Any) -> Config:
    """A configuration with `section__key` set."""
    content: dict[str, dict[str, Any]] = {}
    for name, value in keys.items():
        section, key = name.split("__")
        content.setdefault(section, {})[key] = value
    return msgspec.convert(content, Config)


def on_cpu(config: Config, *, has_eval: bool = True) -> tuple[TrainingArguments, list[str]]:
    return training_arguments(config, Path("run"), has_eval=has_eval, cuda=False, bf16_supported=False)


TRAINING_KEYS: list[tuple[str, Any, str, Any]] = [
    # key, value, attribute of TrainingArguments, value of it
    ("num_train_epochs", 7.0, "num_train_epochs", 7.0),
    ("max_steps", 11, "max_steps", 11),
    ("per_device_train_batch_size", 3, "per_device_train_batch_size", 3),
    ("per_device_train_batch_size", 3, "per_device_eval_batch_size", 3),
    ("per_device_eval_batch_size", 5, "per_device_eval_batch_size", 5),
    ("gradient_accumulation_steps", 3, "gradient_accumulation_steps", 3),
    ("learning_rate", 3e-3, "learning_rate", 3e-3),
    ("weight_decay", 0.3, "weight_decay", 0.3),
    ("lr_scheduler_type", "linear", "lr_scheduler_type", "linear"),
    ("optim", "adafactor", "optim", "adafactor"),
    ("adam_beta1", 0.8, "adam_beta1", 0.8),
    ("adam_beta2", 0.95, "adam_beta2", 0.95),
    ("adam_epsilon", 1e-6, "adam_epsilon", 1e-6),
    ("max_grad_norm", 0.25, "max_grad_norm", 0.25),
    ("gradient_checkpointing", False, "gradient_checkpointing", False),
    ("seed", 7, "seed", 7),
    ("dataloader_num_workers", 1, "dataloader_num_workers", 1),
    ("logging_steps", 3, "logging_steps", 3),
    ("eval_strategy", "epoch", "eval_strategy", "epoch"),
    ("eval_steps", 3, "eval_steps", 3),
    ("save_strategy", "epoch", "save_strategy", "epoch"),
    ("save_steps", 3, "save_steps", 3),
    ("save_total_limit", 2, "save_total_limit", 2),
]


@pytest.mark.parametrize(("key", "value", "attribute", "expected"), TRAINING_KEYS, ids=lambda value: str(value))
def test_a_training_key_changes_the_trainers_argument(key: str, value: Any, attribute: str, expected: Any) -> None:
    before, _ = on_cpu(Config())
    after, _ = on_cpu(configured(**{f"training__{key}": value}))
    assert getattr(before, attribute) != expected
    assert getattr(after, attribute) == expected


@pytest.mark.parametrize(
    ("keys", "of_thousand"),
    [
        ({}, 100),
        ({"training__warmup_ratio": 0.25}, 250),
        ({"training__warmup_ratio": 0.0}, 0),
        ({"training__warmup_steps": 1}, 1),
        ({"training__warmup_steps": 30}, 30),
        ({"training__warmup_steps": 0}, 0),
    ],
)
def test_warm_up_lasts_as_many_steps_as_asked(keys: dict[str, Any], of_thousand: int) -> None:
    assert on_cpu(configured(**keys))[0].get_warmup_steps(1000) == of_thousand


def test_what_the_record_depends_on_is_fixed() -> None:
    arguments, _ = on_cpu(Config())
    assert Path(arguments.output_dir) == Path("run") / "checkpoints"
    assert arguments.logging_nan_inf_filter is False
    assert arguments.remove_unused_columns is False
    assert arguments.prediction_loss_only is True
    assert arguments.logging_strategy == "steps"
    assert "wandb" not in arguments.report_to
    assert "tensorboard" not in arguments.report_to
    assert arguments.use_cpu


def test_without_evaluation_data_nothing_is_evaluated() -> None:
    assert on_cpu(Config(), has_eval=True)[0].eval_strategy == "steps"
    assert on_cpu(Config(), has_eval=False)[0].eval_strategy == "no"


def test_no_checkpointing_where_it_is_switched_off() -> None:
    assert on_cpu(configured(training__save_strategy="no"))[0].save_strategy == "no"


@pytest.mark.parametrize("name", ["paged_adamw_8bit", "paged_adamw_32bit", "adamw_bnb_8bit"])
def test_a_bitsandbytes_optimizer_falls_back_on_the_cpu_with_a_message(name: str) -> None:
    arguments, messages = on_cpu(configured(training__optim=name))
    assert arguments.optim == "adamw_torch"
    assert messages == [f"training.optim: {name} needs CUDA: adamw_torch is used"]


class RecordedArguments:
    """Stands in for TrainingArguments where a CUDA device would be needed to construct them."""

    # The parameters that `inspect.signature` reads are the installed class's own.
    __init__ = TrainingArguments.__init__


def on_cuda(monkeypatch: pytest.MonkeyPatch, config: Config, *, bf16: bool, bitsandbytes: bool) -> Any:
    """The keyword arguments that a CUDA machine's TrainingArguments would be made from, and the messages."""
    recorded: dict[str, Any] = {}

    class Recorder(RecordedArguments):
        def __new__(cls, **arguments: Any) -> Any:
            recorded.update(arguments)
            return None

    monkeypatch.setattr("so8t.training.arguments.TrainingArguments", Recorder)
    _, messages = training_arguments(
        config, Path("run"), has_eval=False, cuda=True, bf16_supported=bf16, bitsandbytes_installed=bitsandbytes
    )
    return recorded, messages


def test_cuda_gets_the_optimizer_pinning_and_precision_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(training__bf16=True, training__dataloader_pin_memory=True)
    recorded, messages = on_cuda(monkeypatch, config, bf16=True, bitsandbytes=True)
    assert messages == []
    assert recorded["optim"] == "paged_adamw_8bit"
    assert (recorded["bf16"], recorded["fp16"]) == (True, False)
    assert recorded["dataloader_pin_memory"] is True
    assert recorded["use_cpu"] is False


def test_without_bitsandbytes_cuda_falls_back_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, messages = on_cuda(monkeypatch, Config(), bf16=True, bitsandbytes=False)
    assert recorded["optim"] == "adamw_torch"
    assert "needs bitsandbytes" in messages[0]


def test_memory_is_not_pinned_on_the_cpu() -> None:
    assert on_cpu(configured(training__dataloader_pin_memory=True))[0].dataloader_pin_memory is False


@pytest.mark.parametrize(
    ("fp16", "bf16", "cuda", "supported", "expected", "says"),
    [
        (False, False, False, False, "fp32", ""),
        (False, False, True, True, "fp32", ""),
        (True, False, False, False, "fp32", "needs CUDA"),
        (True, False, True, False, "fp16", ""),
        (True, False, True, True, "fp16", "consider training.bf16"),
        (False, True, True, True, "bf16", ""),
        (False, True, True, False, "fp16", "runs in fp16"),
        (False, True, False, True, "bf16", ""),
        (False, True, False, False, "fp32", "runs in fp32"),
    ],
)
def test_the_precision_is_the_one_asked_for_or_the_next_best_with_a_message(
    fp16: bool, bf16: bool, cuda: bool, supported: bool, expected: str, says: str
) -> None:
    config = configured(training__fp16=fp16, training__bf16=bf16)
    precision, messages = effective_precision(config, cuda=cuda, bf16_supported=supported)
    assert precision == expected
    assert bool(messages) == bool(says)
    assert all(says in message for message in messages)


def test_half_precision_on_the_cpu_reaches_the_trainer_as_full_precision() -> None:
    arguments, messages = on_cpu(configured(training__fp16=True, training__optim="adamw_torch"))
    assert (arguments.fp16, arguments.bf16) == (False, False)
    assert messages == ["training.fp16 needs CUDA: training runs in fp32"]


class TestOtherVersions:
    """Argument names are those of the installed Transformers."""

    def test_version_4_takes_a_share_of_the_steps_as_warmup_ratio(self) -> None:
        accepted = ["warmup_steps", "warmup_ratio"]
        assert named_for({"warmup_steps": 0.1}, accepted) == {"warmup_ratio": 0.1}
        assert named_for({"warmup_steps": 5}, accepted) == {"warmup_steps": 5}

    def test_older_names_are_used_where_the_newer_are_missing(self) -> None:
        wanted = {"activation_checkpointing": True, "eval_strategy": "no"}
        expected = {"gradient_checkpointing": True, "evaluation_strategy": "no"}
        assert named_for(wanted, expected) == expected
        assert named_for(wanted, wanted) == wanted

    def test_an_argument_without_a_name_is_an_error_not_dropped(self) -> None:
        with pytest.raises(ConfigError, match="no training argument logging_nan_inf_filter"):
            named_for({"logging_nan_inf_filter": False}, ["seed"])


@pytest.mark.parametrize(("key", "value"), [("r", 5), ("lora_alpha", 9), ("lora_dropout", 0.3), ("bias", "lora_only")])
def test_a_lora_key_reaches_peft(key: str, value: Any) -> None:
    before = lora_config(Config(), TARGETS)
    after = lora_config(configured(**{f"qlora__{key}": value}), TARGETS)
    assert getattr(before, key) != value
    assert getattr(after, key) == value


def test_lora_gets_the_models_own_layer_names_and_the_task() -> None:
    lora = lora_config(Config(), TARGETS)
    assert lora is not None
    assert lora.target_modules == set(TARGETS)
    assert lora.task_type == "CAUSAL_LM"


def test_lora_switched_off_gives_no_configuration() -> None:
    assert lora_config(configured(qlora__enabled=False), TARGETS) is None


def quantized(**keys: Any) -> Any:
    return quantization_config(
        configured(**{f"quantization__{key}": value for key, value in keys.items()}),
        cuda=True,
        bf16_supported=True,
        bitsandbytes_installed=True,
    )


@pytest.mark.parametrize(
    ("switch", "key", "value", "expected"),
    [
        ("load_in_8bit", "llm_int8_threshold", 4, 4.0),
        ("load_in_8bit", "llm_int8_has_fp16_weight", True, True),
        ("load_in_4bit", "bnb_4bit_quant_type", "fp4", "fp4"),
        ("load_in_4bit", "bnb_4bit_use_double_quant", False, False),
        ("load_in_4bit", "bnb_4bit_compute_dtype", "float16", torch.float16),
    ],
)
def test_a_quantization_key_reaches_bitsandbytes(switch: str, key: str, value: Any, expected: Any) -> None:
    assert getattr(quantized(**{switch: True}), key) != expected
    changed = quantized(**{switch: True, key: value})
    assert getattr(changed, key) == expected
    assert getattr(changed, switch) is True


def test_four_bit_layers_compute_in_the_precision_of_training() -> None:
    config = configured(quantization__load_in_4bit=True, training__bf16=True)
    for supported, expected in ((True, torch.bfloat16), (False, torch.float16)):
        chosen = quantization_config(config, cuda=True, bf16_supported=supported, bitsandbytes_installed=True)
        assert chosen is not None
        assert chosen.bnb_4bit_compute_dtype == expected


def test_no_quantization_is_no_configuration() -> None:
    assert quantized() is None


@pytest.mark.parametrize("switch", ["load_in_4bit", "load_in_8bit"])
@pytest.mark.parametrize(
    ("cuda", "installed", "expected"), [(False, True, "CUDA device"), (True, False, "pip install bitsandbytes")]
)
def test_quantization_that_cannot_run_is_refused(switch: str, cuda: bool, installed: bool, expected: str) -> None:
    config = configured(**{f"quantization__{switch}": True})
    with pytest.raises(ConfigError, match=f"quantization.{switch} needs.*") as caught:
        model_load_arguments(config, cuda=cuda, bf16_supported=False, bitsandbytes_installed=installed)
    assert expected in str(caught.value)


def loaded_with(*, cuda: bool = True, **keys: Any) -> tuple[dict[str, Any], list[str]]:
    return model_load_arguments(configured(**keys), cuda=cuda, bf16_supported=cuda, bitsandbytes_installed=True)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, torch.float32),
        ({"training__bf16": True}, torch.bfloat16),
        ({"training__fp16": True}, torch.float16),
        ({"training__bf16": True, "qlora__enabled": False}, torch.float32),
        ({"training__bf16": True, "qlora__enabled": False, "model__freeze_base_model": True}, torch.bfloat16),
        ({"model__torch_dtype": "bfloat16"}, torch.bfloat16),
        ({"model__torch_dtype": "float16"}, torch.float16),
        ({"model__torch_dtype": "float32", "training__bf16": True}, torch.float32),
        ({"model__torch_dtype": "auto"}, "auto"),
    ],
)
def test_weights_are_loaded_in_the_type_asked_for_or_half_where_frozen(keys: dict[str, Any], expected: Any) -> None:
    assert loaded_with(**keys)[0]["dtype"] == expected


def test_float16_weights_on_the_cpu_become_float32_with_a_message() -> None:
    arguments, messages = loaded_with(cuda=False, model__torch_dtype="float16")
    assert arguments["dtype"] == torch.float32
    assert "needs CUDA" in messages[0]


@pytest.mark.parametrize(("efficient", "expected"), [(True, "sdpa"), (False, "eager")])
def test_efficient_attention_is_pytorchs_own(efficient: bool, expected: str) -> None:
    assert loaded_with(so8t__use_efficient_attention=efficient)[0]["attn_implementation"] == expected


def test_a_quantised_base_is_loaded_with_its_configuration() -> None:
    assert "quantization_config" not in loaded_with()[0]
    assert loaded_with(quantization__load_in_4bit=True)[0]["quantization_config"].load_in_4bit
