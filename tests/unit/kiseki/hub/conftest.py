"""A Hub of one's own, and runs to publish."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kiseki.recorder import TrainingMetricsRecorder
from unit.kiseki.hub.hub_server import HubServer, hub_of_this_test


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with hub_of_this_test(monkeypatch, tmp_path / "hf_home") as running:
        yield running


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Records a small run; a picture with zero bytes in it stands for the curves."""

    def make(confidentiality: str = "partner", name: str = "run", **hub: Any) -> Path:
        root = tmp_path / name
        config = {
            "poc": {"confidentiality": confidentiality},
            "hub": hub,
            "data": {"eval_data": "/srv/secret/eval.jsonl"},
            "api_key": "hf_abcdefghijklmnopqrstuvwx",
        }
        recorder = TrainingMetricsRecorder(
            root, model_name="tiny", companion=False, save_plots=False, run_id="run-1", config=config
        )
        for step in range(1, 6):
            recorder.record_step(step=step, epoch=step / 5, loss=3 / step, learning_rate=2e-4)
        recorder.record_evaluation(step=5, epoch=1.0, eval_loss=0.5, eval_accuracy=0.25)
        recorder.close()
        (root / "plots").mkdir(exist_ok=True)
        (root / "plots" / "training_curves.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0" + bytes(5000))
        (root / "checkpoints").mkdir()
        (root / "checkpoints" / "model.safetensors").write_bytes(bytes(100))
        return root

    return make
