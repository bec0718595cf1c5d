"""Where a cleaning keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PASSES = ("clean", "compare", "write", "finish")
"""The passes over the data, in order: blocks up to safety, finding duplicates, writing records, counting."""


@dataclass(frozen=True)
class Folders:
    """Folders of a cleaning.

    Attributes:
        out: what `--out` names.
    """

    out: Path

    @property
    def work(self) -> Path:
        """What the passes leave for each other and for a restart."""
        return self.out / "work"

    @property
    def plan(self) -> Path:
        """The plan's file."""
        return self.work / "plan.json"

    @property
    def kept(self) -> Path:
        """Documents after the first pass, and their signatures."""
        return self.work / "kept"

    @property
    def fates(self) -> Path:
        """What becomes of each of them."""
        return self.work / "fates"

    @property
    def discarded(self) -> Path:
        """Digests of discarded texts, by task."""
        return self.work / "discarded"

    def logging(self, one_pass: str) -> Path:
        """datatrove's folder for a pass: statistics and completion markers."""
        return self.work / one_pass

    def statistics(self) -> list[Path]:
        """Statistics of the passes that count documents."""
        return [self.logging(one_pass) / "stats" for one_pass in ("clean", "write")]
