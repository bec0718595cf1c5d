"""`TrainingMetricsRecorder` under the import path that the specification names; the code is in `kiseki`."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("kiseki") is None:  # a checkout that was not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from kiseki import TrainingMetricsRecorder

__all__ = ["TrainingMetricsRecorder"]
