"""The script that measures the RTX 3060 configuration: it runs to its end on a CPU, and says what it needs."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "rtx3060.py"


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )


def test_the_tiny_model_goes_the_same_way_and_leaves_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = run("--tiny", "--steps", "5", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    (page,) = tmp_path.glob("*-rtx3060.md")
    text = page.read_text(encoding="utf-8")
    assert text.strip() in done.stdout
    cells = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in text.splitlines() if "|" in line}
    assert float(cells["optimizer step (median)"].removesuffix(" s")) > 0
    assert int(cells["tokens per second"].replace(",", "")) > 0
    assert float(cells["waits for the device per step"]) > 0, "the learning rate is logged at least"
    assert float(cells["CPU time in recorder code per step"].split(" ms")[0]) > 0
    assert cells["peak memory"].endswith(("MiB", "GiB"))
    assert cells["memory estimated before"].endswith("MiB")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_without_a_card_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    specification = importlib.util.spec_from_file_location("rtx3060", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    assert script.main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "needs a CUDA card with about 10 GB free" in said.err
    assert "--tiny" in said.err
