"""Samples of the logits, on their own and within a run."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from so8t.training.logits import MOST_POSITIONS, LogitsSamples, summarise


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_kept_is_what_the_distribution_says() -> None:
    logits = torch.randn(2, 5, 97, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    kept = summarise(logits, mask)
    flat = logits.reshape(10, 97).double()
    probabilities = flat.softmax(-1)
    assert kept["token_ids"].shape == kept["logits"].shape == (10, 20)
    assert torch.equal(kept["token_ids"][:, 0].long(), flat.argmax(-1))
    assert torch.allclose(kept["logits"].double(), flat.sort(descending=True).values[:, :20])
    assert torch.allclose(kept["logsumexp"].double(), flat.logsumexp(-1))
    assert torch.allclose(kept["entropy"].double(), -(probabilities * probabilities.log()).sum(-1), atol=1e-5)
    assert kept["real_token"].tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_a_token_that_is_ruled_out_does_not_spoil_the_entropy() -> None:
    logits = torch.zeros(1, 1, 30)
    logits[..., 10:] = -math.inf
    assert summarise(logits, None)["entropy"].item() == pytest.approx(math.log(10))


def test_half_precision_and_small_vocabularies_are_kept_as_float32() -> None:
    kept = summarise(torch.zeros(1, 3, 7, dtype=torch.bfloat16), None)
    assert kept["logits"].dtype == torch.float32
    assert kept["token_ids"].shape == (3, 7)


def test_a_sample_has_a_limited_size(tmp_path: Path) -> None:
    path = LogitsSamples(tmp_path, 1, 5).write(1, torch.zeros(3, 2000, 30), torch.ones(3, 2000))
    assert load_file(path)["entropy"].shape == (MOST_POSITIONS,)
    assert path.stat().st_size < 1_000_000
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "step": "1", "batch": "3", "tokens": "2000"}


def test_the_oldest_samples_go_whichever_process_wrote_them(tmp_path: Path) -> None:
    """After a restart from step 10 an earlier process's files have the higher numbers, and are older all the same."""
    for age, step in ((30, 40), (20, 50)):
        path = LogitsSamples(tmp_path, 10, 2).write(step, torch.zeros(1, 2, 30), None)
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "notes.txt").write_text("not a sample", encoding="utf-8")
    LogitsSamples(tmp_path, 10, 2).write(20, torch.zeros(1, 2, 30), None)
    assert names(tmp_path) == ["notes.txt", "step_00000020.safetensors", "step_00000050.safetensors"]


@pytest.fixture
def train(tmp_path: Path) -> Any:
    """Train a tiny model with the trainer and give the run folder."""
    from transformers import Phi3Config, Phi3ForCausalLM, TrainingArguments

    from so8t.data.dataset import ThinkingCollator
    from so8t.training.trainer import SO8TPETTrainer

    def run(**options: Any) -> Path:
        torch.manual_seed(0)
        sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        limits = {"max_position_embeddings": 64, "original_max_position_embeddings": 64, "pad_token_id": 0}
        model = Phi3ForCausalLM(Phi3Config(vocab_size=97, num_key_value_heads=4, **sizes, **limits))
        arguments = TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=7,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=3,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        rows = [{"input_ids": list(range(3, 3 + n)), "labels": list(range(3, 3 + n))} for n in range(5, 29)]
        trainer = SO8TPETTrainer(
            model,
            arguments,
            train_dataset=rows,
            data_collator=ThinkingCollator(0, "left"),
            save_metrics=False,
            **options,
        )
        trainer.train()
        assert trainer.recording_failures == 0
        return tmp_path

    return run


def test_a_run_keeps_one_sample_for_each_step_that_is_due(train: Any) -> None:
    """Three micro-batches make a step, and one of them is kept."""
    run = train(save_logits=True, save_logits_steps=2, save_logits_max_files=2)
    assert names(run / "logits") == ["step_00000004.safetensors", "step_00000006.safetensors"]


def test_samples_are_off_by_default_and_their_folder_can_be_elsewhere(train: Any, tmp_path: Path) -> None:
    assert not (train() / "logits").exists()
    elsewhere = tmp_path / "other" / "place"
    train(save_logits=True, save_logits_steps=5, save_logits_dir=str(elsewhere))
    assert names(elsewhere) == ["step_00000005.safetensors"]
