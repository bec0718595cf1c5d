"""The training job as a file, for `python`, `accelerate launch` and `torchrun`; the same as `so8t train`.

python scripts/training/train_borea_phi35_so8t_thinking.py --config configs/demo.yaml
"""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("so8t") is None:  # a checkout that was not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from so8t import SO8TPETTrainer
from so8t.cli import main

__all__ = ["SO8TPETTrainer"]

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
