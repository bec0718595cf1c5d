"""What only the owner may see of an attempt, in files beside the journal, bound to it by salted digests.

A side file holds a random salt beside its content, so its SHA-256 in the `open` line can be checked with `sha256sum`
and cannot be guessed from what the content probably is. The file can be withheld without breaking anything.
"""

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kiseki.errors import RunFolderError, UsageError
from kiseki.filesystem import replacing
from kiseki.run_folder import RunFolder


def write_side_file(path: Path, name: str, content: object) -> str:
    """Write `{"salt": …, NAME: content}`, whole and durable.

    Args:
        path: the file, replaced when it stands.
        name: the key of the content.
        content: anything made of mappings, lists, text and numbers; other objects are written as their text.

    Returns:
        SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        OSError: it could not be written.
        UsageError: the content cannot be written as JSON.
    """
    encoded = canonical_json({"salt": os.urandom(16).hex(), name: content})
    with replacing(path) as out:
        out.write(msgspec.json.format(encoded, indent=2) + b"\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_report_inputs(folder: RunFolder, attempt: int, inputs: Mapping[str, Any]) -> tuple[str, str]:
    """Keep what the trainer gave for its report.

    Args:
        folder: the run.
        attempt: whose report it is.
        inputs: whatever was given, by name.

    Returns:
        Name and SHA-256 of the file, for the note that binds it to the journal.

    Raises:
        RunFolderError: it could not be written.
        UsageError: the inputs cannot be written as JSON.
    """
    path = folder.side_file("report_inputs", attempt)
    try:
        return path.name, write_side_file(path, "report_inputs", inputs)
    except OSError as failure:
        raise RunFolderError(
            f"{folder.metrics}: the report's inputs cannot be written ({failure.strerror or failure}); "
            f"free some space, then run: kiseki report {folder.root}"
        ) from failure


def read_side_file(path: Path, name: str) -> Any:
    """The content of a side file; None when it was withheld or cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any]).get(name)
    except (OSError, msgspec.DecodeError):
        return None


def canonical_json(content: object) -> bytes:
    """The same bytes for the same content: sorted keys, non-finite floats as strings, unknown objects as text.

    Raises:
        UsageError: something in it cannot be written as JSON.

    Example:
        >>> canonical_json({"b": float("inf"), "a": (1, Path("x"))})
        b'{"a":[1,"x"],"b":"Infinity"}'
    """
    try:
        return msgspec.json.encode(_jsonable(content), order="sorted")
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"a configuration that cannot be written as JSON: {error}") from error


def _jsonable(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_jsonable(inner) for inner in value), key=str)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def differences(before: object, after: object, path: str = "") -> list[str]:
    """Dotted names of what two configurations do not have in common.

    Example:
        >>> differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "d": 2})
        ['a.b: 1 -> 3', 'c: 2 -> (absent)', 'd: (absent) -> 2']
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[str] = []
        for key in sorted({*before, *after}, key=str):
            name = f"{path}.{key}" if path else str(key)
            if key not in before:
                found.append(f"{name}: (absent) -> {after[key]!r}")
            elif key not in after:
                found.append(f"{name}: {before[key]!r} -> (absent)")
            else:
                found += differences(before[key], after[key], name)
        return found
    return [] if before == after else [f"{path}: {before!r} -> {after!r}"]
