"""The RUN argument that commands share: a folder somebody recorded a run into."""

from pathlib import Path

import click

from kiseki.errors import RunFolderError
from kiseki.run_folder import RunFolder

run_argument = click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
"""RUN: the trainer's output folder, the one that holds `metrics/`."""


def run_folder(path: Path) -> RunFolder:
    """The run folder that a user named.

    Raises:
        RunFolderError: it does not exist, is no folder, or nothing was recorded there.
    """
    if not path.exists():
        raise RunFolderError(f"{path}: there is no such folder; name the output folder of a recorded run")
    if not path.is_dir():
        raise RunFolderError(f"{path}: this is a file; name the output folder of a recorded run, which holds metrics/")
    folder = RunFolder(path)
    if not folder.journal.is_file():
        inside = RunFolder(path.absolute().parent)
        hint = f"; did you mean its parent, {path.parent}?" if inside.journal.is_file() else ""
        raise RunFolderError(
            f"{path}: no run was recorded here (there is no {folder.relative(folder.journal)})"
            f"{hint or '; name the output folder of a recorded run'}"
        )
    return folder
