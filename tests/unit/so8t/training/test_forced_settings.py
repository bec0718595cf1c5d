"""`--force`: what a run resumed under other settings really does, setting by setting."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki import TrainingMetricsRecorder
from so8t.errors import CheckpointError
from so8t.training.config_keys import Config
from so8t.training.job import JobResult
from so8t.training.resume_settings import FIXED
from training_job import make_settings, report_of, same_tensors, snapshot, train, without_drawing

Changes = dict[str, dict[str, Any]]
Rows = list[dict[str, Any]]


def logged(result: JobResult) -> Rows:
    """What the Trainer logged."""
    state = (result.run_dir / "checkpoints" / "checkpoint-6" / "trainer_state.json").read_text(encoding="utf-8")
    history: Rows = json.loads(state)["log_history"]
    return history


SCHEDULE: list[Changes] = [
    {"training": {"learning_rate": 5.0e-3}},
    {"training": {"lr_scheduler_type": "linear"}},
    {"training": {"lr_scheduler_type": "polynomial", "learning_rate": 5.0e-3}},
    {"training": {"warmup_ratio": 0.5}},
    {"training": {"warmup_steps": 5}},
    {"training": {"max_steps": 8}},
    {"training": {"max_steps": -1, "num_train_epochs": 1.0}},
    {"so8t": {"gate_lr_factor": 0.5}},
]
"""Settings that the learning rate of a step follows from."""

FINAL: list[Changes] = [
    {"training": {"weight_decay": 5.0}},
    {"training": {"adam_beta1": 0.5}},
    {"training": {"adam_beta2": 0.9}},
    {"training": {"adam_epsilon": 1.0e-2}},
    {"training": {"max_grad_norm": 1.0e-3}},
    {"training": {"per_device_train_batch_size": 2}},
    {"training": {"gradient_accumulation_steps": 1}},
    {"training": {"bf16": True}},
    {"model": {"torch_dtype": "bfloat16"}},
    {"qlora": {"lora_alpha": 16}},
    {"qlora": {"lora_dropout": 0.5}},
    {"so8t": {"orthogonal_reg": 10.0, "rotation_reg": 1.0}},
    {"pet": {"enabled": False}},
    {"pet": {"lambda_exploration": 5.0, "lambda_transition": 5.0, "lambda_stabilization": 5.0}},
    {"pet": {"exploration_ratio": 0.9, "transition_ratio": 0.05, "stabilization_ratio": 0.05}},
    {"pet": {"huber_delta": 1.0e-3}},
    {"pet": {"reduction": "sum"}},
    {"pet": {"normalize": "rms"}},
    {"data": {"sample_ratio": 0.5}},
    {"data": {"max_seq_length": 270}},
    {"data": {"train_data": "OTHER"}},
    {"data": {"train_data": None, "train_data_dir": "FOLDER", "train_data_pattern": "other*.jsonl"}},
    {"data": {"train_data": None, "fallback_train_data": "OTHER"}},
]
"""Settings that the trained weights follow from."""

SEEN: dict[str, tuple[Changes, Callable[[JobResult, str], object], object]] = {
    "save_steps": (
        {"training": {"save_steps": 3, "save_total_limit": 9}},
        lambda result, said: sorted(path.name for path in (result.run_dir / "checkpoints").iterdir()),
        ["checkpoint-2", "checkpoint-3", "checkpoint-6"],
    ),
    "save_total_limit": (
        {"training": {"save_total_limit": 1}},
        lambda result, said: [path.name for path in (result.run_dir / "checkpoints").iterdir()],
        ["checkpoint-6"],
    ),
    "save_strategy": (
        {"training": {"save_strategy": "no"}},
        lambda result, said: [path.name for path in (result.run_dir / "checkpoints").iterdir()],
        ["checkpoint-2"],
    ),
    "save_minutes": (
        {"training": {"save_minutes": 0.5}},
        lambda result, said: "or 30 s of work and one step where that is less" in said,
        True,
    ),
    "eval_steps": (
        {"training": {"eval_steps": 3}},
        lambda result, said: [row["step"] for row in report_of(result)["evaluation"]["history"]],
        [0, 2, 3, 6],
    ),
    "eval_strategy": (
        {"training": {"eval_strategy": "no"}},
        lambda result, said: [row["step"] for row in report_of(result)["evaluation"]["history"]],
        [0, 2],
    ),
    "eval_data": (
        {"data": {"eval_data": None}},
        lambda result, said: [row["step"] for row in report_of(result)["evaluation"]["history"]],
        [0, 2],
    ),
    "logging_steps": (
        {"training": {"logging_steps": 3}},
        lambda result, said: [entry["step"] for entry in logged(result) if "loss" in entry],
        [1, 2, 3, 6],
    ),
    "save_metrics_steps": (
        {"training": {"save_metrics_steps": 4}},
        lambda result, said: [row["step"] for row in report_of(result)["metrics"]["history"]],
        [1, 2, 4, 6],
    ),
    "save_metrics": (
        {"training": {"save_metrics": False}},
        lambda result, said: (result.submission, result.status),
        (None, "completed"),
    ),
    "save_logits": (
        {"training": {"save_logits": True, "save_logits_steps": 2, "save_logits_dir": "l", "save_logits_max_files": 1}},
        lambda result, said: len(list((result.run_dir / "l").glob("*.safetensors"))),
        1,
    ),
    "model_name": (
        {"pipeline": {"model_name": "another"}},
        lambda result, said: report_of(result)["model_info"]["name"],
        "another",
    ),
    "language": ({"poc": {"language": "ja"}}, lambda result, said: "から学習を再開します" in said, True),
}
"""Settings that show elsewhere: what changes, where to look, what must stand there."""

NOT_IN_NUMBERS = {
    "model.base_model",  # other weights are seen by their digests
    "model.model_type",  # checks only
    "training.effective_batch_size",
    "quantization.load_in_8bit",  # given to `from_pretrained`, which no checkpoint takes part in; need CUDA
    "quantization.load_in_4bit",
    "quantization.llm_int8_threshold",
    "quantization.llm_int8_has_fp16_weight",
    "quantization.bnb_4bit_quant_type",
    "quantization.bnb_4bit_compute_dtype",
    "quantization.bnb_4bit_use_double_quant",
    "training.fp16",
    "so8t.use_efficient_attention",  # another way to the same values
    "training.gradient_checkpointing",
    "training.per_device_eval_batch_size",
    "training.dataloader_num_workers",
    "training.dataloader_pin_memory",
    "training.report_to",  # one value only
    "qlora.task_type",
    "training.output_dir",  # names and statements, printed as they are now
    "pipeline.base_output_dir",
    "data.statement",
}
"""Settings that are read anew in every attempt, and whose effect is not to be seen on this machine or not at all."""


def keys_of(changes: Changes) -> set[str]:
    return {f"{section}.{key}" for section, keys in changes.items() for key in keys}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the reports only what is read here."""
    without_drawing(monkeypatch)
    made = TrainingMetricsRecorder.generate_poc_report
    monkeypatch.setattr(
        TrainingMetricsRecorder, "generate_poc_report", lambda self, **given: made(self, **given, formats=("json",))
    )


