"""What can be found wrong before anything large is loaded and before anything is written.

Only light imports here: whoever misspelt a path hears of it in a fraction of a second.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from so8t.data.thinking import read_records
from so8t.errors import DataError, ModelError, So8tError
from so8t.training.config_keys import Config
from so8t.training.dataset_choice import training_data_file

LEAST_FREE_BYTES = 64 << 20
"""What a run needs beside its checkpoints: record, curves, report, the Trainer's own files."""


def check_inputs(
    config: Config, output_dir: Path, *, free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
) -> Path:
    """Check model folder, datasets and output folder.

    Args:
        config: the settings.
        output_dir: the run folder.
        free_bytes: free space of the disk that a folder is on.

    Returns:
        The training file.

    Raises:
        ModelError: there is no model folder, or it is none.
        DataError: a dataset is missing, empty or malformed.
        So8tError: the output folder cannot be written, or its disk is full.
    """
    check_model_folder(Path(config.model.base_model or ""))
    train_file = training_data_file(config.data)
    for file in (train_file, config.data.eval_data):
        if file is not None:
            check_dataset(Path(file))
    check_output_folder(output_dir, LEAST_FREE_BYTES, free_bytes=free_bytes)
    return train_file


def check_model_folder(folder: Path) -> None:
    """Make sure that a folder looks like a transformers checkpoint.

    Raises:
        ModelError: it does not; the message says what is lacking.
    """
    advice = "name a checkpoint folder in model.base_model or --model-path"
    if not folder.is_dir():
        what = "is a file, not a model folder" if folder.exists() else "does not exist"
        raise ModelError(f"model folder {folder} {what}: {advice}")
    try:
        described = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{folder} is no model: it holds no config.json; {advice}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read ({error}): {advice}") from None
    if not isinstance(described, dict) or not isinstance(described.get("model_type"), str):
        raise ModelError(f"{folder} is no model: its config.json names no model_type; {advice}")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise ModelError(f"{folder} holds no weights (*.safetensors): download them, or {advice}")


def check_dataset(file: Path) -> None:
    """Make sure that every row of a dataset is good.

    Raises:
        DataError: the file is missing or empty, or has a bad row; the first is named.
    """
    result = read_records(file)
    if result.problems:
        raise DataError(
            f"{file} has {result.bad_rows} bad rows, the first: {result.problems[0]}; "
            f"to see all of them: so8t data validate {file}"
        )


def check_output_folder(
    folder: Path, needed: int, *, free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
) -> None:
    """Make sure that a folder can be written, or made, on a disk with enough free space. Writes nothing.

    Args:
        folder: the folder; it need not exist.
        needed: bytes that must be free.
        free_bytes: free space of the disk that a folder is on.

    Raises:
        So8tError: it cannot be used.
    """
    advice = "choose another folder with --output-dir"
    standing = folder.absolute()
    while not os.path.lexists(standing) and standing != standing.parent:
        standing = standing.parent
    if not standing.is_dir():
        raise So8tError(f"output folder {folder} cannot be made: {standing} is no folder; {advice}")
    if not os.access(standing, os.W_OK | os.X_OK):
        raise So8tError(f"output folder {folder} cannot be written: no permission in {standing}; {advice}")
    free = free_bytes(standing)
    if free < needed:
        raise So8tError(
            f"output folder {folder}: {free >> 20} MiB of disk are free, and this run needs {_mebibytes(needed)} MiB: "
            f"free some space, or {advice}"
        )


def _mebibytes(count: int) -> int:
    return -(-count >> 20)
