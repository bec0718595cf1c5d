"""Two processes on one machine, and a signal that reaches one of them or both: they stop at the same step."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from so8t.training.checkpoints import complete_checkpoints
from support import strict_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo over loopback is tested on Linux")

Start = Callable[..., "subprocess.Popen[str]"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_ranks(start: Start, config: Path) -> "list[subprocess.Popen[str]]":
    """What a launcher starts, without the launcher: so each rank's end is its own."""
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [start("train", "--config", config, RANK=str(rank), LOCAL_RANK=str(rank), **common) for rank in range(2)]


def wait_for_row(run: Path, step: int, ranks: "list[subprocess.Popen[str]]") -> None:
    journal, deadline = run / "metrics" / "journal.jsonl", time.monotonic() + 120
    while time.monotonic() < deadline:
        for rank in ranks:
            assert rank.poll() is None, f"ended too early: {rank.communicate()}"
        if journal.exists():
            rows = [line for line in journal.read_bytes().split(b"\n")[:-1] if line.startswith(b'{"row"')]
            if rows and json.loads(rows[-1])["row"]["step"] >= step:
                return
        time.sleep(0.005)
    raise AssertionError(f"step {step} did not come")


@pytest.mark.parametrize("signalled", [(1,), (0, 1)], ids=["only rank 1", "both ranks"])
def test_ranks_stop_at_the_same_step_with_one_checkpoint_and_a_whole_record(
    tmp_path: Path, start: Start, write_settings: Callable[..., Path], signalled: tuple[int, ...]
) -> None:
    """No further step than the one that ran; the run then goes on as one record."""
    training: dict[str, Any] = {
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "max_steps": 400,
        "save_steps": 1000,
        "save_minutes": 60,
        "eval_steps": 1000,
        "save_metrics_steps": 1,
    }
    config, run = write_settings(training=training), tmp_path / "run"
    ranks = start_ranks(start, config)
    wait_for_row(run, 3, ranks)
    for rank in signalled:
        ranks[rank].send_signal(signal.SIGTERM)
    said = [rank.communicate(timeout=120) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [143, 143], said
    assert "Traceback" not in said[0][1] + said[1][1]

    (report_path,) = (run / "poc_reports").glob("poc_report_*.json")
    report = strict_json(report_path.read_bytes())
    rows = report["metrics"]["history"]
    last = rows[-1]["step"]
    assert [row["step"] for row in rows] == list(range(1, last + 1))
    assert 3 <= last < 400
    assert report["status"] == "interrupted"
    assert rows == strict_json((run / "metrics" / "training_metrics.json").read_bytes())
    (checkpoint,) = complete_checkpoints(run / "checkpoints", gates=True)
    assert checkpoint.name == f"checkpoint-{last}"
    assert {path.name for path in checkpoint.glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}
    session = strict_json((run / "training_session.json").read_bytes())
    assert (session["status"], session["current_step"]) == ("interrupted", last)
    assert f"中断：400 ステップ中 {last} ステップで停止" in said[0][0]
    assert said[1][0] == "", "of many processes, one speaks"
    for row in rows:
        assert row["rank0/tokens_per_second"] > 0
        assert row["rank1/tokens_per_second"] > 0
        assert row["peak_memory_bytes"] == max(row["rank0/peak_memory_bytes"], row["rank1/peak_memory_bytes"])
