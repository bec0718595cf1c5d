"""Finds the `trainer_state.json` files of one run and reads them."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiseki.importers.branches import shared_records
from kiseki.importers.json_stream import SourceError, Unread, read_pieces
from kiseki.record.row import Refused, whole_step

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
        records: the items of `log_history`.
        last_step: the optimizer step it had reached: `global_step`, or the last that was logged in a damaged file.
        unread: where reading had to stop, None when the file is whole.
        transformers_version: from the `config.json` beside it, None when that does not say.
    """

    name: str
    bytes: int
    sha256: str
    settings: dict[str, Any]
    records: list[Any]
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
        return [(_printable(source.name), source)]
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


def read_states(found: Sequence[tuple[str, Path]]) -> tuple[list[State], dict[str, str]]:
    """Read them all.

    Returns:
        Those that could be read, and for each other one, by name, why not.

    Raises:
        SourceError: none could be read.
    """
    states: list[State] = []
    failed: dict[str, str] = {}
    last_error: SourceError | None = None
    for name, path in found:
        try:
            state = read_state(name, path)
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


def read_state(name: str, path: Path) -> State:
    """Read one file.

    Raises:
        SourceError: it is no Trainer's state, or holds no record.
    """
    pieces = read_pieces(path, "log_history")
    stopped = f"; reading stopped at byte {pieces.unread.byte}: {pieces.unread.why}" if pieces.unread else ""
    if pieces.items is None:
        raise SourceError(f"{path}: there is no list `log_history` in it, which a {STATE_FILE} has{stopped}")
    if not pieces.items:
        raise SourceError(
            f"{path}: `log_history` holds no record: nothing had been logged when it was written{stopped}"
        )
    steps = [step for step in map(step_of_record, pieces.items) if step is not None]
    # A damaged file may have lost the records up to the step it names: another checkpoint can go further than it.
    reached = None if pieces.unread else whole(pieces.fields.get("global_step"))
    return State(
        name=name,
        bytes=pieces.bytes,
        sha256=pieces.sha256,
        settings=pieces.fields,
        records=pieces.items,
        last_step=max([*steps, *([] if reached is None else [reached])], default=0),
        unread=pieces.unread,
        transformers_version=_transformers_version(path) if path.name == STATE_FILE else None,
    )


def step_of_record(record: object) -> int | None:
    """The optimizer step of a record, None when it has none.

    Example:
        >>> step_of_record({"step": 10, "loss": 1.0}), step_of_record({"step": "x"}), step_of_record([])
        (10, None, None)
    """
    return whole(record.get("step")) if isinstance(record, dict) else None


def whole(value: object) -> int | None:
    """A whole number from 0 to 2**53, None when it is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return whole_step(value)
    except Refused:
        return None


def _transformers_version(state: Path) -> str | None:
    try:
        with state.with_name("config.json").open("rb") as file:
            config = json.loads(file.read(_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    version = config.get("transformers_version") if isinstance(config, dict) else None
    return version if isinstance(version, str) and re.fullmatch(r"[0-9A-Za-z.+-]{1,40}", version) else None


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
