"""What happens to a journal before the first line of a new attempt: repair, refusal, or setting the record aside."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kiseki.errors import JournalDamaged
from kiseki.filesystem import replacing, sync_folder
from kiseki.record.journal import Position
from kiseki.record.line import CLOSE, EVAL, OPEN, ROW
from kiseki.record.reader import JournalReader
from kiseki.run_folder import RunFolder


class _Dated(msgspec.Struct):
    elapsed_time_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What an existing journal holds, as far as the next attempt needs to know.

    Attributes:
        position: where to append.
        first_open: the first attempt's `open` object; None when there is no whole line.
        attempts: number of attempts so far.
        elapsed_seconds: the time recorded so far, superseded work included: it was spent.
        last_row_step: step of the last training row, None without rows.
        torn_bytes: bytes after the last good line, 0 when the journal ends cleanly.
        kept_as: name of the file that now holds those bytes, None when there were none.
    """

    position: Position
    first_open: dict[str, Any] | None
    last_open: dict[str, Any] | None
    attempts: int
    elapsed_seconds: float
    last_row_step: int | None
    torn_bytes: int
    kept_as: str | None


def has_record(folder: RunFolder) -> bool:
    """Whether anything was ever recorded here."""
    return folder.journal.exists() and folder.journal.stat().st_size > 0


def recover(folder: RunFolder) -> Found:
    """Check a journal, move a torn tail aside, and say where to go on. The caller holds the lock.

    Raises:
        JournalDamaged: something before the last good line is not what was written; nothing was changed.
        RunFolderError: the journal cannot be read.
    """
    reader = JournalReader(folder.journal)
    opens: list[bytes] = []
    last_dated, last_row = b"{}", b""
    for (kind, payload, _), _ in reader:
        if kind == OPEN:
            opens.append(payload)
        elif kind in (ROW, EVAL, CLOSE):
            last_dated = payload
            last_row = payload if kind == ROW else last_row
    if reader.damage:
        first = reader.damage[0]
        raise JournalDamaged(
            f"{folder.journal}: line {first.line} (byte {first.offset}): {first.what}; nothing was changed and nothing "
            f"will be appended. Keep the folder as evidence and record into another output folder"
        )
    kept_as = _move_torn_tail(folder, reader.good_bytes) if reader.tail_bytes else None
    return Found(
        position=Position(reader.lines, reader.good_bytes, reader.sealed_bytes, reader.digest),
        first_open=msgspec.json.decode(opens[0]) if opens else None,
        last_open=msgspec.json.decode(opens[-1]) if opens else None,
        attempts=len(opens),
        elapsed_seconds=msgspec.json.decode(last_dated, type=_Dated).elapsed_time_seconds,
        last_row_step=int(msgspec.json.decode(last_row)["step"]) if last_row else None,
        torn_bytes=reader.tail_bytes,
        kept_as=kept_as,
    )


def _move_torn_tail(folder: RunFolder, good_bytes: int) -> str:
    """The only truncation there is: the torn bytes stand in a file of their own before they leave the journal."""
    number = 1
    while (kept := folder.journal.with_name(f"{folder.journal.stem}.broken-{number}")).exists():
        number += 1
    with folder.journal.open("r+b") as journal:
        journal.seek(good_bytes)
        with replacing(kept) as out:
            while piece := journal.read(1 << 20):
                out.write(piece)
        journal.truncate(good_bytes)
        os.fsync(journal.fileno())
    return kept.name


def set_aside(folder: RunFolder, run_id: str) -> Path:
    """Move the whole earlier record with its plots and reports to `metrics/earlier/{run_id}/`, itself a run folder.

    The caller holds the journal lock and the views lock.
    """
    target = folder.earlier / run_id
    number = 1
    # A folder without a journal is where a move was interrupted, before its last step: it goes on there.
    while RunFolder(target).journal.exists():
        number += 1
        target = folder.earlier / f"{run_id}.{number}"
    aside = RunFolder(target)
    aside.metrics.mkdir(parents=True, exist_ok=True)
    staying = {
        path.name for path in (folder.journal, folder.journal_lock, folder.views_lock, folder.earlier, folder.ranks)
    }
    for entry in sorted(folder.metrics.iterdir()):
        if entry.name not in staying:
            entry.replace(aside.metrics / entry.name)
    for made, kept in ((folder.plots, aside.plots), (folder.reports, aside.reports)):
        if made.is_dir():
            _move_entries(made, kept)
    # The journal goes last: whoever is interrupted here finds it, and sets the rest aside again.
    folder.journal.rename(aside.journal)
    sync_folder(aside.metrics)
    sync_folder(folder.metrics)
    return target


def _move_entries(source: Path, target: Path) -> None:
    """Move what stands in a folder, none over another: reports may have been made since a move was interrupted."""
    target.mkdir(exist_ok=True)
    for entry in sorted(source.iterdir()):
        number, free = 1, target / entry.name
        while free.exists():
            number += 1
            free = target / f"{entry.stem}_{number}{entry.suffix}"
        entry.rename(free)
    sync_folder(target)


def set_aside_rank(folder: RunFolder, run_id: str) -> Path:
    """Move another rank's earlier journal to `metrics/ranks/earlier/`. The caller holds that journal's lock."""
    target = folder.earlier / f"{run_id}.{folder.journal.name}"
    number = 1
    while target.exists():
        number += 1
        target = folder.earlier / f"{run_id}.{number}.{folder.journal.name}"
    folder.earlier.mkdir(parents=True, exist_ok=True)
    folder.journal.rename(target)
    sync_folder(folder.earlier)
    sync_folder(folder.ranks)
    return target


def recorded_ranks(folder: RunFolder) -> list[RunFolder]:
    """The other ranks that have a journal here, in order."""
    names = sorted(path.stem for path in folder.ranks.glob("rank_*.jsonl"))
    return [RunFolder(folder.root, int(name.removeprefix("rank_"))) for name in names if name[5:].isdecimal()]
