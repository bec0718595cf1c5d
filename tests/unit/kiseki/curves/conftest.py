"""Real journals, written line by line with the recorder's own framing and read back by the recorder's own reader."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kiseki.history import History, read_history
from kiseki.record.line import frame
from kiseki.run_folder import RunFolder

Lines = Iterable[tuple[str, Mapping[str, Any]]]


def write_journal(root: Path, lines: Lines) -> RunFolder:
    """Write (kind, object) pairs as a journal; non-finite floats become the format's strings."""
    folder = RunFolder(root)
    folder.metrics.mkdir(parents=True)
    with folder.journal.open("wb") as journal:
        for seq, (kind, content) in enumerate(lines):
            recorded = {name: spelled(value) for name, value in content.items()}
            journal.write(frame(kind, msgspec.json.encode(recorded), seq))
    return folder


def spelled(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


Recorded = Callable[[Lines], History]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Makes a history out of (kind, object) pairs, through a journal on disk."""

    def make(lines: Lines) -> History:
        return read_history(write_journal(tmp_path / "run", lines))

    return make