@pytest.fixture(scope="module")
def settings_in(model_folder: Path, data_files: tuple[Path, Path]) -> Callable[..., Config]:
    """Give a function that makes settings in a folder: six steps, every one with a row, a checkpoint every second."""
    training = {"max_steps": 6, "save_metrics_steps": 1, "logging_steps": 1, "save_total_limit": None}

    def make(folder: Path, **changes: dict[str, Any]) -> Config:
        other = folder / "other.jsonl"
        other.write_bytes(b"".join(data_files[0].read_bytes().splitlines(keepends=True)[3:12]))
        named = {"OTHER": str(other), "FOLDER": str(folder)}
        given = {s: {k: named.get(str(v), v) for k, v in keys.items()} for s, keys in changes.items()}
        given["training"] = {**training, **given.get("training", {})}
        return make_settings(folder, model_folder, data_files, **given)

    return make


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, settings_in: Callable[..., Config]) -> tuple[Path, Rows]:
    """A completed run, not to be changed, and its rows: what resuming its second step under its own settings makes."""
    patch = pytest.MonkeyPatch()
    without_drawing(patch)
    folder = tmp_path_factory.mktemp("whole")
    result, _ = train(settings_in(folder))
    patch.undo()
    return result.run_dir, report_of(result)["metrics"]["history"]


@pytest.fixture
def forced(
    tmp_path: Path, whole: tuple[Path, Rows], settings_in: Callable[..., Config]
) -> Callable[..., tuple[JobResult, str]]:
    """Give a function that resumes the second step of a copy of the completed run under changed settings."""

    def resume(step: int = 2, **changes: dict[str, Any]) -> tuple[JobResult, str]:
        shutil.copytree(whole[0], tmp_path / "run")
        return train(settings_in(tmp_path, **changes), str(tmp_path / f"run/checkpoints/checkpoint-{step}"), force=True)

    return resume


