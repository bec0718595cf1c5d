"""What is said about memory before anything is loaded, and whether the advice is true."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Phi3Config

from so8t.errors import So8tError
from so8t.training.config_keys import Config
from so8t.training.memory import estimate_memory
from so8t.training.memory_advice import CLEARLY_TOO_MUCH, CLOSE, MemoryShort, check_memory, suggestions

PHI35 = Phi3Config(vocab_size=32064, hidden_size=3072, intermediate_size=8192, num_hidden_layers=32)
GIB = 1 << 30
CARD: dict[str, Any] = {"cuda": True, "bf16_supported": True, "bitsandbytes_installed": True}
COMPUTER: dict[str, Any] = {"cuda": False, "bf16_supported": True}


def configured(
    *, checkpointing: bool = True, length: int = 1024, batch: int = 1, accumulation: int = 16, **sections: Any
) -> Config:
    return msgspec.convert(
        {
            "qlora": {"r": 32, "lora_alpha": 64},
            "data": {"max_seq_length": length},
            "training": {
                "bf16": True,
                "gradient_checkpointing": checkpointing,
                "per_device_train_batch_size": batch,
                "gradient_accumulation_steps": accumulation,
            },
            **sections,
        },
        Config,
    )


def told(config: Config, free: float, machine: dict[str, Any] | None = None) -> str:
    lines: list[str] = []
    check_memory(config, PHI35, int(free), **(machine or CARD), tell=lines.append)
    assert len(lines) == 1
    return lines[0]


def refused(config: Config, free: float) -> str:
    with pytest.raises(MemoryShort) as caught:
        told(config, free)
    assert isinstance(caught.value, So8tError)
    assert caught.value.exit_code == 2
    return str(caught.value)


def changed(config: Config, changes: Any) -> Config:
    sections = config.to_dict()
    for name, value in changes.items():
        section, key = name.split(".")
        sections[section][key] = value
    return msgspec.convert(sections, Config)


def total(config: Config, machine: dict[str, Any] | None = None) -> int:
    return estimate_memory(config, PHI35, **(machine or CARD)).total


def test_a_run_that_fits_is_told_in_one_line_with_its_largest_parts() -> None:
    line = told(configured(), 11.6 * GIB)
    assert line.startswith("memory: about 8.7 GiB needed, 11.6 GiB free on the GPU (weights 7.1 GiB, ")
    assert "fit" not in line


def test_the_margins_are_where_they_are_said_to_be() -> None:
    config = configured()
    needed = total(config)
    assert "this is close" not in told(config, needed / CLOSE + 1)
    assert "this is close" in told(config, needed / CLOSE - 1)
    assert "this is close" in told(config, needed / CLEARLY_TOO_MUCH + 1)
    refused(config, needed / CLEARLY_TOO_MUCH - 1)


def test_four_bits_come_first_then_checkpointing_then_batch_then_length() -> None:
    config = configured(checkpointing=False, batch=2)
    found = suggestions(config, PHI35, 20 * GIB, **CARD)
    assert [next(iter(suggestion.changes)) for suggestion in found] == [
        "quantization.load_in_4bit",
        "training.gradient_checkpointing",
        "training.per_device_train_batch_size",
        "data.max_seq_length",
    ]


def test_a_smaller_batch_keeps_the_effective_batch() -> None:
    found = suggestions(configured(batch=8, length=2048), PHI35, int(11.6 * GIB), **CARD)
    assert found[0].changes == {
        "training.per_device_train_batch_size": 1,
        "training.gradient_accumulation_steps": 128,
    }


def test_the_message_says_what_is_needed_what_is_free_and_which_keys_to_write() -> None:
    message = refused(configured(checkpointing=False, length=2048), 11.6 * GIB)
    assert "19.3 GiB needed, 11.6 GiB free on the GPU (activations 10.4 GiB, weights 7.1 GiB" in message
    assert "training.gradient_checkpointing: true would fit (9.4 GiB of 11.6 GiB)" in message
    assert "data.max_seq_length: 448 would fit (10.5 GiB of 11.6 GiB)" in message
    assert "bitsandbytes" not in message


def test_four_bits_name_what_has_to_be_installed() -> None:
    message = refused(configured(), 7.6 * GIB)
    assert "quantization.load_in_4bit: true would fit (4.4 GiB of 7.6 GiB); load_in_4bit needs bitsandbytes" in message


def test_the_longest_sequences_that_fit_are_named() -> None:
    config = configured(checkpointing=False, length=4096)
    length = suggestions(config, PHI35, int(11.6 * GIB), **CARD)[-1].changes["data.max_seq_length"]
    assert isinstance(length, int)
    assert total(changed(config, {"data.max_seq_length": length})) <= CLOSE * 11.6 * GIB
    assert total(changed(config, {"data.max_seq_length": length + 64})) > CLOSE * 11.6 * GIB


def test_where_no_change_is_enough_alone_several_are_named_together() -> None:
    config = configured(checkpointing=False, batch=8, length=2048)
    (together,) = suggestions(config, PHI35, 8 * GIB, **CARD)
    assert set(together.changes) >= {"quantization.load_in_4bit", "training.gradient_checkpointing"}
    assert together.total <= CLOSE * 8 * GIB


def test_where_nothing_is_enough_other_hardware_is_named() -> None:
    assert "a smaller model, a larger card, or several (docs/guide/beyond-one-card.md)" in refused(configured(), GIB)


def test_training_the_whole_model_is_advised_to_train_adapters() -> None:
    config = configured(qlora={"enabled": False})
    assert "qlora.enabled: true" in refused(config, 12 * GIB)
    assert all("quantization.load_in_4bit" not in s.changes for s in suggestions(config, PHI35, 64 * GIB, **CARD))


def test_eight_bits_give_way_to_four() -> None:
    config = configured(quantization={"load_in_8bit": True})
    changes = suggestions(config, PHI35, int(total(config) * 0.9), **CARD)[0].changes
    assert changes == {"quantization.load_in_4bit": True, "quantization.load_in_8bit": False}


@pytest.mark.parametrize(("free", "expected"), [(64, "64.0 GiB free in this machine"), (5, "this is too much")])
def test_a_machine_without_a_card_is_told_and_never_refused(free: int, expected: str) -> None:
    line = told(configured(), free * GIB, COMPUTER)
    assert expected in line
    assert "load_in_4bit" not in line, "it cannot run there"


@settings(deadline=None, max_examples=40)
@given(
    free=st.floats(0.5, 48),
    length=st.integers(8, 4096),
    batch=st.integers(1, 16),
    checkpointing=st.booleans(),
    cuda=st.booleans(),
)
def test_every_suggestion_fits_as_it_says(
    free: float, length: int, batch: int, checkpointing: bool, cuda: bool
) -> None:
    config = configured(checkpointing=checkpointing, length=length, batch=batch)
    machine = CARD if cuda else COMPUTER
    for suggestion in suggestions(config, PHI35, int(free * GIB), **machine):
        after = changed(config, suggestion.changes)
        assert after != config
        assert suggestion.total == total(after, machine) <= CLOSE * free * GIB
        product = after.training.per_device_train_batch_size * after.training.gradient_accumulation_steps
        assert product == batch * 16
