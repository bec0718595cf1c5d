"""Rows that keep every rule, files of them, and one tiny checkpoint for all tests of the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from so8t.data.thinking_record import content_sha256
from so8t.model.tiny import build

Row = dict[str, Any]


def sign(row: Row) -> Row:
    """Set the id and the source hash that belong to the row's content."""
    digest = content_sha256(row)
    return {**row, "id": digest[:16], "source": {**row["source"], "sha256": digest}}


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    """Give a function that makes one good row, with fields replaced."""

    def make(**changes: Any) -> Row:
        row: Row = {
            "schema_version": "1",
            "language": "ja",
            "instruction": "水道管の凍結を防ぐ方法を教えてください。",
            "input": "",
            "thinking": {
                "task": "Household winter tip.",
                "safety": "Everyday maintenance.",
                "policy": "general: public know-how.",
            },
            "final": "露出した配管に保温材を巻いてください。",
            "safety_label": "ALLOW",
            "policy_domain": "general",
            "domain_label": "general",
            "verifier": {"logical": 0.95, "faithful": 0.9},
            "source": {"tier": "synthetic", "license": "CC0-1.0", "retrieved_at": "2025-12-01T00:00:00Z"},
        }
        return sign({**row, **changes})

    return make


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes rows (objects, or lines as they are) as JSONL."""

    def write(*rows: Row | str, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_bytes(("\n".join(lines) + "\n").encode())
        return path

    return write


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, make_row: Callable[..., Row]) -> Path:
    """Build the smallest useful checkpoint once."""
    row = make_row()
    texts = [
        row["instruction"],
        row["final"],
        *row["thinking"].values(),
        "<think-task></think-task><final></final>",
    ] * 4
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return build(folder, texts, hidden=16, layers=1, heads=2, intermediate=16, vocabulary=300)


@pytest.fixture(scope="session")
def tokenizer(tiny_folder: Path) -> Any:
    """Load the tiny checkpoint's tokenizer as a training job does."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_folder)
