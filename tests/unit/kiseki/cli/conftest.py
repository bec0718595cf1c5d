"""A recorded run without a report, and the command line as a process calls it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kiseki.cli import main
from kiseki.recorder import TrainingMetricsRecorder


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """The folder of a small completed run without figures."""
    root = tmp_path / "demo"
    recorder = TrainingMetricsRecorder(root, model_name="tiny", companion=False, save_plots=False, max_steps=20)
    for step in range(1, 21):
        loss = float("nan") if step == 7 else 3 / step
        recorder.record_step(step=step, epoch=step / 20, loss=loss, learning_rate=2e-4)
    recorder.record_evaluation(step=20, epoch=1.0, eval_loss=0.5)
    recorder.close()
    return root


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def kiseki(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """`kiseki WORD…`, as the console script runs it."""
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words: str | Path) -> Answer:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    return call
