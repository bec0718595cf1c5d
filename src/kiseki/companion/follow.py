"""Follows a growing journal: how long it is, the latest recorded step, and durability once a second."""

import re

from kiseki.filesystem import sync_file
from kiseki.run_folder import RunFolder

_ROW_STEP = re.compile(rb'^\{"row":\{"step":(\d+)', re.MULTILINE)
_TAIL = 64 << 10


class JournalFollower:
    """Watches the journal of a run that another process records.

    Args:
        folder: the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.journal
        self._synced_bytes = -1
        self.size = 0
        self.step = 0

    def look(self) -> bool:
        """Read what is new; whether the journal has grown (or is another one) since the last look."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return False
        if size == self.size:
            return False
        with self._path.open("rb") as journal:
            journal.seek(max(0, min(self.size, size), size - _TAIL))
            steps = _ROW_STEP.findall(journal.read())
        if steps:
            self.step = int(steps[-1])
        self.size = size
        return True

    def sync(self) -> None:
        """Make what was seen survive loss of power; fdatasync is per file, whoever wrote it.

        Raises:
            OSError: the disk refused.
        """
        if self._synced_bytes == self.size:
            return
        sync_file(self._path)
        self._synced_bytes = self.size
