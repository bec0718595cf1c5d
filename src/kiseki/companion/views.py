"""Brings the views of a run up to date from its journal, in the companion, at `close()` and in `kiseki report` alike.

A view is a pure function of the journal as it stands when the views lock has been taken. So an old companion that
wakes up late writes what the journal says now, and can never put an older view over a newer one.
"""

import shutil
from dataclasses import dataclass

from kiseki.companion.tables import EVALUATION_COLUMNS, TRAINING_COLUMNS, write_csv, write_json
from kiseki.errors import RunFolderError
from kiseki.filesystem import FileLock, replacing, sweep_temporaries, sync_file
from kiseki.history import History, read_history
from kiseki.run_folder import RunFolder

_RESERVE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        journal_bytes: length of the journal that the views now show.
        written_bytes: size of all files written.
    """

    journal_bytes: int
    written_bytes: int


def refresh_views(
    folder: RunFolder, *, tables: bool = True, plots: bool = True, lock_timeout: float = 30.0
) -> Refreshed:
    """Replace JSON, CSV and PNG by what the journal says now; outputs that the run switched off stay off.

    Args:
        folder: the run.
        tables: bring JSON and CSV up to date.
        plots: draw the PNG.
        lock_timeout: seconds to wait for somebody else who is doing the same.

    Raises:
        RunFolderError: no journal; too little free disk; somebody else holds the views for longer than that.
        OSError: a file could not be written; the view that stood there still stands.
    """
    lock = FileLock(folder.views_lock)
    if not folder.journal.exists():
        raise RunFolderError(f"{folder.journal}: there is no journal here; name the output folder of a recorded run")
    if not lock.acquire(lock_timeout):
        raise RunFolderError(
            f"{folder.views_lock}: another process has been writing the views for {lock_timeout:.0f} s; "
            f"wait for it, or end it, and try again"
        )
    try:
        history = read_history(folder)
        _require_space(folder, history)
        sync_file(folder.journal)  # after a power cut a view must not show rows that the journal has lost
        written = 0
        if tables:
            written += _write_tables(history)
        if plots and history.opened.get("outputs", {}).get("plots", True):
            written += _draw(history)
        return Refreshed(history.good_bytes, written)
    finally:
        lock.release()


def _require_space(folder: RunFolder, history: History) -> None:
    needed = 2 * history.good_bytes + _RESERVE_BYTES
    free = shutil.disk_usage(folder.metrics).free
    if free < needed:
        raise RunFolderError(
            f"{folder.root}: {free >> 20} MiB of disk are free, {needed >> 20} MiB are wanted before views are "
            f"rewritten; the journal goes on. Free some space, then run: kiseki report {folder.root}"
        )


def _write_tables(history: History) -> int:
    folder = history.folder
    outputs = history.opened.get("outputs", {})
    written = 0
    for rows, json_path, csv_path, columns in (
        (history.rows, folder.training_json, folder.training_csv, TRAINING_COLUMNS),
        (history.evaluations, folder.evaluation_json, folder.evaluation_csv, EVALUATION_COLUMNS),
    ):
        if outputs.get("json", True):
            sweep_temporaries(json_path)
            with replacing(json_path) as out:
                write_json(rows, out)
                written += out.tell()
        if outputs.get("csv", True):
            sweep_temporaries(csv_path)
            with replacing(csv_path) as out:
                write_csv(rows, columns, out)
                written += out.tell()
    return written


def _draw(history: History) -> int:
    from kiseki.curves import draw_training_curves  # half a second to load: only where a figure is drawn

    picture = draw_training_curves(history, language=history.opened.get("language", "en"))
    path = history.folder.curves_png
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_temporaries(path)
    with replacing(path) as out:
        out.write(picture)
    return len(picture)
