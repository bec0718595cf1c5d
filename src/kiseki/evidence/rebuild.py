"""Makes the views and the summary of a run again from its journal alone, in a folder of its own."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from kiseki.companion.tables import EVALUATION_COLUMNS, TRAINING_COLUMNS, write_csv, write_json
from kiseki.history import History
from kiseki.report.dossier import Dossier, gather
from kiseki.run_folder import RunFolder

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
"""The summary does not hold the moment at which it is made."""


class Rebuilt(NamedTuple):
    """A view made from the journal.

    Attributes:
        name: where it stands in the run folder.
        path: where it was written.
        sha256, bytes: of its content.
    """

    name: str
    path: Path
    sha256: str
    bytes: int


def place_journal(blocks: Iterable[bytes], scratch: Path) -> RunFolder:
    """A run folder with nothing but this journal in it."""
    folder = RunFolder(scratch)
    folder.metrics.mkdir(parents=True, exist_ok=True)
    with folder.journal.open("wb") as out:
        out.writelines(blocks)
    return folder


def view_names(opened: Mapping[str, Any]) -> list[str]:
    """The JSON and CSV files that a run keeps, as its latest `open` line says."""
    outputs = opened.get("outputs")
    off = {kind for kind in ("json", "csv") if isinstance(outputs, Mapping) and outputs.get(kind) is False}
    here = RunFolder(Path())
    paths = (here.training_json, here.training_csv, here.evaluation_json, here.evaluation_csv)
    return [path.as_posix() for path in paths if path.suffix[1:] not in off]


def rebuild_views(history: History) -> Iterator[Rebuilt]:
    """Write the views of a run beside its journal, one after the other.

    Args:
        history: of a folder that `place_journal` made.
    """
    for name in view_names(history.opened):
        path = history.folder.root / name
        training = "training" in path.name
        rows = history.rows if training else history.evaluations
        with path.open("w+b") as out:
            if path.suffix == ".json":
                write_json(rows, out)
            else:
                write_csv(rows, TRAINING_COLUMNS if training else EVALUATION_COLUMNS, out)
            out.seek(0)
            digest = hashlib.file_digest(out, "sha256").hexdigest()
            yield Rebuilt(name, path, digest, out.tell())


def read_again(folder: RunFolder) -> Dossier:
    """The facts of a report made from this journal now; its history gives the views, `to_csv` of it the summary.

    Raises:
        JournalDamaged, RunFolderError: the journal does not hold what a journal holds.
    """
    return gather(folder, now=_ANY_MOMENT)
