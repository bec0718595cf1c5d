"""Inputs of a training job: the smallest model that has everything, a few records, settings."""

import functools
from pathlib import Path

import pytest

from so8t.data.thinking import read_records
from so8t.data.thinking_record import render_assistant
from so8t.model.tiny import build
from training_job import Settings, make_settings

SAMPLE = Path(__file__).parents[4] / "examples" / "data" / "quadruple_thinking_train.jsonl"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = read_records(SAMPLE).records[:24]
    texts = [text for record in records for text in (record.instruction, render_assistant(record))]
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return build(folder, texts, hidden=16, layers=2, heads=2, intermediate=16, vocabulary=600)


@pytest.fixture(scope="module")
def data_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("data")
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    train, held_out = folder / "train.jsonl", folder / "eval.jsonl"
    train.write_bytes(b"".join(lines[:16]))
    held_out.write_bytes(b"".join(lines[16:20]))
    return train, held_out


@pytest.fixture
def settings(tmp_path: Path, model_folder: Path, data_files: tuple[Path, Path]) -> Settings:
    """Give a function that makes settings; keyword arguments are sections with changed keys."""
    return functools.partial(make_settings, tmp_path, model_folder, data_files)
