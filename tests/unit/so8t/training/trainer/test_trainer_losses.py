"""What the trainer differentiates and what it records about it, against the same numbers computed by hand."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from so8t.data.dataset import Row
from so8t.errors import ModelError
from so8t.model.attach import find_gates
from so8t.model.pet import FinalHiddenState, second_difference_penalty
from so8t.model.rotation import so8t_loss

LENGTHS = [25, 3, 14, 6, 4, 19, 8]
ALWAYS_SAME = {"pet_regularization": {"lambda_exploration": 0.3, "lambda_transition": 0.3, "lambda_stabilization": 0.3}}


class KeepGradients(TrainerCallback):
    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, *, model: nn.Module, **_: Any) -> None:
        self.steps.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})


def by_hand(model: nn.Module, rows: list[Row], reduction: str = "mean") -> tuple[Tensor, Tensor, Tensor, float]:
    """LM, PET and so8t loss of one optimizer step over `rows`, sequence by sequence, and the share predicted right."""
    model.train()
    sums, penalties, tokens, correct = [], [], 0, 0
    for row in rows:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])[1:]
        with FinalHiddenState(model) as hidden:
            logits = model(input_ids=ids).logits[0, :-1]
            penalties.append(second_difference_penalty(hidden.take(), reduction=reduction))
        sums.append(nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum"))
        tokens += int((labels != -100).sum())
        correct += int((logits.argmax(-1) == labels).sum())
    stacked = torch.stack(penalties)
    penalty = stacked.mean() if reduction == "mean" else stacked.sum()
    return (
        torch.stack(sums).sum() / tokens,
        penalty,
        so8t_loss(find_gates(model).values(), 1e-4, 1e-2),
        correct / tokens,
    )


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    difference = sum(float((one[n] - other[n]).square().sum()) for n in one)
    return math.sqrt(difference / sum(float(other[n].square().sum()) for n in other))


@pytest.mark.parametrize(("batch", "accumulation"), [(4, 1), (2, 2), (1, 4)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_r13_gradients_and_rows_are_those_of_the_whole_step_however_it_is_cut_up(
    tmp_path: Path,
    make_trainer: Callable[..., Any],
    make_model: Callable[..., nn.Module],
    make_rows: Any,
    read_rows: Any,
    batch: int,
    accumulation: int,
    reduction: str,
) -> None:
    """Seven sequences of very different lengths in steps of four: the second has three, in ragged micro-batches."""
    rows = make_rows(LENGTHS)
    kept = KeepGradients()
    trainer = make_trainer(
        tmp_path,
        model=make_model(dtype=torch.float64),
        rows=rows,
        pet_regularization={**ALWAYS_SAME["pet_regularization"], "reduction": reduction},
        callbacks=[kept],
        arguments={
            "max_steps": 2,
            "per_device_train_batch_size": batch,
            "gradient_accumulation_steps": accumulation,
            "train_sampling_strategy": "sequential",
            "learning_rate": 0.0,
            "weight_decay": 0.0,
            "max_grad_norm": 0.0,
        },
    )
    trainer.train()

    recorded = read_rows(tmp_path)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    for step, part in enumerate((rows[:4], rows[4:])):
        model = make_model(dtype=torch.float64)
        lm, penalty, gates, accuracy = by_hand(model, part, reduction)
        total = lm + 0.3 * penalty + gates
        total.backward()
        expected = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        assert distance(kept.steps[step], expected) < 1e-6
        row = recorded[step]
        for name, value in {
            "loss": total,
            "lm_loss": lm,
            "pet_loss": 0.3 * penalty,
            "pet_penalty": penalty,
            "so8t_loss": gates,
            "accuracy": accuracy,
            "perplexity": lm.exp(),
            "grad_norm": torch.stack([g.norm() for g in expected.values()]).norm(),
        }.items():
            assert row[name] == pytest.approx(torch.as_tensor(value).item(), rel=1e-6), name
        assert row["pet_lambda"] == 0.3
        assert logged[step] == pytest.approx(total.item(), rel=1e-6)


def test_r13_a_row_weighs_every_token_of_its_window_the_same(
    tmp_path: Path, make_trainer: Any, make_model: Any, make_rows: Any, read_rows: Any
) -> None:
    """Four steps of unequal size in one row: lm_loss is the mean over tokens, not over steps or micro-batches."""
    rows = make_rows([25, 3, 14, 6, 4, 19, 8, 5])
    arguments = {"max_steps": 4, "learning_rate": 0.0, "weight_decay": 0.0}
    make_trainer(tmp_path, rows=rows, save_metrics_steps=4, arguments=arguments, **ALWAYS_SAME).train()
    (row,) = read_rows(tmp_path)
    lm, penalty, gates, accuracy = by_hand(make_model(), rows)
    assert row["window_steps"] == 4
    assert row["lm_loss"] == pytest.approx(lm.item(), rel=1e-6)
    assert row["pet_penalty"] == pytest.approx(penalty.item(), rel=1e-5)
    assert row["so8t_loss"] == pytest.approx(gates.item(), rel=1e-6)
    assert row["accuracy"] == pytest.approx(accuracy)
    assert row["tokens_seen"] == sum(len(r["input_ids"]) for r in rows)
    mean_of_means = sum(by_hand(make_model(), [r])[0].item() for r in rows) / len(rows)
    assert abs(mean_of_means - lm.item()) > 1e-3


def test_r12_perplexity_is_of_the_language_model_loss_alone(tmp_path: Path, make_trainer: Any, read_rows: Any) -> None:
    make_trainer(tmp_path, pet_regularization={"lambda_exploration": 9.0}, save_metrics_steps=3).train()
    for row in read_rows(tmp_path):
        assert row["perplexity"] == pytest.approx(math.exp(row["lm_loss"]), rel=1e-12)
        assert row["loss"] > row["lm_loss"]


def test_the_loss_is_the_sum_of_its_terms(tmp_path: Path, make_trainer: Any, read_rows: Any) -> None:
    make_trainer(tmp_path, save_metrics_steps=2).train()
    for row in read_rows(tmp_path):
        assert abs(row["loss"] - row["lm_loss"] - row["pet_loss"] - row["so8t_loss"]) < 1e-6
        assert row["pet_loss"] > 0
        assert row["so8t_loss"] > 0


def test_r03_without_pet_and_gates_their_keys_are_absent_and_nothing_fails(
    tmp_path: Path, make_trainer: Any, make_model: Any, read_rows: Any
) -> None:
    for number, off in enumerate((None, {"enabled": False})):
        run = tmp_path / str(number)
        trainer = make_trainer(run, model=make_model(gates=False), pet_regularization=off)
        trainer.train()
        assert trainer.recording_failures == trainer.recorder.errors == 0
        for row in read_rows(run):
            assert not {"pet_loss", "pet_penalty", "pet_lambda", "so8t_loss"} & row.keys()
            assert row["loss"] == row["lm_loss"]


def test_without_anything_to_train_training_does_not_begin(tmp_path: Path, make_trainer: Any, make_model: Any) -> None:
    model = make_model().requires_grad_(False)
    with pytest.raises(ModelError, match="no trainable parameter"):
        make_trainer(tmp_path, model=model).train()
    assert not (tmp_path / "metrics").exists()


def test_r16_the_gates_learn_at_their_own_rate_without_decay(tmp_path: Path, make_trainer: Any, read_rows: Any) -> None:
    """Each row has the rate its own step used: the first of a linear schedule with warm-up is 0, and so recorded."""
    trainer = make_trainer(
        tmp_path,
        gate_lr_factor=3.0,
        arguments={"max_steps": 4, "warmup_steps": 2, "learning_rate": 0.1, "weight_decay": 0.5, "optim": "sgd"},
    )
    trainer.train()
    rows = read_rows(tmp_path)
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.0, 0.05, 0.1, 0.05])
    assert [row["learning_rate_gates"] for row in rows] == pytest.approx([0.0, 0.15, 0.3, 0.15])
    logged = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
    assert logged == [row["learning_rate"] for row in rows]
    groups = {group["name"]: group for group in trainer.optimizer.param_groups}
    assert [group["weight_decay"] for group in groups.values()] == [0.5, 0.0, 0.0]
    assert {id(p) for p in groups["gates"]["params"]} == {id(g.theta) for g in find_gates(trainer.model).values()}


def test_r16_a_rate_that_cannot_be_read_is_absent_and_not_zero(
    tmp_path: Path, make_trainer: Any, read_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(groups: object) -> dict[str, float]:
        raise RuntimeError("the schedule has not begun")

    monkeypatch.setattr("so8t.training.recorded_trainer.learning_rates", fails)
    trainer = make_trainer(tmp_path)
    trainer.train()
    rows = read_rows(tmp_path)
    assert len(rows) == 6
    assert all("learning_rate" not in row for row in rows)
    assert trainer.recording_failures == 6


def test_a_model_that_takes_no_token_count_has_its_means_divided_by_the_accumulation(
    tmp_path: Path, make_trainer: Any, make_model: Any, make_rows: Any, read_rows: Any
) -> None:
    """Then the Trainer passes no `num_items_in_batch`: the step is the mean of the micro-batches' means, once."""
    rows, kept = make_rows([9, 9, 9, 9]), KeepGradients()
    trainer = make_trainer(
        tmp_path,
        rows=rows,
        callbacks=[kept],
        arguments={"max_steps": 1, "gradient_accumulation_steps": 4, "max_grad_norm": 0.0},
        **ALWAYS_SAME,
    )
    trainer.model_accepts_loss_kwargs = False
    trainer.train()
    model = make_model()
    lm, penalty, gates, _ = by_hand(model, rows)
    total = lm + 0.3 * penalty + gates
    total.backward()
    expected = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert distance(kept.steps[0], expected) < 1e-5
    (row,) = read_rows(tmp_path)
    assert row["lm_loss"] == pytest.approx(lm.item(), rel=1e-5)
    assert trainer.state.log_history[0]["loss"] == pytest.approx(total.item(), rel=1e-5)


def test_recomputed_activations_change_neither_gradients_nor_rows(
    tmp_path: Path, make_trainer: Any, read_rows: Any
) -> None:
    kept = {recompute: KeepGradients() for recompute in (True, False)}
    for recompute, callback in kept.items():
        arguments = {"max_steps": 2, "activation_checkpointing": recompute}
        make_trainer(tmp_path / str(recompute), callbacks=[callback], arguments=arguments).train()
    for one, other in zip(kept[True].steps, kept[False].steps, strict=True):
        assert distance(one, other) < 1e-6
    losses = [[row["loss"] for row in read_rows(tmp_path / str(recompute))] for recompute in kept]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
