"""What a cleaning says of itself: its part of the data statement, which the report takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from so8t.data.clean.counts import BlockCounts
from so8t.data.safety.purpose import PURPOSE

STATEMENT_FILE = "data_statement.json"
SCHEMA_VERSION = 1
DATA = "data"
"""Folder of the cleaned records."""


def cleaning_statement(out: Path, source: Path, blocks: Sequence[BlockCounts], generated_at: str) -> dict[str, Any]:
    """The data statement: what the collection says of its sources, and what became of its pages.

    Args:
        out: the cleaning's folder.
        source: the input folder; if it is a collection, its statement is taken along.
        blocks: counts, in order.
        generated_at: UTC, RFC 3339.
    """
    found = {kind: count for block in blocks for kind, count in sorted(block.found.items())}
    labels = {label: count for block in blocks for label, count in sorted(block.labelled.items())}
    return {
        **_of_the_collection(source / STATEMENT_FILE),
        "schema_version": SCHEMA_VERSION,
        "dataset": {"name": out.resolve().name, "files": data_files(out)},
        "cleaning": {
            "blocks": [
                {
                    "name": block.name,
                    "in": block.entered,
                    "out": block.left,
                    "dropped": dict(sorted(block.dropped.items())),
                }
                for block in blocks
            ],
            "redactions": found,
        },
        # what was blocked or would have been reviewed is counted and not in the data
        "nsfw": {"used": False, "purpose": dict(PURPOSE), "records": 0, "labels": labels},
        "generated_at": generated_at,
    }


def data_files(out: Path) -> list[dict[str, Any]]:
    """Path, size, digest and number of records of every file of cleaned records."""
    files = []
    for path in sorted((out / DATA).glob("part-*.jsonl")):
        digest, size, records = hashlib.sha256(), 0, 0
        with path.open("rb") as content:
            while piece := content.read(1 << 20):
                digest.update(piece)
                size += len(piece)
                records += piece.count(b"\n")
        name = path.relative_to(out).as_posix()
        files.append({"path": name, "bytes": size, "sha256": digest.hexdigest(), "records": records})
    return files


def _of_the_collection(file: Path) -> dict[str, Any]:
    try:
        stated = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return {key: stated[key] for key in ("sources", "ledger") if key in stated} if isinstance(stated, dict) else {}