def rates(rows: Rows) -> list[tuple[int, float, float | None]]:
    return [(row["step"], row["learning_rate"], row.get("learning_rate_gates")) for row in rows if row["step"] > 2]


@pytest.mark.parametrize("changes", SCHEDULE, ids=lambda changes: ",".join(sorted(keys_of(changes))))
def test_from_the_first_step_on_the_learning_rates_are_those_of_a_run_under_these_settings(
    tmp_path: Path, forced: Any, whole: Any, settings_in: Any, changes: Changes
) -> None:
    (tmp_path / "new").mkdir()
    new, _ = train(settings_in(tmp_path / "new", **changes))
    result, _ = forced(**changes)
    rows = report_of(result)["metrics"]["history"]
    assert rates(rows) == rates(report_of(new)["metrics"]["history"])
    assert rates(rows) != rates(whole[1])
    assert not same_tensors(result.run_dir / "final", whole[0] / "final")


@pytest.mark.parametrize("changes", FINAL, ids=lambda changes: ",".join(sorted(keys_of(changes))))
def test_what_shapes_the_weights_shapes_them_from_there_on(forced: Any, whole: Any, changes: Changes) -> None:
    result, _ = forced(**changes)
    assert not same_tensors(result.run_dir / "final", whole[0] / "final")


@pytest.mark.parametrize("name", SEEN)
def test_what_shows_elsewhere_shows(forced: Any, name: str) -> None:
    changes, look, expected = SEEN[name]
    assert look(*forced(**changes)) == expected


def test_a_setting_that_changes_no_number_changes_none(forced: Any, whole: Any) -> None:
    """What is applied anew is, to the last bit, what the checkpoint brought."""
    result, said = forced(pipeline={"model_name": "another"})
    assert "--force: training goes on under other settings: pipeline.model_name" in said
    assert same_tensors(result.run_dir / "final", whole[0] / "final")
    assert rates(report_of(result)["metrics"]["history"]) == rates(whole[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"seed": 1}},
        {"training": {"optim": "sgd"}},
        {"qlora": {"r": 4}},
        {"qlora": {"enabled": False}},
        {"qlora": {"bias": "all"}},
        {"qlora": {"target_modules": ["o_proj"]}},
        {"model": {"freeze_base_model": True}},
        {"so8t": {"enabled": False}},
        {"so8t": {"layer_indices": [0]}},
        {"so8t": {"init": "normal"}},
        {"so8t": {"parameterization": "cayley"}},
        {"poc": {"criteria": [{"metric": "loss", "operator": "<", "threshold": 1.0}]}},
    ],
    ids=lambda changes: ",".join(sorted(keys_of(changes))),
)
def test_what_cannot_take_effect_is_refused_even_with_force_and_nothing_changes(
    tmp_path: Path, forced: Any, whole: Any, changes: Changes
) -> None:
    (key,) = keys_of(changes)
    with pytest.raises(CheckpointError, match="not even with --force") as refused:
        forced(**changes)
    assert f"{key} " in str(refused.value)
    assert FIXED[key] in str(refused.value)
    assert "begin a new run" in str(refused.value)
    assert snapshot(tmp_path / "run") == snapshot(whole[0])


@pytest.mark.parametrize("changes", [{"training": {"max_steps": 4}}, {"pipeline": {"model_name": "another"}}])
def test_no_step_is_trained_beyond_the_last_one(tmp_path: Path, forced: Any, whole: Any, changes: Changes) -> None:
    with pytest.raises(CheckpointError, match="nothing is left to train"):
        forced(6, **changes)
    assert snapshot(tmp_path / "run") == snapshot(whole[0])


def test_of_every_setting_it_is_known_what_force_does_with_it() -> None:
    seen = [changes for changes, _, _ in SEEN.values()]
    tried = functools.reduce(set.union, map(keys_of, [*SCHEDULE, *FINAL, *seen]))
    keys = {f"{section}.{key}" for section, group in Config().to_dict().items() for key in group}
    printed = {key for key in keys if key.startswith(("poc.", "hub."))} - FIXED.keys()
    assert keys - tried - FIXED.keys() - printed == NOT_IN_NUMBERS
    assert not FIXED.keys() & (tried | NOT_IN_NUMBERS)
