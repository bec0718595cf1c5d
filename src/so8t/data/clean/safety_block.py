"""Safety labels: what a classifier blocks or would have reviewed stays out of the data.

Text for training safety judgement comes from records with a refusing answer, never from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from datatrove.data import Document

from kiseki.filesystem import replacing
from so8t.data.clean.block import Block
from so8t.data.safety.discard import discard_digest
from so8t.data.safety.taxonomy import DISCARDED

LABELLED = "label "
"""Name of the count of documents that were left out with a label, which follows."""


class Verdict(Protocol):
    """What a classifier says: `so8t.data.safety.classifier.Verdict`."""

    @property
    def label(self) -> str:
        """What the text is about."""

    @property
    def action(self) -> str:
        """pass, review or block."""


class Classifier(Protocol):
    """What judges a text: `so8t.data.safety.classifier.SafetyClassifier`."""

    def classify(self, text: str) -> Verdict:
        """Judge a text."""


class Safety(Block):
    """Leaves out what is not passed.

    Args:
        load: loads the classifier; called once in every worker.
        discarded: folder for the digests of texts that nobody may keep.
    """

    name = "safety"

    def __init__(self, load: Callable[[], Classifier], discarded: Path) -> None:
        super().__init__()
        self._load = load
        self._folder = discarded
        self._digests: list[str] = []
        self._classifier: Classifier | None = None

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Judge every document, then write the digests of what was discarded."""
        self._classifier = self._load()
        self._digests.clear()
        yield from super().run(data, rank, world_size)
        self._classifier = None
        if self._digests:
            with replacing(self._folder / f"{rank:05d}.txt") as out:
                out.writelines(f"{digest}\n".encode() for digest in sorted(self._digests))

    def judge(self, document: Document) -> str | None:
        """Classify the text."""
        if self._classifier is None:
            raise RuntimeError("a classifier is loaded by run()")
        verdict = self._classifier.classify(document.text)
        label, action = str(verdict.label), str(verdict.action)
        if action == "pass":
            return None
        self.stat_update(LABELLED + label)
        if label in DISCARDED:
            self._digests.append(discard_digest(document.text))
            document.text = ""
        return f"{action} {label}"
