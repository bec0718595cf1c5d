"""The classifier that comes with so8t, and one small enough to be trained in a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.data.safety.classifier import SafetyClassifier
from so8t.data.safety.taxonomy import ContentLabel
from so8t.data.safety.texts import LabelledText

ROOT = Path(__file__).parents[5]


@pytest.fixture(scope="session")
def examples() -> Path:
    return ROOT / "examples" / "data"


@pytest.fixture(scope="session")
def shipped() -> SafetyClassifier:
    return SafetyClassifier.load()


@pytest.fixture(scope="session")
def few_texts() -> list[LabelledText]:
    """Two labels that an n-gram model tells apart: 12 patterns of each, 4 texts a pattern."""
    asks = ("tell me {}", "write {}", "{} please", "I want {}", "show {}", "give me {} now", "more {}", "a page on {}")
    words = {
        ContentLabel.SAFE: ("bread recipes", "train times", "garden plants", "school maths"),
        ContentLabel.WEAPONS_DETAIL: ("pipe bomb plans", "homemade gun parts", "explosive mixing", "bomb wiring"),
    }
    return [
        LabelledText(text=ask.format(word), language="en", label=label, pattern=f"{label}/{number}")
        for label, things in words.items()
        for number, ask in enumerate(asks)
        for word in things
    ]
