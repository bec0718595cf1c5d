"""A real Trainer on a Phi-3 so small that a run takes a fraction of a second."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import Phi3Config, Phi3ForCausalLM, TrainingArguments

from so8t.data.dataset import Row, ThinkingCollator
from so8t.model.attach import attach_gates, mark_gates_trainable
from so8t.training.trainer import SO8TPETTrainer

MakeModel = Callable[..., nn.Module]
MakeTrainer = Callable[..., SO8TPETTrainer]
MakeRows = Callable[[Sequence[int]], list[Row]]
ReadRows = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture
def make_rows() -> MakeRows:
    """Rows of the given lengths; the first two tokens of each carry no loss."""

    def make(lengths: Sequence[int]) -> list[Row]:
        generator = torch.Generator().manual_seed(7)
        rows = []
        for length in lengths:
            ids = torch.randint(3, 97, (length,), generator=generator).tolist()
            rows.append(Row(input_ids=ids, labels=[-100, -100, *ids[2:]]))
        return rows

    return make


@pytest.fixture
def make_model() -> MakeModel:
    """A Phi-3 drawn from a seed, with gates away from the identity unless told otherwise."""

    def make(
        *, gates: bool = True, lora: bool = False, dropout: float = 0.0, dtype: torch.dtype = torch.float32
    ) -> nn.Module:
        torch.manual_seed(3)
        config = Phi3Config(
            vocab_size=97,
            hidden_size=64,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=128,
            original_max_position_embeddings=128,
            resid_pdrop=dropout,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
        model: nn.Module = Phi3ForCausalLM(config)
        if gates:
            attach_gates(model, init="normal", init_scale=0.05)
        if lora:
            model = get_peft_model(
                model, LoraConfig(r=2, target_modules=["o_proj", "qkv_proj"], lora_dropout=dropout, bias="none")
            )
            mark_gates_trainable(model)
        return model.to(dtype)

    return make


@pytest.fixture
def make_trainer(make_model: MakeModel, make_rows: MakeRows) -> MakeTrainer:
    """A trainer that records in this process; keywords of TrainingArguments go in `arguments`."""

    def make(
        output_dir: Path,
        *,
        model: nn.Module | None = None,
        rows: list[Row] | None = None,
        arguments: dict[str, Any] | None = None,
        **options: Any,
    ) -> SO8TPETTrainer:
        settings = {
            "output_dir": str(output_dir),
            "max_steps": 6,
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1e-3,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            **(arguments or {}),
        }
        defaults: dict[str, Any] = {
            "pet_regularization": {"enabled": True},
            "orthogonal_reg": 1e-4,
            "rotation_reg": 1e-2,
            "save_metrics_steps": 1,
            "recorder_options": {"model_name": "tiny", "companion": False, "save_plots": False},
        }
        return SO8TPETTrainer(
            model if model is not None else make_model(),
            TrainingArguments(**settings),
            train_dataset=rows if rows is not None else make_rows([9, 5, 14, 6, 11, 7, 8, 12]),
            data_collator=ThinkingCollator(0, "left"),
            **{**defaults, **options},
        )

    return make


@pytest.fixture
def read_rows() -> ReadRows:
    """The rows of a run folder, non-finite values as numbers."""

    def read(run_dir: Path) -> list[dict[str, Any]]:
        rows = json.loads((run_dir / "metrics" / "training_metrics.json").read_text(encoding="utf-8"))
        names = ("NaN", "Infinity", "-Infinity")
        return [{name: float(v) if v in names else v for name, v in row.items()} for row in rows]

    return read
