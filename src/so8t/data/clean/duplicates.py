"""Equal and similar texts: the one from the most trusted source stays, of equal trust the newest, then the first.

All signatures are held in memory, 560 bytes for each text: a gigabyte for two million. (datatrove's own MinHash blocks
sort on disk and have no such limit, but need a word tokenizer for Japanese, take any band in common for similar, and
know no trust.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from kiseki.filesystem import replacing
from so8t.data.clean.block import Block
from so8t.data.clean.kept import kept_documents, signatures_file
from so8t.data.clean.signature import BANDS, ROWS, similarity

Signatures = np.ndarray[tuple[int], np.dtype[Any]]


class Fate(IntEnum):
    """What becomes of a text."""

    KEPT = 0
    EQUAL = 1
    SIMILAR = 2


REASONS = {Fate.EQUAL: "equal text", Fate.SIMILAR: "similar text"}


def fates_file(folder: Path, rank: int) -> Path:
    """Where the fates of a task's documents stand."""
    return folder / f"{rank:05d}.npy"


class FindDuplicates(PipelineStep):  # type: ignore[misc]
    """Compares the documents of all tasks. One task does this.

    Args:
        kept: folder of documents and signatures.
        fates: folder to write to.
        tasks: number of tasks that kept documents.
        similar: from which similarity two texts count as one.
    """

    type = "clean"
    name = "compare"

    def __init__(self, kept: Path, fates: Path, tasks: int, similar: float) -> None:
        super().__init__()
        self._kept, self._fates = kept, fates
        self._tasks = tasks
        self._similar = similar

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Write a fate for every document of every task."""
        of_tasks = [np.load(signatures_file(self._kept, task), allow_pickle=False) for task in range(self._tasks)]
        with self.track_time():
            fates = find_duplicates(np.concatenate(of_tasks), self._similar)
        start = 0
        for task, signatures in enumerate(of_tasks):
            with replacing(fates_file(self._fates, task)) as out:
                np.save(out, fates[start : start + len(signatures)], allow_pickle=False)
            start += len(signatures)
        yield from ()


class DropDuplicates(Block):
    """Reads a task's documents again and leaves the duplicates out.

    Args:
        kept: folder of documents.
        fates: folder of what becomes of them.
    """

    name = "duplicates"

    def __init__(self, kept: Path, fates: Path) -> None:
        super().__init__()
        self._kept, self._folder = kept, fates
        self._fates: Iterator[int] = iter(())

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Read and judge."""
        self._fates = iter(np.load(fates_file(self._folder, rank), allow_pickle=False).tolist())
        yield from super().run(kept_documents(self._kept, rank), rank, world_size)

    def judge(self, document: Document) -> str | None:
        """What was found of this document, the next one in order."""
        return REASONS.get(Fate(next(self._fates)))


def find_duplicates(signatures: Signatures, similar: float) -> npt.NDArray[np.uint8]:
    """A `Fate` for every signature.

    Args:
        signatures: of dtype `SIGNATURE`.
        similar: from which estimated similarity, 0 to 1, two texts count as one.
    """
    fates = np.zeros(len(signatures), dtype=np.uint8)
    preferred = np.lexsort((np.arange(len(signatures)), -signatures["retrieved"], signatures["tier"]))
    place = np.empty(len(signatures), dtype=np.int64)
    place[preferred] = np.arange(len(signatures))
    for group in _groups(signatures["digest"][preferred]):
        fates[preferred[group[1:]]] = Fate.EQUAL
    left = preferred[fates[preferred] == Fate.KEPT]
    for later in _similar_to_an_earlier(signatures["minhash"][left], similar):
        fates[left[later]] = Fate.SIMILAR
    return fates


def _similar_to_an_earlier(minhashes: npt.NDArray[np.uint32], similar: float) -> Iterator[int]:
    """Positions of texts that resemble one before them, directly or through others."""
    leader = list(range(len(minhashes)))

    def led_by(position: int) -> int:
        while leader[position] != position:
            leader[position] = leader[leader[position]]
            position = leader[position]
        return position

    for band in range(BANDS):
        numbers = np.ascontiguousarray(minhashes[:, band * ROWS : (band + 1) * ROWS])
        for first, *others in _groups(numbers.view(f"V{4 * ROWS}").ravel()):
            for other in others:
                one, another = sorted((led_by(first), led_by(other)))
                if one != another and similarity(minhashes[first], minhashes[other]) >= similar:
                    leader[another] = one
    return (position for position in range(len(minhashes)) if led_by(position) != position)


def _groups(values: npt.NDArray[Any]) -> Iterator[Sequence[int]]:
    """Positions of equal values, in order, where there are two or more."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    by_value = np.argsort(inverse, kind="stable")
    ends = np.cumsum(counts)
    for index in np.flatnonzero(counts > 1):
        yield by_value[ends[index] - counts[index] : ends[index]].tolist()
