"""The last pass, one task: adds up, states, and removes what only the passes before needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from kiseki.filesystem import replacing
from so8t.data.clean.counts import block_counts
from so8t.data.clean.folders import Folders
from so8t.data.clean.statement import STATEMENT_FILE, cleaning_statement

DISCARDED_FILE = "discarded_sha256.txt"
"""Digests of texts that nobody may keep; nothing else is known of them."""


class Finish(PipelineStep):  # type: ignore[misc]
    """Writes the data statement.

    Args:
        folders: of the cleaning.
        source: the input folder.
    """

    type = "clean"
    name = "finish"

    def __init__(self, folders: Folders, source: Path) -> None:
        super().__init__()
        self._folders = folders
        self._source = source

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Write it, then clear up."""
        folders = self._folders
        blocks = block_counts(folders.statistics())
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        statement = cleaning_statement(folders.out, self._source, blocks, now)
        digests = sorted({line for file in folders.discarded.glob("*.txt") for line in file.read_text("ascii").split()})
        if digests:
            with replacing(folders.out / DISCARDED_FILE) as out:
                out.writelines(f"{digest}\n".encode() for digest in digests)
        # last, because whoever waits waits for it
        _write_json(folders.out / STATEMENT_FILE, statement)
        for folder in (folders.kept, folders.fates):
            shutil.rmtree(folder, ignore_errors=True)
        yield from ()


def _write_json(path: Path, content: Any) -> None:
    with replacing(path) as out:
        out.write(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
