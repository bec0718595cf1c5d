"""What is found out about the machine, and checked, before the model is loaded."""

import json
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import torch
from transformers import Phi3Config

from so8t.errors import ConfigError, ModelError
from so8t.training.config_keys import Config
from so8t.training.loading import Machine, check_fits, check_sharding, load_model
from so8t.training.memory_advice import MemoryShort

SMALL: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "original_max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def configured(folder: Path | None = None, **sections: Any) -> Config:
    return msgspec.convert({"model": {"base_model": str(folder)}, **sections}, Config)


def card(free_bytes: int, **more: Any) -> Machine:
    return Machine(**{"cuda": True, "bf16": True, "free_bytes": free_bytes, **more})


@pytest.fixture
def only_a_configuration(tmp_path: Path) -> Path:
    """A model folder without weights: whoever loads them fails."""
    Phi3Config(**SMALL).save_pretrained(tmp_path)
    return tmp_path


def test_without_a_card_the_machines_memory_is_what_its_processes_share() -> None:
    assert not torch.cuda.is_available(), "this test is for machines without one"
    alone = Machine.here({})
    assert (alone.cuda, alone.bf16, alone.processes, alone.sharded) == (False, True, 1, False)
    assert 0 < alone.free_bytes <= psutil.virtual_memory().total
    launched = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    two = Machine.here(launched)
    assert (two.processes, two.sharded, two.fsdp_version) == (4, True, 2)
    assert two.free_bytes == pytest.approx(alone.free_bytes / 2, rel=0.2)


def test_imitated_bfloat16_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch says yes for every card, unless asked for the real thing (RTX 20 and older have none)."""
    asked: dict[str, Any] = {}

    def is_bf16_supported(including_emulation: bool = True) -> bool:
        asked["including_emulation"] = including_emulation
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5 << 30, 8 << 30) if device == 1 else (0, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    machine = Machine.here({"LOCAL_RANK": "1"})
    assert asked == {"including_emulation": False}
    assert machine == Machine(cuda=True, bf16=False, free_bytes=5 << 30)


def test_memory_is_judged_from_the_configuration_alone(only_a_configuration: Path) -> None:
    lines: list[str] = []
    estimate = check_fits(configured(only_a_configuration), Machine.here({}), lines.append)
    assert estimate.weights == 4 * (512 * 64 * 2 + 64 + 2 * (64 * 192 + 64 * 64 + 64 * 128 + 64 * 64 + 2 * 64))
    assert lines[0].startswith("memory: about ")


def test_too_small_a_card_is_refused_before_weights_are_read(only_a_configuration: Path) -> None:
    with pytest.raises(MemoryShort, match=r"memory: about .* needed, 100 MiB free on the GPU"):
        check_fits(configured(only_a_configuration), card(100 << 20), print)


def test_two_cards_that_share_a_model_need_less_each(only_a_configuration: Path) -> None:
    config = configured(only_a_configuration)
    alone = check_fits(config, card(8 << 30), print)
    shared = check_fits(config, card(8 << 30, processes=2, sharded=True), print)
    replicated = check_fits(config, card(8 << 30, processes=2), print)
    assert shared.weights == alone.weights // 2
    assert replicated == alone


@pytest.mark.parametrize(
    "content",
    ['{"model_type": "phi3", "hidden_size": "wide"}', '{"model_type": "never_heard_of"}', '{"model_type": "gpt2"}'],
)
def test_a_configuration_that_cannot_be_used_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert json.loads(content)
    with pytest.raises(ModelError, match=r"config\.json|is not supported"):
        check_fits(configured(tmp_path), Machine.here({}), print)


@pytest.mark.parametrize("switch", ["load_in_4bit", "load_in_8bit"])
def test_a_quantised_base_is_not_split(switch: str) -> None:
    config = configured(quantization={switch: True})
    with pytest.raises(ConfigError, match=r"do not go with FSDP.*ddp_2\.yaml"):
        check_sharding(config, card(8 << 30, processes=2, sharded=True), print)
    check_sharding(config, card(8 << 30, processes=2), print)


def test_fsdp_1_is_refused_with_the_configuration_to_use() -> None:
    machine = Machine.here({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"})
    with pytest.raises(ConfigError, match=r"FSDP 1 .*configs/accelerate/fsdp_2\.yaml"):
        check_sharding(configured(), machine, print)


@pytest.mark.parametrize(("training", "lines"), [({"bf16": True}, 1), ({}, 0)])
def test_deepspeed_is_said_to_round_the_gates(training: dict[str, bool], lines: int) -> None:
    said: list[str] = []
    check_sharding(configured(training=training), Machine.here({"ACCELERATE_USE_DEEPSPEED": "true"}), said.append)
    assert len(said) == lines
    assert all("half-precision generators" in line for line in said)


def test_fsdp_without_cards_is_said_to_be_data_parallel() -> None:
    lines: list[str] = []
    check_sharding(configured(), Machine(cuda=False, bf16=True, free_bytes=1, processes=2, sharded=True), lines.append)
    assert lines == ["FSDP needs GPUs, and there is none here: each process holds the whole model (DDP)"]


@pytest.mark.parametrize("switch", ["load_in_4bit", "load_in_8bit"])
def test_quantisation_without_a_card_is_refused_before_loading(only_a_configuration: Path, switch: str) -> None:
    config = configured(only_a_configuration, quantization={switch: True})
    with pytest.raises(ConfigError, match=f"quantization.{switch} needs a CUDA device, and there is none here"):
        load_model(config, Machine.here({}), print)
