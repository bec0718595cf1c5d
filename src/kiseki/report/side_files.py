"""What stands beside the journal of a run: configuration, environment, what the trainer gave for its report."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kiseki.history import History
from kiseki.run_folder import RunFolder

NAMES = ("config", "environment", "report_inputs")


@dataclass(frozen=True, slots=True)
class SideFile:
    """One side file as the journal knows it and as it stands.

    Attributes:
        path: relative to the run folder.
        attempt: whose it is.
        recorded_sha256: digest in the journal, None when the journal does not name it.
        state: `unchanged`, `changed` since it was recorded, `withheld` (recorded, not here), `not recorded`.
    """

    path: str
    attempt: int
    recorded_sha256: str | None
    state: str


def inventory(history: History) -> tuple[SideFile, ...]:
    """Every side file that the journal names or the folder holds, attempt by attempt."""
    found = []
    for attempt in history.attempts:
        for name in NAMES:
            path = history.folder.side_file(name, attempt.number)
            recorded = _recorded_digest(history, name, attempt.number)
            if recorded is None and not path.is_file():
                continue
            found.append(SideFile(history.folder.relative(path), attempt.number, recorded, _state(path, recorded)))
    return tuple(found)


def latest(history: History, name: str) -> tuple[Mapping[str, Any] | None, int]:
    """The content of the newest attempt's side file of a kind, and that attempt's number.

    An attempt that wrote none, as far as the journal says, leaves the word to the attempt before it. One that was
    withheld leaves it to nobody: what an older file says may no longer be true.

    Returns:
        The object, None when it is not there or cannot be read, and the attempt (0 when no attempt had one).
    """
    for attempt in reversed(history.attempts):
        path = history.folder.side_file(name, attempt.number)
        if path.is_file() or _recorded_digest(history, name, attempt.number) is not None:
            return _content(path, name), attempt.number
    return None, 0


def _content(path: Path, name: str) -> Mapping[str, Any] | None:
    try:
        whole = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    content = whole.get(name, whole) if isinstance(whole, dict) else None
    return content if isinstance(content, dict) else None


def _recorded_digest(history: History, name: str, attempt: int) -> str | None:
    opened = history.attempts[attempt - 1].opened
    side_files = opened.get("side_files")
    file_name = RunFolder(Path()).side_file(name, attempt).name
    if isinstance(side_files, Mapping):
        for key in (file_name, name):
            if key in side_files:
                return str(side_files[key])
    if name == "report_inputs":
        digests = [note.get("sha256") for note in history.notes_of("report_inputs") if note["attempt"] == attempt]
        return str(digests[-1]) if digests else None
    return None


def _state(path: Path, recorded: str | None) -> str:
    if not path.is_file():
        return "withheld"
    if recorded is None:
        return "not recorded"
    return "unchanged" if hashlib.sha256(path.read_bytes()).hexdigest() == recorded else "changed"
