"""Finds the `trainer_state.json` files of one run and reads them."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiseki.importers.branches import shared_records
from kiseki.importers.json_stream import SourceError, Unread, read_pieces
from kiseki.importers.numbers import step_of_record, whole
from kiseki.importers.progress import Progress, part, untold

STATE_FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,18})")
_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class State:
    """One `trainer_state.json`.

    Attributes:
        name: as the record names it: relative to what the user named, forward slashes.
        bytes: length of the file.
        sha256: digest of it.
        settings: the state's other members.
        records: the items of `log_history`; who makes lines of them may take them out.
        count: how many they were.
        last_step: the optimizer step it had reached: `global_step`, or the last that was logged in a damaged file.
        unread: where reading had to stop, None when the file is whole.
        transformers_version: from the `config.json` beside it, None when that does not say.
    """

    name: str
    bytes: int
    sha256: str
    settings: dict[str, Any]
    records: list[Any]
    count: int
    last_step: int
    unread: Unread | None
    transformers_version: str | None


def find_states(source: Path) -> list[tuple[str, Path]]:
    """The files that a user meant, with the names they get: newest checkpoint first, then older ones.

    Args:
        source: a `trainer_state.json` under whatever name, a checkpoint's folder, or an output folder.

    Raises:
        SourceError: there is none.
    """
    if source.is_file():
        return [(printable(source.name), source)]
    if not source.exists():
        raise SourceError(f"{source}: there is no such file or folder; name a {STATE_FILE} or an output folder")
    if not source.is_dir():
        raise SourceError(f"{source}: this is neither a file nor a folder; name a {STATE_FILE} or an output folder")
    try:
        numbered = [(int(found[1]), path) for path in source.iterdir() if (found := _CHECKPOINT.fullmatch(path.name))]
    except OSError as error:
        raise SourceError(f"{source}: the folder cannot be read ({error.strerror or error})") from error
    states = [
        (f"{folder.name}/{STATE_FILE}", folder / STATE_FILE)
        for _, folder in sorted(numbered, key=lambda pair: (pair[0], pair[1].name), reverse=True)
        if (folder / STATE_FILE).is_file()
    ]
    if (source / STATE_FILE).is_file():
        states.insert(0, (STATE_FILE, source / STATE_FILE))
    if not states:
        raise SourceError(
            f"{source}: there is no {STATE_FILE} here, nor in a checkpoint-* folder in it; "
            f"name the output folder of a Trainer, one of its checkpoints, or the file itself"
        )
    return states


def read_states(found: Sequence[tuple[str, Path]], progress: Progress = untold) -> tuple[list[State], dict[str, str]]:
    """Read them all.

    Args:
        found: names and paths, as `find_states` gives them.
        progress: told how far reading is.

    Returns:
        Those that could be read, and for each other one, by name, why not.

    Raises:
        SourceError: none could be read.
    """
    states: list[State] = []
    failed: dict[str, str] = {}
    last_error: SourceError | None = None
    for index, (name, path) in enumerate(found):
        try:
            state = read_state(name, path, part(progress, 100 * index // len(found), 100 * (index + 1) // len(found)))
        except SourceError as error:
            failed[name] = str(error).removeprefix(f"{path}: ")
            last_error = error
        else:
            for other in states:  # what two logs share is held once
                shared = shared_records(state.records, other.records)
                state.records[:shared] = other.records[:shared]
            states.append(state)
    if not states and last_error is not None:
        raise last_error
    return states, failed


def read_state(name: str, path: Path, progress: Progress = untold) -> State:
    """Read one file.

    Args:
        name: as the record names it.
        path: the file.
        progress: told how far reading is.

    Raises:
        SourceError: it is no Trainer's state, or holds no record.
    """
    pieces = read_pieces(path, "log_history", progress)
    stopped = f"; reading stopped at byte {pieces.unread.byte}: {pieces.unread.why}" if pieces.unread else ""
    if pieces.items is None:
        raise SourceError(f"{path}: there is no list `log_history` in it, which a {STATE_FILE} has{stopped}")
    if not pieces.items:
        raise SourceError(
            f"{path}: `log_history` holds no record: nothing had been logged when it was written{stopped}"
        )
    steps = (step for step in map(step_of_record, pieces.items) if step is not None)
    # A damaged file may have lost the records up to the step it names: another checkpoint can go further than it.
    reached = None if pieces.unread else whole(pieces.fields.get("global_step"))
    return State(
        name=name,
        bytes=pieces.bytes,
        sha256=pieces.sha256,
        settings=pieces.fields,
        records=pieces.items,
        count=len(pieces.items),
        last_step=max(max(steps, default=0), reached or 0),
        unread=pieces.unread,
        transformers_version=_transformers_version(path) if path.name == STATE_FILE else None,
    )


def _transformers_version(state: Path) -> str | None:
    path = state.with_name("config.json")
    if not path.is_file():  # to open a pipe is to wait for it
        return None
    try:
        with path.open("rb") as file:
            config = json.loads(file.read(_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    version = config.get("transformers_version") if isinstance(config, dict) else None
    return version if isinstance(version, str) and re.fullmatch(r"[0-9A-Za-z.+-]{1,40}", version) else None


def printable(name: str) -> str:
    """A file's name as UTF-8 can hold it: bytes that are none are shown as escapes.

    Example:
        >>> print(printable("a\\udcffb"))
        a\\udcffb
    """
    return name.encode("utf-8", "backslashreplace").decode()
