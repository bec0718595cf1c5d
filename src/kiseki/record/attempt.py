"""Begins an attempt: takes the lock, decides what becomes of the record that stands there, writes the `open` line."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from kiseki.errors import ForeignRun, RunFolderError, RunLocked
from kiseki.filesystem import FileLock
from kiseki.record.clock import Clock, TimestampWriter
from kiseki.record.journal import Journal, NoJournal, Position
from kiseki.record.line import NOTE, OPEN
from kiseki.record.opening import Found, has_record, recorded_ranks, recover, set_aside, set_aside_rank
from kiseki.record.side_files import canonical_json, differences, read_side_file, write_side_file
from kiseki.run_folder import RunFolder
from kiseki.telling import warn

FORMAT = 1
_LOCK_SECONDS = 1.0
_VIEWS_LOCK_SECONDS = 30.0


@dataclass(frozen=True)
class Intent:
    """What the caller wants recorded about an attempt.

    Attributes:
        model_name: as reports name the model.
        public: what stands in the `open` line for everyone: save_interval, language, outputs, criteria and the like.
        config: the full configuration, kept in a side file; None when there is none.
        environment: describes this machine; kept in a side file.
        resume_step: continue the run that stands there after this step; None for a new run.
        run_id: a name for a new run; one is made when None. When resuming it must be the run's own.
        allow_config_change: resume although the configuration is another.
    """

    model_name: str
    public: Mapping[str, Any]
    config: Mapping[str, Any] | None = None
    environment: Callable[[], Mapping[str, Any]] | None = None
    resume_step: int | None = None
    run_id: str | None = None
    allow_config_change: bool = False


@dataclass(frozen=True)
class Begun:
    """An attempt that has begun.

    Attributes:
        journal: open, with the `open` line written.
        number: the attempt, from 1.
        run_id: the run's name.
        elapsed_before_seconds: time recorded by earlier attempts.
        began_monotonic_nanoseconds: this attempt's zero.
    """

    journal: Journal | NoJournal
    number: int
    run_id: str
    elapsed_before_seconds: float
    began_monotonic_nanoseconds: int


def begin(folder: RunFolder, intent: Intent, clock: Clock, recorder_version: str) -> Begun:
    """Open the journal for one more attempt.

    Raises:
        RunLocked: another process records here.
        RunFolderError: the folder cannot be written.
        ForeignRun: resuming another run, or under another configuration.
        JournalDamaged: the record is not what was written; nothing was changed.
    """
    try:
        folder.journal.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.journal_lock)
        locked = lock.acquire(_LOCK_SECONDS)
    except OSError as error:
        raise RunFolderError(
            f"{folder.root}: the run folder cannot be written ({error.strerror}); choose another output folder"
        ) from error
    if not locked:
        raise RunLocked(
            f"{folder.root}: another process is recording into this folder now; "
            f"wait for it to end, or choose another output folder"
        )
    try:
        return _begin_locked(folder, intent, clock, recorder_version, lock)
    except OSError as error:
        lock.release()
        raise RunFolderError(
            f"{folder.root}: the record cannot be opened ({error.strerror or error}); "
            f"check free disk and permissions, or choose another output folder"
        ) from error
    except BaseException:
        lock.release()
        raise


def begin_nothing(intent: Intent, clock: Clock) -> Begun:
    """The attempt of a rank that does not record: no file is touched."""
    run_id = intent.run_id or "not-recorded"
    return Begun(NoJournal(), 1, run_id, 0.0, clock.monotonic_nanoseconds())


def _begin_locked(folder: RunFolder, intent: Intent, clock: Clock, recorder_version: str, lock: FileLock) -> Begun:
    timestamp = TimestampWriter()(clock.wall_nanoseconds())
    found = _found(folder, intent)
    number = found.attempts + 1 if found else 1
    run_id = str(found.first_open["run_id"]) if found and found.first_open else _run_id(intent, timestamp)
    elapsed_before = found.elapsed_seconds if found else 0.0
    began = clock.monotonic_nanoseconds()
    side_files = {}
    if intent.environment is not None:
        path = folder.side_file("environment", number)
        side_files[path.name] = write_side_file(path, "environment", intent.environment())
    if intent.config is not None:
        path = folder.side_file("config", number)
        side_files[path.name] = write_side_file(path, "config", intent.config)
    opened: dict[str, Any] = {
        "format": FORMAT,
        "run_id": run_id,
        "attempt": number,
        **({"resume_step": intent.resume_step} if intent.resume_step is not None else {}),
        "timestamp": timestamp,
        "monotonic_seconds": round(began / 1e9, 6),
        "elapsed_before_seconds": elapsed_before,
        "recorder": f"kiseki {recorder_version}",
        "model_name": intent.model_name,
        **intent.public,
        "side_files": side_files,
    }
    journal = Journal(folder.journal, lock, found.position if found else Position(), clock)
    if not journal.append(OPEN, msgspec.json.encode(opened)):
        journal.close()
        raise RunFolderError(
            f"{folder.journal}: the first line could not be written; check free disk and permissions, then start again"
        )
    if found and found.kept_as:
        note = {"kind": "repair", "timestamp": timestamp, "bytes": found.torn_bytes, "kept_as": found.kept_as}
        journal.append(NOTE, msgspec.json.encode(note))
    journal.seal()
    journal.sync()
    return Begun(journal, number, run_id, elapsed_before, began)


def _run_id(intent: Intent, timestamp: str) -> str:
    """Sortable and readable: when the run began, and four random bytes."""
    if intent.run_id is not None:
        return intent.run_id
    moment = timestamp[:19].translate({ord("-"): None, ord(":"): None, ord("T"): "-"})
    return f"{moment}-{os.urandom(4).hex()}"


def _found(folder: RunFolder, intent: Intent) -> Found | None:
    """What of the existing record this attempt continues: None for a new run, whose way is clear then."""
    if not has_record(folder):
        return None
    if intent.resume_step is None:
        _make_way(folder)
        return None
    found = recover(folder)
    if found.first_open is None:
        return None
    recorded_id = found.first_open["run_id"]
    if intent.run_id is not None and intent.run_id != recorded_id:
        raise ForeignRun(
            f"{folder.root}: the run that stands here is {recorded_id}, not {intent.run_id}; "
            f"name that run's own output folder, or start a new run without resume_step"
        )
    _check_configuration(folder, intent, found)
    return found


def _check_configuration(folder: RunFolder, intent: Intent, found: Found) -> None:
    if intent.config is None or intent.allow_config_change:
        return
    before = next(
        (
            config
            for attempt in range(found.attempts, 0, -1)
            if (config := read_side_file(folder.side_file("config", attempt), "config")) is not None
        ),
        None,
    )
    if before is None:
        return
    changed = differences(before, json.loads(canonical_json(intent.config)))
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise ForeignRun(
            f"{folder.root}: the run that stands here was configured otherwise: {'; '.join(changed[:5])}{more}. "
            f"Resume with the same configuration, or choose another output folder"
        )


def _make_way(folder: RunFolder) -> None:
    reader_id = _recorded_run_id(folder)
    if folder.rank:
        set_aside_rank(folder, reader_id)
        return
    views = FileLock(folder.views_lock)
    if not views.acquire(_VIEWS_LOCK_SECONDS):
        raise RunLocked(
            f"{folder.root}: another process is still writing this folder's views; try again when it has ended"
        )
    try:
        aside = set_aside(folder, reader_id)
        for rank in recorded_ranks(folder):
            # A rank that has begun already has made way by itself, and holds its lock.
            lock = FileLock(rank.journal_lock)
            if lock.acquire():
                set_aside_rank(rank, _recorded_run_id(rank))
                lock.release()
    finally:
        views.release()
    warn(
        "%s held the record of run %s; it now stands whole in %s, and a new run begins",
        folder.root,
        reader_id,
        folder.relative(aside),
    )


def _recorded_run_id(folder: RunFolder) -> str:
    """The run's name from its first line; a name of its own where that cannot be read."""
    with folder.journal.open("rb") as journal:
        first = journal.readline()
    try:
        recorded = msgspec.json.decode(first, type=dict[str, Any])["open"]["run_id"]
    except (msgspec.DecodeError, KeyError, TypeError):
        recorded = ""
    safe = "".join(character if character.isalnum() or character in "-_." else "_" for character in str(recorded))
    return safe.strip(".")[:100] or "unreadable"
