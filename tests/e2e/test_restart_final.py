"""The final model is that of the training that ended last, whatever stood there before and whenever a kill came."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

WEIGHTS = ("adapter_model.safetensors", "so8_gates.safetensors")
KILLED_BEFORE_THE_FINAL_MODEL = """
import os, signal
from so8t.training import job
job._save_final = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
from so8t.cli import main
main()
"""


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {f"{name}: {key}": value for name in WEIGHTS for key, value in load_file(folder / name).items()}


@pytest.mark.skipif(sys.platform == "win32", reason="killed by a signal")
def test_a_final_model_of_before_is_not_taken_for_that_of_a_training_that_was_killed_before_its_own(
    tmp_path: Path, so8t: Callable[..., tuple[int, str, str]], write_settings: Callable[..., Path]
) -> None:
    training = {"max_steps": 8, "save_steps": 4}
    words = ("train", "--output-dir", "run", "--resume-from-checkpoint")
    run = tmp_path / "run"
    assert so8t(*words, "none", "--config", write_settings(training=training))[0] == 0
    before = tensors(run / "final")

    config = write_settings(training=training, qlora={"lora_dropout": 0.5})
    words = (*words[:3], "--config", config, words[3])
    killed = (sys.executable, "-c", KILLED_BEFORE_THE_FINAL_MODEL)
    assert so8t(*words, run / "checkpoints" / "checkpoint-4", "--force", program=killed)[0] == -9
    code, _, _ = so8t(*words, "auto")
    assert code == 0

    final, last = tensors(run / "final"), tensors(run / "checkpoints" / "checkpoint-8")
    assert [name for name in last if not torch.equal(final[name], last[name])] == []
    assert any(not torch.equal(final[name], before[name]) for name in final)
    (aside,) = (run / "earlier").iterdir()
    assert {path.name for path in aside.iterdir()} == {"checkpoint-8", "final"}
    assert [name for name, value in tensors(aside / "final").items() if not torch.equal(value, before[name])] == []
    lines = (run / "metrics" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    notes: list[Any] = [note for line in lines if (note := json.loads(line).get("note"))]
    noted = [note["files"] for note in notes if note["kind"] == "weights" and note["role"] == "final"]
    assert {name: noted[-1][name]["sha256"] for name in WEIGHTS} == {
        name: hashlib.sha256((run / "final" / name).read_bytes()).hexdigest() for name in WEIGHTS
    }
