"""What every step of the pipeline is: documents in, documents out, and a count of every one that is left behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

STEP_IN, STEP_OUT, STEP_DROPPED = "in", "out", "dropped "
"""Names of the counts in datatrove's statistics; a reason follows the last one."""


class Block(PipelineStep, ABC):  # type: ignore[misc]
    """Judges one document after the other.

    `name` is what statistics and the data statement call the block.
    """

    type = "clean"

    @abstractmethod
    def judge(self, document: Document) -> str | None:
        """Why the document is left out, or None where it goes on, changed or not."""

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Pass on what is not left out, and count."""
        for document in data:
            self.stat_update(STEP_IN)
            with self.track_time():
                reason = self.judge(document)
            if reason is None:
                self.stat_update(STEP_OUT)
                yield document
            else:
                self.stat_update(STEP_DROPPED + reason)
