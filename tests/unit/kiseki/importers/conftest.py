"""Logs of Trainers of several years, and a way to import them without waiting for a figure."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kiseki.companion import views

SAMPLES = Path(__file__).parents[3] / "golden" / "trainer_state"


@pytest.fixture
def samples() -> Path:
    return SAMPLES


@pytest.fixture
def without_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many runs are imported, none needs its curves drawn."""
    monkeypatch.setattr(views, "_draw", lambda history: 0)


@pytest.fixture
def write_state(tmp_path: Path) -> Callable[..., Path]:
    """Writes a `trainer_state.json` as the Trainer does."""

    def write(records: Sequence[Any], name: str = "trainer_state.json", **members: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        state: Mapping[str, Any] = {"epoch": 1.0, "log_history": records, **members}
        path.write_text(json.dumps(state, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return path

    return write
