"""Two processes under `accelerate launch` with the shipped configurations record once what one process records."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from so8t.model import attach
from support import strict_json

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "training" / "train_borea_phi35_so8t_thinking.py"
CONFIGS = REPOSITORY / "configs" / "accelerate"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo over loopback is tested on Linux")

# accelerate 1.15 turns FSDP on for kinds of accelerators only (`AcceleratorState.__init__`); on the CPU it goes on
# with data parallelism and says nothing. PyTorch's FSDP itself runs there on gloo, which this lets it do.
FSDP_ON_CPU = """
import runpy, sys
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

original = AcceleratorState.__init__

def with_fsdp(self, *arguments, fsdp_plugin=None, **named):
    original(self, *arguments, fsdp_plugin=fsdp_plugin, **named)
    plugin = fsdp_plugin or self.__dict__.get("fsdp_plugin")
    if plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.FSDP
        self.fsdp_plugin = plugin

AcceleratorState.__init__ = with_fsdp
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def train(tmp_path: Path, settings: Path, name: str, *launcher: str) -> Path:
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), "--config", str(settings), "--output-dir", str(tmp_path / name)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return tmp_path / name


def launched_with(config: str, *more: str) -> tuple[str, ...]:
    return ("-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / config), *more)


Runs = Callable[..., Path]


@pytest.fixture
def runs(tmp_path: Path, write_settings: Callable[..., Path]) -> Runs:
    """A function that trains: alone in two micro-batches, or two processes with one each."""

    def run(name: str, *launcher: str) -> Path:
        settings = write_settings(
            qlora={"lora_dropout": 0.0},
            training={
                "max_steps": 2,
                "eval_steps": 2,
                "save_steps": 2,
                "save_metrics_steps": 1,
                "gradient_accumulation_steps": 1 if launcher else 2,
            },
        )
        return train(tmp_path, settings, name, *launcher)

    return run


def assert_same_record(alone: Path, together: Path) -> None:
    for run, processes in ((alone, 1), (together, 2)):
        (report,) = (run / "poc_reports").glob("poc_report_*.json")
        assert json.loads(report.read_text(encoding="utf-8"))["live"]["ranks"] == processes
    journals = [path.relative_to(together).as_posix() for path in together.rglob("*.jsonl")]
    assert journals == ["metrics/journal.jsonl"], "world process zero records, and nobody else"
    for table in ("training_metrics.json", "evaluation_metrics.json"):
        expected = strict_json((alone / "metrics" / table).read_bytes())
        recorded = strict_json((together / "metrics" / table).read_bytes())
        assert [row["step"] for row in recorded] == [row["step"] for row in expected]
        for row, as_one in zip(recorded, expected, strict=True):
            for name in ("loss", "lm_loss", "pet_loss", "so8t_loss", "accuracy", "grad_norm", "eval_loss"):
                assert (name in row) == (name in as_one)
                if name in row:
                    assert row[name] == pytest.approx(as_one[name], rel=1e-5, abs=1e-9), (table, row["step"], name)
            assert_same_gates(row, as_one)


def assert_same_gates(row: dict[str, Any], as_one: dict[str, Any]) -> None:
    """Angles and distances are those of one process; errors are rounding, of generators that differ in theirs."""
    measured = {name for name in as_one if name.startswith(("so8t_", "so8t/"))}
    assert {name for name in row if name.startswith(("so8t_", "so8t/"))} == measured
    for name in measured - {"so8t_loss"}:
        if name.endswith("_error"):
            assert 0 <= row[name] < 1e-6, name
        else:
            assert row[name] == pytest.approx(as_one[name], rel=1e-5, abs=1e-9), name


def assert_same_model(alone: Path, together: Path) -> None:
    for file in ("adapter_model.safetensors", "so8_gates.safetensors"):
        expected, saved = load_file(alone / "final" / file), load_file(together / "final" / file)
        assert saved.keys() == expected.keys()
        for name, tensor in saved.items():
            assert tensor.dtype == expected[name].dtype
            assert (tensor - expected[name]).abs().max() <= 1e-5, name


def test_ddp_of_two_processes_trains_and_records_as_one(runs: Runs) -> None:
    alone = runs("alone")
    together = runs("together", *launched_with("ddp_2.yaml"))
    assert_same_record(alone, together)
    assert_same_model(alone, together)


@pytest.mark.skipif(not hasattr(attach, "shard_gates"), reason="gates cannot be split yet")
def test_fsdp_of_two_processes_trains_and_records_as_one(runs: Runs, tmp_path: Path) -> None:
    alone = runs("alone")
    shim = tmp_path / "fsdp_on_cpu.py"
    shim.write_text(FSDP_ON_CPU, encoding="utf-8", newline="\n")
    together = runs("together", *launched_with("fsdp_2.yaml", str(shim)))
    assert (together / "checkpoints" / "checkpoint-2" / "pytorch_model_fsdp.bin").exists(), "FSDP really ran"
    assert_same_record(alone, together)
    assert_same_model(alone, together)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_the_shipped_configurations_are_whole(file: Path) -> None:
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert settings["num_processes"] == 2
    assert settings["main_process_port"] == 0, "two runs on one machine need two ports"
    if settings["distributed_type"] == "FSDP":
        assert settings["fsdp_config"]["fsdp_version"] == 2
    if settings["distributed_type"] == "DEEPSPEED":
        assert (REPOSITORY / settings["deepspeed_config"]["deepspeed_config_file"]).is_file()
