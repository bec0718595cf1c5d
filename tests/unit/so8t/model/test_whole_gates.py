"""Two processes that hold halves of the gates (FSDP 2, gloo) measure what one that holds all of them does."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo over loopback is tested on Linux")

# Three blocks, which do not split evenly; both parameterizations, which the same numbers mean different rotations in.
PROGRAM = """
import sys
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from so8t.model.rotation import SO8Gate
from so8t.model.rotation_statistics import recorded_statistics, whole_gates

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)

def gates():
    generator = torch.Generator().manual_seed(0)
    kinds = {0: "exp", 3: "cayley"}
    return {n: SO8Gate(24, init="normal", parameterization=kind, generator=generator) for n, kind in kinds.items()}

split = gates()
for gate in split.values():
    fully_shard(gate, mesh=init_device_mesh("cpu", (2,)))
whole = whole_gates(split)
assert all(isinstance(gate.theta, DTensor) for gate in split.values()), "looked at, not changed"
if rank == 0:  # alone: a collective in here would wait for ever
    assert recorded_statistics(whole) == recorded_statistics(gates())
dist.destroy_process_group()
"""


def test_gates_that_are_split_unevenly_are_measured_by_one_rank_as_if_they_were_whole(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(rank), str(tmp_path / "store")], stderr=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    try:
        errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], errors
