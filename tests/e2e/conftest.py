"""What the end-to-end tests share: the smallest model that has everything, a few records, settings, a way to start."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from so8t.data.thinking import read_records
from so8t.data.thinking_record import render_assistant

REPOSITORY = Path(__file__).parents[2]
SAMPLE = REPOSITORY / "examples" / "data" / "quadruple_thinking_train.jsonl"


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model/`, `train.jsonl` and `eval.jsonl`."""
    from so8t.model.tiny import build

    folder = tmp_path_factory.mktemp("inputs")
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    (folder / "train.jsonl").write_bytes(b"".join(lines[:24]))
    (folder / "eval.jsonl").write_bytes(b"".join(lines[24:28]))
    records = read_records(folder / "train.jsonl").records
    texts = [text for record in records for text in (record.instruction, render_assistant(record))]
    build(folder / "model", texts, hidden=32, layers=2, heads=2, intermediate=32, vocabulary=700)
    return folder


def settings(inputs: Path, **changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sections of a configuration file, with changed keys."""
    sections: dict[str, dict[str, Any]] = {
        "model": {"base_model": str(inputs / "model"), "model_type": "phi3"},
        "qlora": {"r": 2, "lora_alpha": 4},
        "data": {
            "train_data": str(inputs / "train.jsonl"),
            "eval_data": str(inputs / "eval.jsonl"),
            "max_seq_length": 1024,
        },
        "training": {
            "output_dir": "run",
            "max_steps": 10,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1.0e-2,
            "optim": "adamw_torch",
            "gradient_checkpointing": False,
            "logging_steps": 5,
            "eval_steps": 5,
            "save_steps": 5,
            "save_metrics_steps": 2,
        },
        "pipeline": {"model_name": "borea_phi35_so8t"},
        "poc": {"language": "ja", "criteria": [{"metric": "eval_loss", "operator": "<", "threshold": 100.0}]},
    }
    for section, keys in changes.items():
        sections.setdefault(section, {}).update(keys)
    return sections


@pytest.fixture
def write_settings(tmp_path: Path, inputs: Path) -> Callable[..., Path]:
    """Give a function that writes a configuration file; keyword arguments are sections with changed keys."""

    def write(**changes: Mapping[str, Any]) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(settings(inputs, **changes), allow_unicode=True), encoding="utf-8")
        return path

    return write


SO8T = (sys.executable, "-c", "from so8t.cli import main; main()")
KISEKI = (sys.executable, "-c", "from kiseki.cli import main; main()")


@pytest.fixture(scope="session")
def trained(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `run`, three steps of training, and `model`, its base model; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(inputs / "model", folder / "model")
    config = {
        "model": {"base_model": "model"},  # relative, as most are
        "so8t": {"enabled": True, "init": "normal", "init_scale": 0.2},
        "qlora": {"r": 2, "lora_alpha": 4},
        "data": {"train_data": str(inputs / "train.jsonl"), "max_seq_length": 1024},
        "training": {
            "output_dir": "run",
            "max_steps": 3,
            "save_steps": 2,
            "learning_rate": 1.0e-2,
            "optim": "adamw_torch",
            "gradient_checkpointing": False,
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    subprocess.run(
        [*SO8T, "train", "--config", "config.yaml"],
        cwd=folder,
        check=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Give a function that starts a command in the test's folder, on one thread."""

    def run(*words: object, program: tuple[str, ...] = SO8T, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*program, *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    return run


@pytest.fixture
def kiseki(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., tuple[int, str, str]]:
    """Give a function that runs a kiseki command; exit code, output, errors."""

    def run(*words: object) -> tuple[int, str, str]:
        process = start(*words, program=KISEKI)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return run


@pytest.fixture
def so8t(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., tuple[int, str, str]]:
    """Give a function that runs a so8t command; exit code, output, errors."""

    def run(*words: object, **more: Any) -> tuple[int, str, str]:
        process = start(*words, **more)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    return run
