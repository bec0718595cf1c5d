"""The memory estimate against what PyTorch really allocates and keeps."""

import contextlib
import gc
import math
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import Adafactor, AutoModelForCausalLM, LlamaConfig, Phi3Config, Qwen2Config

from so8t.errors import ModelError
from so8t.model.attach import find_gates
from so8t.model.pet import FinalHiddenState, second_difference_penalty
from so8t.model.rotation import so8t_loss
from so8t.training.config_keys import Config, So8tConfig
from so8t.training.loading import Machine, load_model
from so8t.training.memory import MemoryEstimate, estimate_memory
from so8t.training.memory_optimizer import optimizer_bytes
from so8t.training.memory_shapes import shape_of

SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES = {
    "phi3": Phi3Config(**SIZES, original_max_position_embeddings=512),
    "llama": LlamaConfig(**SIZES, num_key_value_heads=2),
    "qwen2": Qwen2Config(**SIZES, num_key_value_heads=2, tie_word_embeddings=True),
}
PHI35 = Phi3Config(vocab_size=32064, hidden_size=3072, intermediate_size=8192, num_hidden_layers=32)
LENGTH, BATCH = 128, 2
CPU = Machine(cuda=False, bf16=True, free_bytes=1 << 40)


def configured(**sections: dict[str, Any]) -> Config:
    return msgspec.convert(sections, Config)


def small(folder: Path | None = None, *, trained: str = "LoRA", **more: Any) -> Config:
    """Settings of a small run: LoRA and gates, or gates alone, or the whole model."""
    return configured(
        model={"base_model": str(folder), "freeze_base_model": None if trained == "LoRA" else trained == "gates"},
        qlora={"enabled": trained == "LoRA", "r": 4, "lora_dropout": more.get("dropout", 0.0)},
        so8t={"use_efficient_attention": more.get("efficient", True)},
        data={"max_seq_length": LENGTH},
        pet={"enabled": more.get("pet", True)},
        training={
            "per_device_train_batch_size": BATCH,
            "optim": "adamw_torch",
            "bf16": more.get("bf16", False),
            "gradient_checkpointing": more.get("checkpointing", False),
        },
    )


