"""Keys of older configuration files that are no settings here any more, and what becomes of them.

An old name is moved to its present one with a message; a key without a meaning here is refused with the reason,
because a setting that is read and does nothing lets a report claim what did not happen.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

RENAMED = {
    "model.dtype": "model.torch_dtype",
    "quantization.use_fp16": "training.fp16",
    "quantization.use_bf16": "training.bf16",
    "pet.max_gradient_norm": "training.max_grad_norm",
    "training.activation_checkpointing": "training.gradient_checkpointing",
    "training.evaluation_strategy": "training.eval_strategy",
    "training.freeze_base_model": "model.freeze_base_model",
}
"""Old dotted name -> present dotted name; the value is taken over unchanged."""

_NO_COLLECTION_NOTES = "a note on data collection, not a setting; keep it as a comment"
_LAYERS = "gates sit on the layers that so8t.layer_indices names"
_GATE_RECORD = "so8t_loss is recorded with every row, see training.save_metrics_steps"
_PET_RECORD = "PET is recorded with every row, see training.save_metrics_steps"
_ALPHA = "an alpha gate is not part of the exact SO(8) gate"

REFUSED = {
    "bayesian_optimization": "hyperparameter search is not part of this trainer",
    "reward_learning": "reward learning is not part of this trainer",
    "model.trainable_modules": "what is trained follows from model.freeze_base_model, qlora and so8t",
    "so8t.alpha_gate_*": _ALPHA,
    "so8t.use_alpha_gate": _ALPHA,
    "so8t.apply_to_intermediate_layers": _LAYERS,
    "so8t.intermediate_layer_*": _LAYERS,
    "so8t.log_orthogonal_error": _GATE_RECORD,
    "so8t.monitor_orthogonality": _GATE_RECORD,
    "so8t.orthogonality_log_steps": _GATE_RECORD,
    "so8t.orthogonal_error_threshold": "the gates are orthogonal by construction; the warning limit is fixed",
    "so8t.pet_*": "PET is taken from the last hidden state and configured under pet",
    "data.preprocessing_num_workers": "records are encoded once, by the training process",
    "data.min_samples": _NO_COLLECTION_NOTES,
    "data.target_samples": _NO_COLLECTION_NOTES,
    "data.current_samples": _NO_COLLECTION_NOTES,
    "pet.eps": "PET divides by counts of valid triples, never by a number near zero",
    "pet.log_every_n_steps": _PET_RECORD,
    "pet.save_stats": _PET_RECORD,
    "training.load_best_model_at_end": "the final model is the one that the last recorded row describes",
    "training.log_level": "the console of so8t train is not configured here",
    "training.logging_strategy": "logging goes by steps, see training.logging_steps",
    "training.remove_unused_columns": "batches always reach the trainer whole",
    "training.train_only_adapters": "use model.freeze_base_model and qlora.enabled",
    "pipeline.input_datasets": "training reads data.train_data; the report names that file and its digest",
}
"""Dotted name, or pattern of names -> why it is refused."""


class ConflictingKeys(ValueError):
    """An old name and its present one stand in one file with different values."""

    def __init__(self, old: str, new: str) -> None:
        self.old = old
        self.new = new
        super().__init__(f"is an old name of {new}, and their values differ")


def refused_keys(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The refused keys that `settings` holds, in the file's order, each with the reason.

    Example:
        >>> list(refused_keys({"pet": {"enabled": True, "save_stats": True}}))
        [('pet.save_stats', 'PET is recorded with every row, see training.save_metrics_steps')]
    """
    for section, keys in settings.items():
        for name in [section, *(f"{section}.{key}" for key in keys or ())]:
            for pattern, reason in REFUSED.items():
                if fnmatchcase(name, pattern):
                    yield name, reason


def take_over_old_names(settings: dict[str, Any]) -> list[str]:
    """Move the values of old names to the present ones, in place; returns one message per name moved.

    Raises:
        ConflictingKeys: Both names are there and do not agree.

    Example:
        >>> settings = {"training": {"evaluation_strategy": "steps"}}
        >>> take_over_old_names(settings)
        ['training.evaluation_strategy is an old name: read as training.eval_strategy']
        >>> settings
        {'training': {'eval_strategy': 'steps'}}
    """
    messages = _drop_pet_clipping_switch(settings)
    for old, new in RENAMED.items():
        old_section, old_key = old.split(".")
        new_section, new_key = new.split(".")
        if old_key not in (settings.get(old_section) or {}):
            continue
        value = settings[old_section].pop(old_key)
        target = settings.setdefault(new_section, {})
        if target.get(new_key, value) != value:
            raise ConflictingKeys(old, new)
        target[new_key] = value
        messages.append(f"{old} is an old name: read as {new}")
    return messages


def _drop_pet_clipping_switch(settings: dict[str, Any]) -> list[str]:
    """`pet.clip_gradient` clamped PET's own gradient; here the whole gradient's norm is clipped, always once."""
    pet = settings.get("pet") or {}
    if "clip_gradient" not in pet:
        return []
    if pet.pop("clip_gradient") is not False:
        return ["pet.clip_gradient: gradients are clipped as a whole, by training.max_grad_norm"]
    pet.pop("max_gradient_norm", None)
    return ["pet.clip_gradient: false only removes pet.max_gradient_norm; training.max_grad_norm still clips"]
