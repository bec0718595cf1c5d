"""Says before anything is loaded whether a training run fits into memory, and what would make it fit.

An out-of-memory error comes when the longest batch comes, which may be an hour into the run; this comes in a second.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from so8t.errors import So8tError
from so8t.training.config_keys import Config
from so8t.training.memory import MemoryEstimate, estimate_memory
from so8t.training.memory_shapes import ModelShape, shape_of

__all__ = ["MemoryShort", "Suggestion", "check_memory", "suggestions"]

CLEARLY_TOO_MUCH = 1.10
"""Times the free memory: above it a run is refused. Estimates are within this of what was measured."""

CLOSE = 0.92
"""Times the free memory: above it a warning is given, and no change is suggested that stays above it."""

_SHORTEST_SEQUENCE = 128
_SEQUENCE_STEP = 64

_PARTS = {
    "weights": "weights",
    "adapters": "LoRA",
    "gates": "gates",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "casts": "half-precision copies",
    "activations": "activations",
    "working": "logits and intermediate results",
    "device": "CUDA itself",
}


class MemoryShort(So8tError):
    """The settings need clearly more memory than is free."""


@dataclass(frozen=True)
class Suggestion:
    """A change of settings after which training would fit.

    Attributes:
        changes: dotted key -> its new value.
        total: bytes that training would then need.
    """

    changes: Mapping[str, object]
    total: int

    def __str__(self) -> str:
        """As the keys are written in a configuration file."""
        return ", ".join(f"{key}: {str(value).lower()}" for key, value in self.changes.items())


def check_memory(
    config: Config,
    model_config: Any,
    free_bytes: int,
    *,
    cuda: bool,
    bf16_supported: bool,
    tell: Callable[[str], None],
    bitsandbytes_installed: bool | None = None,
    shards: int = 1,
    shape: ModelShape | None = None,
) -> MemoryEstimate:
    """Compare what training will need with what is free, and say so in one line.

    Args:
        config: the settings.
        model_config: the base model's transformers configuration.
        free_bytes: free memory of the GPU (`torch.cuda.mem_get_info`), or of the machine where there is none.
        cuda: whether training runs on a CUDA device.
        bf16_supported: whether that device computes in bfloat16.
        tell: given the line.
        bitsandbytes_installed: whether its optimizers can be used; None: look.
        shards: devices that weights, gradients and optimizer state are split over.
        shape: `shape_of(model_config)`, where it is known already.

    Returns:
        The estimate.

    Raises:
        MemoryShort: a CUDA device has clearly too little; the message says what would fit. A machine without CUDA is
            never refused: what is free there changes by the minute, and it can swap.
    """
    shape = shape_of(model_config) if shape is None else shape
    situation = _Situation(model_config, shape, cuda, bf16_supported, bitsandbytes_installed, shards)
    estimate = situation.estimate(config)
    where = "on the GPU" if cuda else "in this machine"
    line = f"memory: about {size(estimate.total)} needed, {size(free_bytes)} free {where} ({_largest(estimate)})"
    if estimate.total <= CLOSE * free_bytes:
        tell(line)
        return estimate
    advice = _advice(config, list(_suggestions(config, situation, free_bytes)), free_bytes)
    if estimate.total <= CLEARLY_TOO_MUCH * free_bytes:
        tell(f"{line}: this is close, and may run out in the middle of training; {advice}")
    elif cuda:
        raise MemoryShort(f"{line}: {advice}")
    else:
        tell(f"{line}: this is too much, the machine will swap or end the process; {advice}")
    return estimate


def suggestions(
    config: Config,
    model_config: Any,
    free_bytes: int,
    *,
    cuda: bool,
    bf16_supported: bool,
    bitsandbytes_installed: bool | None = None,
    shards: int = 1,
) -> list[Suggestion]:
    """Changes that would make training fit, the one that costs the least first.

    In this order: 4-bit NF4 weights, gradient checkpointing, single sequences with more accumulation (all of which
    leave the data and the effective batch as they are), then shorter sequences, to the longest that fit. Each alone;
    where none is enough alone, one suggestion of several changes. Empty where even that is not enough.

    Args:
        config: the settings.
        model_config: the base model's transformers configuration.
        free_bytes: free memory.
        cuda: as for `check_memory`.
        bf16_supported: likewise.
        bitsandbytes_installed: likewise.
        shards: likewise.
    """
    situation = _Situation(model_config, shape_of(model_config), cuda, bf16_supported, bitsandbytes_installed, shards)
    return list(_suggestions(config, situation, free_bytes))


@dataclass(frozen=True)
class _Situation:
    """All that an estimate depends on beside the settings."""

    model_config: Any
    shape: ModelShape
    cuda: bool
    bf16_supported: bool
    bitsandbytes_installed: bool | None
    shards: int

    def estimate(self, config: Config) -> MemoryEstimate:
        return estimate_memory(
            config,
            self.model_config,
            cuda=self.cuda,
            bf16_supported=self.bf16_supported,
            bitsandbytes_installed=self.bitsandbytes_installed,
            shards=self.shards,
            shape=self.shape,
        )


def _suggestions(config: Config, situation: _Situation, free_bytes: int) -> Iterator[Suggestion]:
    budget = int(CLOSE * free_bytes)
    single = [*_changes(config, situation.cuda)]
    alone = [suggestion for change in single if (suggestion := _tried(config, change, situation, budget))]
    shorter = _shorter_sequences(config, {}, situation, budget)
    yield from alone
    if shorter is not None:
        yield shorter
    if alone or shorter is not None:
        return
    together: dict[str, object] = {}
    for change in single:
        together |= change
        if suggestion := _tried(config, together, situation, budget):
            yield suggestion
            return
    if suggestion := _shorter_sequences(config, together, situation, budget):
        yield suggestion


def _changes(config: Config, cuda: bool) -> Iterator[dict[str, object]]:
    quantization, training = config.quantization, config.training
    if cuda and config.base_is_frozen and not quantization.load_in_4bit:
        other: dict[str, object] = {"quantization.load_in_8bit": False} if quantization.load_in_8bit else {}
        yield {"quantization.load_in_4bit": True, **other}
    if not training.gradient_checkpointing:
        yield {"training.gradient_checkpointing": True}
    batch = training.per_device_train_batch_size
    if batch > 1:
        yield {
            "training.per_device_train_batch_size": 1,
            "training.gradient_accumulation_steps": batch * training.gradient_accumulation_steps,
        }


def _tried(config: Config, changes: Mapping[str, object], situation: _Situation, budget: int) -> Suggestion | None:
    total = situation.estimate(_changed(config, changes)).total
    return Suggestion(changes, total) if total <= budget else None


def _shorter_sequences(
    config: Config, changes: Mapping[str, object], situation: _Situation, budget: int
) -> Suggestion | None:
    """The longest sequences that fit, in steps of 64 tokens: memory grows with them, so halving finds it."""
    fitting = None
    low, high = _SHORTEST_SEQUENCE // _SEQUENCE_STEP, (config.data.max_seq_length - 1) // _SEQUENCE_STEP
    while low <= high:
        middle = (low + high) // 2
        shorter = {**changes, "data.max_seq_length": middle * _SEQUENCE_STEP}
        if suggestion := _tried(config, shorter, situation, budget):
            fitting, low = suggestion, middle + 1
        else:
            high = middle - 1
    return fitting


def _changed(config: Config, changes: Mapping[str, object]) -> Config:
    settings = config.to_dict()
    for name, value in changes.items():
        section, key = name.split(".")
        settings[section][key] = value
    return msgspec.convert(settings, Config)


def _advice(config: Config, found: list[Suggestion], free_bytes: int) -> str:
    if not found:
        adapters = "" if config.qlora.enabled else "train adapters only (qlora.enabled: true), "
        return (
            f"no fewer bits, checkpointing, smaller batch or sequences down to {_SHORTEST_SEQUENCE} tokens are enough: "
            f"{adapters}use a smaller model, a larger card, or several (docs/guide/beyond-one-card.md)"
        )
    advice = "; or ".join(f"{one} would fit ({size(one.total)} of {size(free_bytes)})" for one in found)
    quantizes = any("quantization.load_in_4bit" in suggestion.changes for suggestion in found)
    return advice + ("; load_in_4bit needs bitsandbytes" if quantizes else "")


def _largest(estimate: MemoryEstimate) -> str:
    """The parts that make up most of it, largest first."""
    parts = sorted(estimate.parts().items(), key=lambda part: part[1], reverse=True)[:4]
    return ", ".join(f"{_PARTS[name]} {size(count)}" for name, count in parts if count)


def size(count: int) -> str:
    """Bytes for a reader.

    Example:
        >>> size(11_700_000_000), size(5_000_000)
        ('10.9 GiB', '5 MiB')
    """
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{-(-count >> 20)} MiB"
