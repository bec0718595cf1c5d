"""Runs the training job in this process, on the smallest model that has everything."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file
from transformers import TrainerState

from so8t.training import job
from so8t.training.config import load_config
from so8t.training.config_keys import Config
from so8t.training.job import JobResult, run_training

Settings = Callable[..., Config]


def make_settings(folder: Path, model_folder: Path, data_files: tuple[Path, Path], **changes: dict[str, Any]) -> Config:
    sections: dict[str, dict[str, Any]] = {
        "model": {"base_model": str(model_folder), "model_type": "phi3"},
        "qlora": {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
        "data": {"train_data": str(data_files[0]), "eval_data": str(data_files[1]), "max_seq_length": 1024},
        "training": {
            "output_dir": str(folder / "run"),
            "max_steps": 4,
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1.0e-2,
            "optim": "adamw_torch",
            "gradient_checkpointing": False,
            "logging_steps": 2,
            "eval_steps": 2,
            "save_steps": 2,
            "save_metrics_steps": 2,
        },
        "pipeline": {"model_name": "tiny_so8t"},
    }
    for section, keys in changes.items():
        sections.setdefault(section, {}).update(keys)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(sections), encoding="utf-8")
    return load_config(path).config


def train(config: Config, resume: str = "none", *, force: bool = False) -> tuple[JobResult, str]:
    """Run the job; give its result and what it said."""
    said = io.StringIO()
    folder, console = Path(str(config.training.output_dir)), Console(file=said, width=200)
    result = run_training(config, output_dir=folder, resume=resume, force=force, console=console)
    return result, said.getvalue()


def report_of(result: JobResult) -> dict[str, Any]:
    assert result.submission is not None
    report: dict[str, Any] = json.loads(result.submission.report.read_text(encoding="utf-8"))
    return report


def stopped_after_two(config: Config) -> JobResult:
    """A run that was asked to stop after its second step."""
    patch = pytest.MonkeyPatch()
    original = job.StopCallback.on_step_end

    def ask(self: Any, args: Any, state: TrainerState, control: Any, **more: Any) -> Any:
        if state.global_step == 2:
            self._request.reason = "SIGTERM"
        return original(self, args, state, control, **more)

    patch.setattr(job.StopCallback, "on_step_end", ask)
    try:
        return train(config)[0]
    finally:
        patch.undo()


def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, tables and report as always, made in this process and without curves, which take seconds."""
    original = job.recorder_options
    quick = {"companion": False, "save_plots": False}
    monkeypatch.setattr(job, "recorder_options", lambda *args, **more: {**original(*args, **more), **quick})


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_tensors(folder: Path, other: Path) -> bool:
    """Whether gates and adapter are the same numbers; the order of safetensors' metadata changes from file to file."""
    for name in ("so8_gates.safetensors", "adapter_model.safetensors"):
        ours, theirs = load_file(folder / name), load_file(other / name)
        if ours.keys() != theirs.keys() or not all(torch.equal(ours[key], theirs[key]) for key in ours):
            return False
    return True
