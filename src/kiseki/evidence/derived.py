"""Files of a pack that follow from the others: the data set manifest, lists of weights, the list of digests.

Pure functions, so that whoever checks a pack makes them again and compares.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from kiseki.evidence.statement import NOT_RECORDED, Weights
from kiseki.record.side_files import canonical_json

DATASETS = "datasets.json"
SUMS = "SHA256SUMS"
_DATA_KEYS = ("data", "dataset", "datasets")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _File(msgspec.Struct):
    sha256: str
    bytes: int | None = None


class _Note(msgspec.Struct):
    role: str
    files: dict[str, _File]
    name: str = ""


class WeightList(NamedTuple):
    """One set of weights and the file that lists it."""

    entry: Weights
    content: bytes


def weight_lists(notes: Iterable[Mapping[str, Any]]) -> list[WeightList]:
    """What the journal's `weights` notes say, one list for each role and name; a later note replaces an earlier one.

    Notes that do not hold roles and digests are passed over.
    """
    latest: dict[tuple[str, str], _Note] = {}
    for raw in notes:
        try:
            note = msgspec.convert(dict(raw), _Note)
        except msgspec.ValidationError:
            continue
        if note.files and all(_SHA256.fullmatch(file.sha256) for file in note.files.values()):
            latest[note.role, note.name] = note
    lists: list[WeightList] = []
    for note in latest.values():
        stem = re.sub(r"[^a-z0-9_-]", "_", note.role.lower())[:40].strip("_-") or "weights"
        taken = sum(one.entry.listed_in.startswith(f"weights/{stem}") for one in lists)
        path = f"weights/{stem}{f'-{taken + 1}' if taken else ''}.sha256"
        content = sums({name: file.sha256 for name, file in note.files.items()})
        lists.append(WeightList(Weights(note.role, note.name, path, len(note.files)), content))
    return lists


def sums(digests: Mapping[str, str]) -> bytes:
    r"""Digests as `sha256sum -c` reads them, sorted by name.

    Example:
        >>> sums({"b": "01", "a": "02"})
        b'02  a\n01  b\n'
    """
    return "".join(_sum_line(name, digests[name]) for name in sorted(digests)).encode("utf-8", "replace")


def _sum_line(name: str, digest: str) -> str:
    # GNU coreutils marks a name that holds a line break or a backslash with a backslash at the start of the line.
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n"


def dataset_manifest(side_files: Mapping[str, bytes]) -> bytes:
    """What the packed side files say of the data: digests, counts, licences; never the data.

    Args:
        side_files: the packed side files by name in the pack, redacted ones included.

    Returns:
        JSON: `source` is the side file that was taken, `data` what it says, or `not recorded`.
    """
    for stem, place in (("report_inputs", ("live",)), ("report_inputs", ("training_config",)), ("config", ())):
        for name in sorted(side_files, key=_attempt, reverse=True):
            if name.startswith(f"metrics/{stem}.") and (data := _data(side_files[name], (stem, *place))) is not None:
                return _indented({"source": name, "data": data})
    return _indented({"source": None, "data": NOT_RECORDED})


def _attempt(name: str) -> int:
    number = re.search(r"\.(\d+)\.", name)
    return int(number[1]) if number else 1


def _data(raw: bytes, place: tuple[str, ...]) -> Any:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return next((value[key] for key in _DATA_KEYS if value.get(key)), None) if isinstance(value, dict) else None


def _indented(content: object) -> bytes:
    return msgspec.json.format(canonical_json(content), indent=2) + b"\n"
