"""Which checkpoints are complete, and what they come from.

The Trainer writes a checkpoint file by file into its final folder, so a kill leaves some of them unfinished. A
manifest closes a checkpoint: written last of all, when every file is on the disk, it lists sizes and digests and says
which run, configuration and data the checkpoint comes from. Without one a checkpoint may still be whole, but nobody
can tell, and resuming does not choose it by itself.
"""

import hashlib
import json
import re
import secrets
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from kiseki.filesystem import replacing, sync_file, sync_folder
from kiseki.record.side_files import canonical_json
from so8t.training.console_texts import Language, text

CHECKPOINTS = "checkpoints"
MANIFEST = "checkpoint_manifest.json"
GATES_FILE = "so8_gates.safetensors"  # as so8t.model.attach.GATES_FILE (tested); not imported: that loads torch

_NAME = re.compile(r"checkpoint-(\d+)")
_WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint comes from.

    Attributes:
        session_id: the run.
        config: its effective settings.
        data: name of a dataset ("train", "eval") -> SHA-256 of its file.
        base: name of a weight file of the base model -> its SHA-256; empty where that is not known.
    """

    session_id: str
    config: Mapping[str, Any]
    data: Mapping[str, str]
    base: Mapping[str, str] = {}

    def plain(self) -> "Origin":
        """The same, as it reads back from JSON."""
        return msgspec.json.decode(canonical_json(msgspec.structs.asdict(self)), type=Origin)


class _File(msgspec.Struct, frozen=True):
    bytes: int
    sha256: str


class _Manifest(msgspec.Struct, kw_only=True):
    origin: Origin
    step: int
    files: dict[str, _File]


def new_session_id(now: datetime | None = None) -> str:
    """A name for a run: sorts by time (UTC), and differs for two runs of one second.

    Example:
        >>> new_session_id(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))[:16]
        '20260102_030405_'
    """
    return f"{now or datetime.now(UTC):%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"


def checkpoint_step(folder: Path) -> int | None:
    """The optimizer step in a checkpoint folder's name; None for any other name.

    Example:
        >>> checkpoint_step(Path("runs/demo/checkpoints/checkpoint-40"))
        40
    """
    match = _NAME.fullmatch(folder.name)
    return int(match.group(1)) if match else None


def write_manifest(folder: Path, origin: Origin) -> None:
    """Close a checkpoint: bring its files to the disk, list them, and say what it comes from.

    A power cut must not leave a manifest beside files that were still in the operating system's memory.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST]
    files = {}
    for path in paths:
        sync_file(path)
        files[path.relative_to(folder).as_posix()] = _File(path.stat().st_size, _sha256(path))
    for inner in {path.parent for path in paths} | {folder, folder.parent}:
        sync_folder(inner)
    content = {
        "origin": msgspec.structs.asdict(origin),
        "step": checkpoint_step(folder),
        "files": msgspec.to_builtins(files),
    }
    with replacing(folder / MANIFEST) as out:
        out.write(msgspec.json.format(canonical_json(content), indent=2) + b"\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_origin(folder: Path) -> Origin | None:
    """What a checkpoint comes from; None where nothing says so."""
    manifest = _read_manifest(folder)
    return manifest.origin if manifest else None


def _read_manifest(folder: Path) -> _Manifest | None:
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def what_is_missing(folder: Path, *, gates: bool = False, contents: bool = False) -> str | None:
    """Why a checkpoint cannot be resumed from.

    Args:
        folder: the checkpoint.
        gates: whether it must hold SO(8) gates.
        contents: whether to read every file and compare it with the manifest's digest, which takes its time.

    Returns:
        One phrase that names the file, or None when the checkpoint is complete.
    """
    if (reason := _state_problem(folder)) is not None:
        return reason
    if gates and (reason := _safetensors_problem(folder / GATES_FILE)) is not None:
        return reason
    if (folder / MANIFEST).exists():
        return _manifest_problem(folder, contents=contents)
    if (reason := _weights_problem(folder)) is not None:
        return reason
    random_states = sorted(folder.glob("rng_state*.pth")) or [folder / "rng_state.pth"]
    for path in (folder / "optimizer.pt", folder / "scheduler.pt", *random_states):
        # torch.save writes a zip archive; its directory stands at the end, so a cut-off file has none.
        if not path.is_file() or not zipfile.is_zipfile(path):
            return f"{path.name} is missing or cut off"
    return None


def _state_problem(folder: Path) -> str | None:
    try:
        state = json.loads((folder / "trainer_state.json").read_bytes())
    except (OSError, ValueError):
        return "trainer_state.json is missing or cut off"
    step = state.get("global_step") if isinstance(state, dict) else None
    if step != checkpoint_step(folder):
        return f"trainer_state.json is of step {step}"
    return None


def _weights_problem(folder: Path) -> str | None:
    present = next((folder / name for name in _WEIGHTS if (folder / name).exists()), None)
    if present is None:
        return f"it holds no weights ({' or '.join(_WEIGHTS[:2])})"
    if present.suffix == ".safetensors":
        return _safetensors_problem(present)
    try:
        shards = set(json.loads(present.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return f"{present.name} is cut off"
    problems = (_safetensors_problem(folder / str(shard)) for shard in sorted(shards, key=str))
    return next((problem for problem in problems if problem is not None), None)


def _safetensors_problem(path: Path) -> str | None:
    """Whether the file is as long as its header says: 8 bytes of header length, the header, the tensors."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 2 <= length <= size - 8:
                return f"{path.name} is cut off"
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except OSError:
        return f"{path.name} is missing"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return f"{path.name} has a damaged header"
    return None if 8 + length + max(ends, default=0) == size else f"{path.name} is cut off"


def _manifest_problem(folder: Path, *, contents: bool) -> str | None:
    manifest = _read_manifest(folder)
    if manifest is None:
        return f"{MANIFEST} is cut off"
    for name, listed in manifest.files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != listed.bytes:
            return f"{name} has {size} bytes, and {MANIFEST} lists {listed.bytes}"
    if contents:
        for name, listed in manifest.files.items():
            if _sha256(folder / name) != listed.sha256:
                return f"{name} is damaged: its SHA-256 is not the one that {MANIFEST} lists"
    return None


def not_closed(folder: Path) -> str | None:
    """Why nobody can tell whether a checkpoint is whole; None where its manifest does."""
    if (folder / MANIFEST).exists():
        return None
    return f"it has no {MANIFEST}: training ended while it was being written"


def complete_checkpoints(checkpoints_dir: Path, *, gates: bool = False) -> list[Path]:
    """The closed checkpoints in a folder whose files all have their size, oldest first; empty without such a folder."""
    return [
        folder
        for folder in checkpoint_folders(checkpoints_dir)
        if not_closed(folder) is None and what_is_missing(folder, gates=gates) is None
    ]


def newest_complete_checkpoint(
    checkpoints_dir: Path,
    *,
    gates: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    language: Language = "en",
) -> Path | None:
    """The checkpoint of the highest step that is closed and whole to the last bit.

    Args:
        checkpoints_dir: folder of `checkpoint-N` folders.
        gates: whether checkpoints must hold SO(8) gates.
        tell: given one line for each later checkpoint that is passed over; what is wrong with it stays in English.
        language: of those lines.

    Returns:
        The checkpoint, or None.
    """
    for folder in reversed(checkpoint_folders(checkpoints_dir)):
        reason = what_is_missing(folder, gates=gates, contents=True) or not_closed(folder)
        if reason is None:
            return folder
        tell(text("passed_over", language, checkpoint=folder, reason=reason))
    return None


def checkpoint_folders(checkpoints_dir: Path) -> list[Path]:
    """All `checkpoint-N` folders, by step; empty where there is no such folder."""
    if not checkpoints_dir.is_dir():
        return []
    folders = [path for path in checkpoints_dir.iterdir() if checkpoint_step(path) is not None and path.is_dir()]
    return sorted(folders, key=lambda path: checkpoint_step(path) or 0)
