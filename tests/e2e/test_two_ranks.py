"""Two processes on one machine: what they record is what one process records, once."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support import strict_json

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "training" / "train_borea_phi35_so8t_thinking.py"
TIMES = ("timestamp", "elapsed_time_seconds", "tokens_per_second", "peak_memory_bytes")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def train(tmp_path: Path, config: Path, name: str, *launcher: str) -> Path:
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), "--config", str(config), "--output-dir", str(tmp_path / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return tmp_path / name


@pytest.mark.skipif(sys.platform == "win32", reason="gloo over loopback is tested on Linux")
def test_r24_two_ranks_record_once_what_one_process_records(
    tmp_path: Path, write_settings: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    qlora = {"lora_dropout": 0.0}
    common = {"max_steps": 4, "eval_steps": 2, "save_steps": 4, "save_metrics_steps": 1}
    one = write_settings(qlora=qlora, training={**common, "gradient_accumulation_steps": 2})
    alone = train(tmp_path, one, "alone")
    two = write_settings(qlora=qlora, training={**common, "gradient_accumulation_steps": 1})
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port()))
    together = train(tmp_path, two, "together", *launcher)

    journals = [path.relative_to(together).as_posix() for path in together.rglob("*.jsonl")]
    assert journals == ["metrics/journal.jsonl"], "world process zero records, and nobody else"
    for table in ("training_metrics.json", "evaluation_metrics.json"):
        expected = strict_json((alone / "metrics" / table).read_bytes())
        recorded = strict_json((together / "metrics" / table).read_bytes())
        assert [row["step"] for row in recorded] == [row["step"] for row in expected]
        for row, as_one in zip(recorded, expected, strict=True):
            shares = {name for name in row if name.startswith(("rank0/", "rank1/"))}
            assert row.keys() - shares == as_one.keys()
            assert len(shares) == (4 if table == "training_metrics.json" else 0), "throughput and memory of each"
            for name in row.keys() - set(TIMES) - shares:
                assert row[name] == pytest.approx(as_one[name], rel=1e-5, abs=1e-9), (table, row["step"], name)
