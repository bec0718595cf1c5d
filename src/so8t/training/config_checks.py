"""What only several keys together can show: contradictions, missing pieces, keys without effect.

Types and ranges of single keys stand in `so8t.training.config_keys`.
"""

import math
import re
from collections.abc import Iterator

from kiseki.vocabulary import BOOKKEEPING, meaning, misspelt
from so8t.training.config_keys import Config
from so8t.training.config_statements import Criterion

_PATH_KEYS = (
    "model.base_model",
    "data.train_data",
    "data.train_data_dir",
    "data.fallback_train_data",
    "data.eval_data",
    "data.statement",
    "training.output_dir",
    "training.save_logits_dir",
    "pipeline.base_output_dir",
)
_ONLY_WITH = {
    "so8t.init_scale": ("so8t.init", "normal"),
    "quantization.llm_int8_threshold": ("quantization.load_in_8bit", True),
    "quantization.llm_int8_has_fp16_weight": ("quantization.load_in_8bit", True),
    "quantization.bnb_4bit_quant_type": ("quantization.load_in_4bit", True),
    "quantization.bnb_4bit_compute_dtype": ("quantization.load_in_4bit", True),
    "quantization.bnb_4bit_use_double_quant": ("quantization.load_in_4bit", True),
    "training.num_train_epochs": ("training.max_steps", -1),
}
"""Key -> (other key, value of it without which the first one has no effect)."""

"""What stands in training's rows beside the metrics that kiseki defines."""


def problems_between_keys(config: Config, given: set[str]) -> Iterator[tuple[str, str]]:
    """What is wrong between keys, as pairs: the dotted key, and the rest of a sentence that begins with it.

    Args:
        config: The settings, each of them valid by itself.
        given: Dotted keys that were written down, as against those at their default.
    """
    yield from _missing(config)
    yield from _unusable_values(config)
    yield from _contradictions(config, given)
    yield from _nothing_to_train(config)


def _missing(config: Config) -> Iterator[tuple[str, str]]:
    data, training = config.data, config.training
    if config.model.base_model is None:
        yield "model.base_model", "names no model: set it, or give --model-path"
    if data.train_data is None and data.train_data_dir is None and data.fallback_train_data is None:
        yield "data.train_data", "names no training data: set it, or give --dataset"
    if training.output_dir is None and config.pipeline.base_output_dir is None:
        yield "training.output_dir", "names no folder for the run: set it, or give --output-dir"
    if training.eval_strategy in ("steps", "epoch") and data.eval_data is None:
        yield "training.eval_strategy", f"is {training.eval_strategy}, but data.eval_data names no file: set that"


def _unusable_values(config: Config) -> Iterator[tuple[str, str]]:
    settings = config.to_dict()
    for section, keys in settings.items():
        for key, value in keys.items():
            if isinstance(value, float) and not math.isfinite(value):
                yield f"{section}.{key}", f"is {value}: give a finite number"
    for index, criterion in enumerate(config.poc.criteria):
        if not math.isfinite(criterion.threshold):
            yield f"poc.criteria[{index}].threshold", f"is {criterion.threshold}: give a finite number"
        meant = None if _is_known(criterion) else misspelt(criterion.metric)
        if meant is not None:
            yield (
                f"poc.criteria[{index}].metric",
                f"is {criterion.metric}, which is not recorded: did you mean {meant}?",
            )
    for name in _PATH_KEYS:
        section, key = name.split(".")
        if re.search(r"[\x00-\x1f]", settings[section][key] or ""):
            yield name, 'holds a control character: write Windows paths without quotes, not in "..."'
    if re.search(r"[\x00-\x1f/\\]", config.pipeline.model_name):
        yield "pipeline.model_name", "holds a slash, backslash or control character: give a name, not a path"
    layers = config.so8t.layer_indices or []
    targets = config.qlora.target_modules or []
    for name, items in (("so8t.layer_indices", layers), ("qlora.target_modules", targets)):
        twice = [item for index, item in enumerate(items) if item in items[:index]]
        if twice:
            yield name, f"names {twice[0]} twice: name each once"
    pet = config.pet
    total = pet.exploration_ratio + pet.transition_ratio + pet.stabilization_ratio
    if abs(total - 1) > 1e-6:
        yield "pet.exploration_ratio", f"and the two other ratios sum to {total:.6g}: make them sum to 1"


def _contradictions(config: Config, given: set[str]) -> Iterator[tuple[str, str]]:
    training = config.training
    product = training.per_device_train_batch_size * training.gradient_accumulation_steps
    if training.fp16 and training.bf16:
        yield "training.fp16", "and training.bf16 are both true: keep one (bf16 where the card has it)"
    if config.quantization.load_in_4bit and config.quantization.load_in_8bit:
        yield "quantization.load_in_4bit", "and load_in_8bit are both true: keep one"
    if {"training.warmup_ratio", "training.warmup_steps"} <= given and training.warmup_steps is not None:
        yield "training.warmup_steps", "and training.warmup_ratio are both given: keep one"
    if training.effective_batch_size not in (None, product):
        yield (
            "training.effective_batch_size",
            f"is {training.effective_batch_size}, but per_device_train_batch_size x gradient_accumulation_steps "
            f"is {product}: correct one of them",
        )
    if training.max_steps == 0:
        yield "training.max_steps", "is 0: give the number of steps, or -1 for num_train_epochs"


def _nothing_to_train(config: Config) -> Iterator[tuple[str, str]]:
    name = "model.freeze_base_model"
    if config.qlora.enabled and not config.base_is_frozen:
        yield name, "is false, but LoRA freezes the base: remove it, or set qlora.enabled: false"
    if config.base_is_frozen and not config.qlora.enabled and not config.so8t.enabled:
        yield name, "is true, with gates and LoRA off nothing is trained: switch one of them on"
    if not config.base_is_frozen and (config.quantization.load_in_4bit or config.quantization.load_in_8bit):
        yield name, "must be true with a quantised base: its weights cannot be trained"
    if not config.base_is_frozen and config.model.torch_dtype == "float16":
        yield "model.torch_dtype", "is float16, in which a whole model cannot be trained: use float32 or remove it"


def _is_known(criterion: Criterion) -> bool:
    """Whether there is a metric of the name, looked for where the criterion is: in the last evaluation also without
    `eval_`."""
    names = [criterion.metric, *([f"eval_{criterion.metric}"] if criterion.when == "last_evaluation" else [])]
    return any(name in BOOKKEEPING or meaning(name) is not None for name in names)


def keys_without_effect(config: Config, given: set[str]) -> Iterator[str]:
    """One sentence for each key of `given` that another key keeps from having an effect, and for each criterion on a
    metric that is not known to be recorded."""
    settings = config.to_dict()
    for name, (other, needed) in _ONLY_WITH.items():
        section, key = other.split(".")
        actual = settings[section][key]
        if name in given and actual != needed:
            shown = str(actual).lower() if isinstance(actual, bool) else actual
            yield f"{name} has no effect: {other} is {shown}"
    for index, criterion in enumerate(config.poc.criteria):
        if not _is_known(criterion):
            yield (
                f"poc.criteria[{index}].metric: no metric {criterion.metric} is known: unless something records it, "
                "the criterion ends as not measured"
            )
