"""A run that is killed again and again ends as the run that was never killed: the same weights, the same record.

A sample of it runs in `make test`; `KISEKI_EXACT=full` (`make exact`) kills a run of 200 steps 20 times.
"""

import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from so8t.cli import main
from so8t.training.checkpoints import checkpoint_step, newest_complete_checkpoint
from support import strict_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked, and killed by a signal")

FULL = os.environ.get("KISEKI_EXACT") == "full"
STEPS, KILLS = (200, 20) if FULL else (30, 2)
TIMES = ("timestamp", "elapsed_time_seconds", "tokens_per_second", "peak_memory_bytes", "attempt")


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """A context whose processes have PyTorch and the trainer in memory from the start: only training takes time."""
    patch = pytest.MonkeyPatch()
    patch.setenv("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["so8t.training.job"])
    yield context
    patch.undo()


@pytest.fixture
def rng() -> random.Random:
    seed = os.environ.get("KISEKI_EXACT_SEED") or str(random.SystemRandom().randrange(1 << 32))
    print(f"KISEKI_EXACT_SEED={seed}")
    return random.Random(seed)


@dataclass
class Job:
    """`so8t train … --resume-from-checkpoint auto` in a process of its own."""

    processes: Any
    config: Path
    run: Path

    def start(self) -> Any:
        words = ["train", "--config", str(self.config), "--output-dir", str(self.run)]
        process = self.processes.Process(target=main, args=([*words, "--resume-from-checkpoint", "auto"],))
        process.start()
        return process

    def opened(self) -> int:
        """Attempts that the record has seen."""
        return len(self._lines(b'{"open"'))

    def wait_for_step(self, process: Any, step: int, attempt: int) -> None:
        """Wait until an attempt has recorded this step or a later one, or has ended."""
        deadline = time.monotonic() + 120
        while process.is_alive():
            rows = self._lines(b'{"row"')
            if rows and (row := json.loads(rows[-1])["row"])["attempt"] >= attempt and row["step"] >= step:
                return
            assert time.monotonic() < deadline, f"step {step} did not come"
            time.sleep(0.002)

    def finish(self) -> Any:
        """Let it come to its end; the report."""
        process = self.start()
        process.join(240)
        assert process.exitcode == 0
        reports = sorted((self.run / "poc_reports").glob("poc_report_*.json"), key=lambda path: path.stat().st_mtime_ns)
        return strict_json(reports[-1].read_bytes())

    def _lines(self, start: bytes) -> list[bytes]:
        try:
            content = (self.run / "metrics" / "journal.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        return [line for line in content.split(b"\n")[:-1] if line.startswith(start)]


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def weights(run: Path) -> dict[str, torch.Tensor]:
    names = ("adapter_model.safetensors", "so8_gates.safetensors")
    return {f"{name}: {key}": value for name in names for key, value in load_file(run / "final" / name).items()}


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


@pytest.mark.timeout(1800 if FULL else 300)
def test_a_run_that_is_killed_at_random_moments_is_the_run_that_never_was(
    tmp_path: Path, processes: Any, rng: random.Random, write_settings: Callable[..., Path]
) -> None:
    """Dropout is on, rows cover three steps, checkpoints come every five: kills fall within windows, evaluations and
    checkpoints, or while a restart loads. After the first kill the newest checkpoint also loses a bit."""
    config = write_settings(
        qlora={"lora_dropout": 0.2},
        training={
            "per_device_train_batch_size": 1,
            "max_steps": STEPS,
            "save_steps": 5,
            "eval_steps": 10,
            "save_metrics_steps": 3,
        },
    )
    whole, cut = Job(processes, config, tmp_path / "whole"), Job(processes, config, tmp_path / "cut")
    expected = whole.finish()

    damaged: Path | None = None
    for kill, target in enumerate(sorted(rng.sample(range(13, STEPS - 10), KILLS))):
        attempt = cut.opened() + 1
        process = cut.start()
        if kill == 0 or rng.random() < 0.8:
            cut.wait_for_step(process, target, attempt)
        time.sleep(rng.random() * 0.1)
        process.kill()
        process.join()
        if kill == 0:
            damaged = newest_complete_checkpoint(cut.run / "checkpoints", gates=True)
            assert damaged is not None
            flip_a_bit(damaged / "adapter_model.safetensors")
    report = cut.finish()

    trained, uninterrupted = weights(cut.run), weights(whole.run)
    assert trained.keys() == uninterrupted.keys()
    assert [name for name in trained if not torch.equal(trained[name], uninterrupted[name])] == []
    rows = report["metrics"]["history"]
    assert without_times(rows) == without_times(expected["metrics"]["history"])
    assert sum(row["window_steps"] for row in rows) == STEPS
    assert without_times(report["evaluation"]["history"]) == without_times(expected["evaluation"]["history"])
    attempts = report["attempts"]
    assert len(attempts) == cut.opened()
    assert attempts[-1]["status"] == "completed"
    assert all(one["status"] == "interrupted" or one["last_step"] == STEPS for one in attempts[:-1])
    assert damaged is not None
    if len(attempts) > 1:
        assert (attempts[1]["resume_step"] or 0) < (checkpoint_step(damaged) or 0), "it walked back past the damage"
