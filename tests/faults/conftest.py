"""Fixtures of the fault tests. `KISEKI_FAULTS=full` runs every point, otherwise a sample of each case."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from faults.harness import FULL, Server

# Signals, mounts, /proc and LD_PRELOAD are Linux's; what other systems do is tested in tests/unit through its seams.
collect_ignore_glob = [] if sys.platform.startswith("linux") else ["*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if FULL:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def full() -> bool:
    return FULL


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of their own for each test; the seed is shown when it fails."""
    seed = os.environ.get("KISEKI_FAULTS_SEED") or str(random.SystemRandom().randrange(1 << 32))
    print(f"KISEKI_FAULTS_SEED={seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def sample(chance: random.Random) -> Callable[[Sequence[Any], int], Sequence[Any]]:
    """All of the points in the full run, so many of them, at random, otherwise."""
    return lambda points, count: points if FULL else sorted(chance.sample(points, min(count, len(points))))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("the shim needs a C compiler")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.fixture(scope="session")
def server(shim: Path) -> Iterator[Server]:
    with Server(shim) as running:
        yield running


@pytest.fixture(scope="session")
def plain_server() -> Iterator[Server]:
    with Server(None) as running:
        yield running


@pytest.fixture
def needs_root() -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting needs root")
