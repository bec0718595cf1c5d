"""Documents between the passes: on disk, in order, already without personal data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from kiseki.filesystem import replacing, sweep_temporaries
from so8t.data.clean.signature import SIGNATURE, signature


def documents_file(folder: Path, rank: int) -> Path:
    """Where a task's documents stand."""
    return folder / f"{rank:05d}.jsonl"


def signatures_file(folder: Path, rank: int) -> Path:
    """Where their signatures stand, one for each, in the same order."""
    return folder / f"{rank:05d}.npy"


class Keep(PipelineStep):  # type: ignore[misc]
    """Writes a task's documents and their signatures.

    Args:
        folder: where to.
    """

    type = "clean"
    name = "keep"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Write everything, or leave nothing; what a killed task left goes first."""
        signatures = []
        target = documents_file(self._folder, rank)
        sweep_temporaries(target)
        with replacing(target) as out:
            for document in data:
                with self.track_time():
                    signatures.append(signature(document))
                    out.write(msgspec.json.encode({"text": document.text, "metadata": document.metadata}) + b"\n")
                yield document
            with replacing(signatures_file(self._folder, rank)) as numbers:
                np.save(numbers, np.array(signatures, dtype=SIGNATURE), allow_pickle=False)


def kept_documents(folder: Path, rank: int) -> Iterator[Document]:
    """A task's documents, in order."""
    with documents_file(folder, rank).open("rb") as lines:
        for number, line in enumerate(lines):
            row = msgspec.json.decode(line)
            yield Document(text=row["text"], id=f"{rank}-{number}", metadata=row["metadata"])
