"""Trains a small SO8T Phi-3 on the CPU; leaves a run folder with curves and PoC report, and a signed pack of it.

    python examples/demo.py                                   a new run; an earlier one is set aside
    python examples/demo.py --resume-from-checkpoint auto     goes on where a run was stopped or killed

Further options are those of `so8t train`.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from build_tiny_phi3 import main as build_tiny_phi3
from transformers.utils.logging import disable_progress_bar

from kiseki.cli import run as kiseki
from so8t.cli import run

ROOT = Path(__file__).resolve().parent.parent
CONFIG = Path("configs/demo.yaml")
RUN = Path("runs/demo")
KEYS = Path("runs/demo_key")
PACKS = Path("runs/demo_packs")
"""Beside the run folder: a pack holds a run, and a key is never kept with what it signs."""

TRY_NEXT = f"""
次に試せること / Things to try next
  .venv/bin/kiseki show {RUN}
      curves, status and quality of the record in the terminal
  .venv/bin/kiseki report {RUN} --lang en
      the PoC report again, made from the journal (also after deleting JSON, CSV or PNG)
  .venv/bin/kiseki publish {RUN} --repo-id ORG/NAME
      what would go to the Hugging Face Hub; nothing is sent without --yes
  .venv/bin/so8t serve --model {RUN} --ui
      POST /think and a page to try it; a model this small mostly gets the fixed refusal, which is then the right answer
  make demo, kill it half way (kill -9), then: .venv/bin/so8t train --config {CONFIG} --resume-from-checkpoint auto
      one continuous record of two attempts"""


def main(arguments: list[str]) -> int:
    """Build the model where it is not there, train, and say how well it went."""
    os.chdir(ROOT)  # the paths in the configuration are relative to the repository
    disable_progress_bar()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # matrices this small lose more to meeting than they gain by sharing (107 s to 66 s)
    began = time.monotonic()
    code = build_tiny_phi3([]) or run(["train", "--config", str(CONFIG), *arguments])
    if code != 0:
        return code
    print(f"\n{time.monotonic() - began:.0f} s")
    reports = sorted((RUN / "poc_reports").glob("poc_report_*.json"), key=lambda path: path.stat().st_mtime_ns)
    if not arguments or arguments[0] == "--resume-from-checkpoint":
        say_how_well(json.loads(reports[-1].read_text(encoding="utf-8")))
        if code := pack_and_verify(reports[-1].stem.removeprefix("poc_report_")):
            return code
    print(TRY_NEXT)
    return 0


def pack_and_verify(stamp: str) -> int:
    """Sign the run with a key of the demo's own, and check the pack as whoever receives it would."""
    key, pack = KEYS / "kiseki_ed25519", PACKS / f"demo_{stamp}.zip"
    PACKS.mkdir(exist_ok=True)
    return (
        (0 if key.exists() else kiseki(["keygen", "--out", str(KEYS)]))
        or kiseki(["pack", str(RUN), "--sign", str(key), "-o", str(pack)])
        or kiseki(["verify", str(pack), "--key", f"{key}.pub"])
    )


def say_how_well(report: Mapping[str, Any]) -> None:
    """Print the first and the last held-out loss."""
    evaluations = report["evaluation"]["history"]
    first, last = evaluations[0], evaluations[-1]
    print(
        f"評価損失 / held-out loss: {first['eval_loss']:.3f} (step {first['step']}) "
        f"-> {last['eval_loss']:.3f} (step {last['step']})"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
