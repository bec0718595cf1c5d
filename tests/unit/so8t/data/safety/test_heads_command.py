"""`so8t heads train` on the smallest run that has everything a real one has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from so8t.cli.heads import heads
from so8t.errors import CheckpointError, DataError, So8tError
from so8t.model.attach import attach_gates, save_gates
from so8t.model.heads import HEADS_FILE, load_heads

Row = dict[str, Any]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(heads, ["train", *map(str, arguments)])


@pytest.fixture
def trained_run(tiny_folder: Path, tmp_path: Path) -> Path:
    """A run folder whose final model holds whole weights and gates."""
    from transformers import AutoModelForCausalLM

    final = tmp_path / "run" / "final"
    shutil.copytree(tiny_folder, final)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    attach_gates(model)
    save_gates(model, final / "so8_gates.safetensors")
    return final.parent


@pytest.fixture
def records(make_row: Callable[..., Row], write_rows: Callable[..., Path]) -> Path:
    rows = [make_row(final=f"答え{i}です。", safety_label="DENY" if i % 2 else "ALLOW") for i in range(4)]
    return write_rows(*rows)


def test_heads_are_written_beside_the_gates_and_judged(trained_run: Path, records: Path) -> None:
    result = run(trained_run, "--dataset", records, "--whole-state")
    assert result.exit_code == 0, result.output
    assert "heads trained on 12 texts of 4 records" in result.output
    assert "safety right" in result.output
    assert load_heads(trained_run / "final" / HEADS_FILE).layout.hidden_size == 16


def test_heads_that_stand_there_are_replaced_only_when_told(trained_run: Path, records: Path) -> None:
    assert run(trained_run, "--dataset", records, "--whole-state").exit_code == 0
    again = run(trained_run, "--dataset", records, "--whole-state")
    assert isinstance(again.exception, So8tError)
    assert "--force" in str(again.exception)
    forced = run(trained_run, "--dataset", records, "--whole-state", "--force", "--eval-dataset", records)
    assert forced.exit_code == 0
    assert "unseen records" in forced.output


def test_bad_records_and_missing_runs_are_named(trained_run: Path, tmp_path: Path, records: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n", encoding="utf-8")
    assert isinstance(run(trained_run, "--dataset", bad).exception, DataError)
    assert isinstance(run(tmp_path / "none", "--dataset", records).exception, CheckpointError)