def estimated(config: Config, model_config: Any, **more: Any) -> MemoryEstimate:
    return estimate_memory(
        config, model_config, **{"cuda": False, "bf16_supported": True, "bitsandbytes_installed": True, **more}
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, model_config in ARCHITECTURES.items():
        folders[name] = tmp_path_factory.mktemp(name)
        AutoModelForCausalLM.from_config(model_config).save_pretrained(folders[name])
    return folders


def loaded(config: Config) -> nn.Module:
    model: nn.Module = load_model(config, CPU, lambda line: None).train()
    if config.training.gradient_checkpointing:
        model.activation_checkpointing_enable()  # type: ignore[operator]
    return model


def loss_of(model: nn.Module, config: Config) -> Callable[[], Tensor]:
    """A function that computes the training loss of a batch that is padded on the left, as the trainer does."""
    ids = torch.arange(BATCH * LENGTH).reshape(BATCH, LENGTH) % 500 + 3
    mask = torch.ones_like(ids)
    mask[:, :5] = 0
    hidden = FinalHiddenState(model) if config.pet.enabled else None

    def compute() -> Tensor:
        half = torch.autocast("cpu", torch.bfloat16) if config.training.bf16 else contextlib.nullcontext()
        with half:
            loss: Tensor = model(input_ids=ids, attention_mask=mask, labels=ids).loss
        if hidden is not None:
            loss = loss + 0.01 * second_difference_penalty(hidden.take(), mask)
        gates = find_gates(model)
        return loss + so8t_loss(gates.values(), 1e-4) if gates else loss

    return compute


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, and keeps the most."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        self.most = self._now = 0
        self._known: dict[int, int] = {}
        for tensor in tensors:
            self._add(tensor)

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        identity = storage._cdata
        if identity not in self._known:
            self._known[identity] = storage.nbytes()
            self._now += storage.nbytes()
            self.most = max(self.most, self._now)
            weakref.finalize(storage, self._gone, identity)

    def _gone(self, identity: int) -> None:
        self._now -= self._known.pop(identity)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        return result


def byte_count(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_counted_exactly(name: str, folders: dict[str, Path]) -> None:
    model = AutoModelForCausalLM.from_pretrained(folders[name])
    assert shape_of(ARCHITECTURES[name]).parameters == sum(p.numel() for p in model.parameters())


def test_the_large_model_has_the_parameters_that_its_makers_state() -> None:
    assert shape_of(PHI35).parameters == 3_821_079_552


def test_an_architecture_without_gates_is_refused() -> None:
    from transformers import GPT2Config

    with pytest.raises(ModelError, match="'gpt2' is not supported"):
        shape_of(GPT2Config())


@pytest.mark.parametrize("trained", ["LoRA", "gates", "everything"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_gradients_and_optimizer_state_are_those_of_a_real_step(
    name: str, trained: str, folders: dict[str, Path]
) -> None:
    config = small(folders[name], trained=trained)
    model = loaded(config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    loss_of(model, config)().backward()
    optimizer.step()
    estimate = estimated(config, ARCHITECTURES[name])
    assert estimate.weights + estimate.adapters + estimate.gates == byte_count(model.parameters())
    assert estimate.gradients == byte_count(p.grad for p in model.parameters() if p.grad is not None)
    assert estimate.optimizer == byte_count(t for state in optimizer.state.values() for t in state.values())


WAYS = {
    "float32": {},
    "dropout": {"dropout": 0.05},
    "bfloat16": {"bf16": True},
    "bfloat16 and dropout": {"bf16": True, "dropout": 0.05},
    "plain attention": {"efficient": False},
    "no PET": {"pet": False},
    "everything": {"trained": "everything"},
    "everything in bfloat16": {"trained": "everything", "bf16": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["phi3", "llama"])
def test_activations_are_within_eight_percent_of_what_autograd_keeps(
    name: str, way: str, folders: dict[str, Path]
) -> None:
    config = small(folders[name], **WAYS[way])
    model = loaded(config)
    parameters = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address comes twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_of(model, config)()
    estimate = estimated(config, ARCHITECTURES[name])
    log_probabilities = 4 * BATCH * LENGTH * SIZES["vocab_size"]  # counted under `working`
    measured = sum(storage.nbytes() for storage in kept.values()) - log_probabilities
    assert estimate.activations + estimate.casts == pytest.approx(measured, rel=0.08)


def test_layers_before_the_first_gate_keep_nothing_where_gates_alone_are_trained() -> None:
    def activations(first: int) -> int:
        config = msgspec.structs.replace(
            small(trained="gates", pet=False), so8t=msgspec.convert({"layer_indices": [first]}, So8tConfig)
        )
        return estimated(config, ARCHITECTURES["phi3"]).activations

    layer = activations(0) - activations(1)
    assert layer > 0
    assert activations(1) - activations(2) == layer


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("way", ["float32", "bfloat16 and dropout", "gates only", "everything"])
@pytest.mark.parametrize("name", ["phi3", "qwen2"])
def test_the_total_is_at_most_a_quarter_above_the_most_that_lives_in_a_step_and_never_below(
    name: str, way: str, checkpointing: bool, folders: dict[str, Path]
) -> None:
    config = small(folders[name], checkpointing=checkpointing, **{**WAYS, "gates only": {"trained": "gates"}}[way])
    model = loaded(config)
    compute = loss_of(model, config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    compute().backward()
    optimizer.step()
    optimizer.zero_grad()
    gc.collect()
    states = [t for state in optimizer.state.values() for t in state.values()]
    with LiveBytes([*model.parameters(), *model.buffers(), *states]) as live:
        compute().backward()
        optimizer.step()
    assert live.most <= estimated(config, ARCHITECTURES[name]).total <= 1.25 * live.most


def test_optimizer_state_is_what_the_optimizers_keep() -> None:
    parameters = [nn.Parameter(torch.ones(40, 24)), nn.Parameter(torch.ones(24))]
    shapes = [(40, 24), (24,)]
    optimizers: dict[str, torch.optim.Optimizer] = {
        "adamw_torch": torch.optim.AdamW(parameters),
        "adamw_torch_fused": torch.optim.AdamW(parameters, fused=True),
        "sgd": torch.optim.SGD(parameters),
        "adafactor": Adafactor(parameters, scale_parameter=False, relative_step=False, lr=1e-3),
    }
    for name, optimizer in optimizers.items():
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        measured = byte_count(t for s in optimizer.state.values() for t in s.values() if isinstance(t, Tensor))
        assert optimizer_bytes(name, shapes) == measured, name


def test_eight_bit_moments_take_a_quarter_and_a_constant_per_256() -> None:
    assert optimizer_bytes("paged_adamw_8bit", [(1024, 64)]) == 2 * (65536 + 4 * 256)
    assert optimizer_bytes("paged_adamw_8bit", [(8, 8)]) == 2 * 4 * 64, "small ones stay in 32 bits"
    assert optimizer_bytes("paged_adamw_32bit", [(8, 8)]) == 2 * 4 * 64


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        ({"load_in_4bit": True}, 4 + 8 / 64 + 32 / (64 * 256)),  # 4.127, QLoRA section 3
        ({"load_in_4bit": True, "bnb_4bit_use_double_quant": False}, 4 + 32 / 64),
        ({"load_in_8bit": True}, 8),
        ({"load_in_8bit": True, "llm_int8_has_fp16_weight": True}, 16),
    ],
)
def test_quantised_weights_take_the_published_bits_and_the_rest_float32(
    quantization: dict[str, bool], bits: float
) -> None:
    config = configured(quantization=quantization, training={"bf16": True})
    shape = shape_of(PHI35)
    quantized = 32 * sum(linear.weights for linear in shape.linears.values())
    expected = quantized * bits / 8 + 4 * (shape.parameters - quantized)
    assert estimated(config, PHI35, cuda=True).weights == pytest.approx(expected, rel=1e-3)


def test_the_rtx3060_configuration_fits_into_its_card_and_without_checkpointing_does_not() -> None:
    from so8t.training.config import load_config

    file = Path(__file__).parents[4] / "configs" / "train_borea_phi35_so8t_thinking_rtx3060.yaml"
    config = load_config(file, {"data.train_data": "records.jsonl"}).config
    without = msgspec.convert(
        {**config.to_dict(), "training": {**config.to_dict()["training"], "gradient_checkpointing": False}}, Config
    )
    usable = 11.6 * 2**30
    assert estimated(config, PHI35, cuda=True).total < 0.8 * usable
    assert estimated(without, PHI35, cuda=True).total > usable


SHAPE = shape_of(PHI35)


@settings(deadline=None, max_examples=40)
@given(
    length=st.integers(8, 4096),
    batch=st.integers(1, 16),
    more=st.integers(1, 64),
    four_bit=st.booleans(),
    checkpointing=st.booleans(),
)
def test_longer_sequences_and_larger_batches_never_take_less(
    length: int, batch: int, more: int, four_bit: bool, checkpointing: bool
) -> None:
    def total(length: int, batch: int) -> int:
        config = configured(
            data={"max_seq_length": length},
            quantization={"load_in_4bit": four_bit},
            training={
                "per_device_train_batch_size": batch,
                "gradient_checkpointing": checkpointing,
                "bf16": True,
            },
        )
        return estimated(config, PHI35, cuda=True, shape=SHAPE).total

    assert total(length, batch) < total(length + more, batch)
    assert total(length, batch) < total(length, batch + more)


def test_what_is_split_over_devices_is_divided_and_activations_are_not() -> None:
    config = configured(training={"bf16": True})
    whole, half = (estimated(config, PHI35, cuda=True, shards=shards, shape=SHAPE) for shards in (1, 2))
    for name in ("weights", "adapters", "gradients", "optimizer"):
        assert getattr(half, name) == math.floor(getattr(whole, name) / 2)
    assert half.activations == whole.activations


def test_an_evaluation_in_large_batches_counts_too() -> None:
    def working(**data: Any) -> int:
        return estimated(
            configured(data=data, training={"per_device_eval_batch_size": 64}), PHI35, cuda=True, shape=SHAPE
        ).working

    assert working(eval_data="held_out.jsonl") > 10 * working()
