"""What went into each block, what came out, and why the rest did not: from the statistics of all tasks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from so8t.data.clean.block import STEP_DROPPED, STEP_IN, STEP_OUT
from so8t.data.clean.privacy_block import FOUND
from so8t.data.clean.safety_block import LABELLED
from so8t.errors import DataError


@dataclass
class BlockCounts:
    """One block.

    Attributes:
        name: the block's.
        entered: documents that came in.
        left: documents that went on.
        dropped: documents left out, by reason.
        found: values of personal data, by kind.
        labelled: documents left out for safety, by label.
    """

    name: str
    entered: int = 0
    left: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)

    def add(self, statistics: Mapping[str, Any]) -> None:
        """Add what one task counted."""
        for name, value in statistics.items():
            total = int(value["total"] if isinstance(value, Mapping) else value)
            if name == STEP_IN:
                self.entered += total
            elif name == STEP_OUT:
                self.left += total
            for prefix, counter in ((STEP_DROPPED, self.dropped), (FOUND, self.found), (LABELLED, self.labelled)):
                if name.startswith(prefix):
                    counter[name.removeprefix(prefix)] += total


def block_counts(statistics: Iterable[Path]) -> list[BlockCounts]:
    """Counts of every block, in the order of the pipeline.

    Args:
        statistics: datatrove's `stats` folder of every pass, in order.

    Raises:
        DataError: documents were lost or made between or within blocks; the counts of a block do not add up.
    """
    blocks: dict[str, BlockCounts] = {}
    for step in _steps(statistics):
        name = step["name"].partition(": ")[2]
        if STEP_IN in step["stats"] or name in blocks or not step["stats"]:
            blocks.setdefault(name, BlockCounts(name)).add(step["stats"])
    counted = [block for block in blocks.values() if block.name not in _NO_BLOCKS]
    _check(counted)
    return counted


_NO_BLOCKS = frozenset({"keep", "compare", "write", "finish"})


def _steps(statistics: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for folder in statistics:
        for file in sorted(folder.glob("*.json")):
            yield from json.loads(file.read_text(encoding="utf-8"))


def _check(blocks: list[BlockCounts]) -> None:
    before: BlockCounts | None = None
    for block in blocks:
        if block.entered != block.left + block.dropped.total():
            raise DataError(f"the counts of block {block.name} do not add up: remove the folder and clean again")
        if before is not None and before.left != block.entered:
            raise DataError(
                f"{before.left} documents left block {before.name} and {block.entered} came to {block.name}: "
                f"remove the folder and clean again"
            )
        before = block
