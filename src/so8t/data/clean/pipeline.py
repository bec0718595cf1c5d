"""Cleaning, from the input to the data statement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from so8t.data.clean.confidential import Confidential
from so8t.data.clean.duplicates import DropDuplicates, FindDuplicates
from so8t.data.clean.executors import Pass, Runner
from so8t.data.clean.extract import Extract
from so8t.data.clean.finish import Finish
from so8t.data.clean.folders import PASSES, Folders
from so8t.data.clean.kept import Keep
from so8t.data.clean.language import Language
from so8t.data.clean.normalise import Normalise
from so8t.data.clean.plan import input_folder, make_plan, settle
from so8t.data.clean.privacy_block import Privacy
from so8t.data.clean.quality import Quality
from so8t.data.clean.read import Read
from so8t.data.clean.safety_block import Classifier, Safety
from so8t.data.clean.schema import Schema, Write
from so8t.data.clean.settings import Settings
from so8t.data.clean.statement import DATA, STATEMENT_FILE
from so8t.errors import DataError, JobFailed

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a pass, the tasks done and the tasks in all."""

_SECONDS_BETWEEN_LOOKS = 0.2


def run_cleaning(
    source: Path,
    out: Path,
    settings: Settings,
    runner: Runner,
    load_classifier: Callable[[], Classifier],
    on_progress: OnProgress = lambda name, done, tasks: None,
) -> dict[str, Any] | None:
    """Clean, or go on with a cleaning that was cut off.

    Args:
        source: a collection, a folder of JSONL, HTML and text files, or one such file.
        out: the cleaning's folder.
        settings: how to clean.
        runner: where to.
        load_classifier: loads the safety classifier in a worker.
        on_progress: told how far it is.

    Returns:
        The data statement; None where the passes were only handed over to a cluster.

    Raises:
        DataError: the input cannot be read, or the folder holds another cleaning.
        JobFailed: the disk refused.
    """
    source, out = source.resolve(), out.resolve()
    if out == input_folder(source) or out in input_folder(source).parents:
        raise DataError(f"{out} holds the input: choose another folder with --out")
    folders = Folders(out)
    try:
        plan = make_plan(source, settings)
        settle(plan, folders.plan)
        passes = make_passes(folders, input_folder(source), settings, len(plan.tasks), load_classifier)
        with _watched(passes, on_progress):
            runner.run(passes)
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise JobFailed(
            f"{error.filename or out}: {what}; set that right, then run the same command again: it goes on where it "
            f"stopped"
        ) from None
    return read_statement(out) if passes[-1].done() else None


def make_passes(
    folders: Folders, source: Path, settings: Settings, tasks: int, load_classifier: Callable[[], Classifier]
) -> list[Pass]:
    """The passes, in order. Personal data is removed before anything is written."""
    blocks: dict[str, Sequence[Any]] = {
        "clean": (
            Read(folders.plan, source),
            Extract(),
            Confidential(),
            Normalise(),
            Language(),
            Quality(settings),
            Privacy(settings.actions),
            Safety(load_classifier, folders.discarded),
            Keep(folders.kept),
        ),
        "compare": (FindDuplicates(folders.kept, folders.fates, tasks, settings.similar),),
        "write": (DropDuplicates(folders.kept, folders.fates), Schema(settings), Write(folders.out / DATA)),
        "finish": (Finish(folders, source),),
    }
    of_one = {"compare", "finish"}
    return [Pass(name, blocks[name], 1 if name in of_one else tasks, folders.logging(name)) for name in PASSES]


def read_statement(out: Path) -> dict[str, Any]:
    """The data statement of a cleaning.

    Raises:
        DataError: there is none, or it is damaged.
    """
    file = out / STATEMENT_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{file} cannot be read ({error}): remove {out} and clean again") from None


@contextmanager
def _watched(passes: Sequence[Pass], on_progress: OnProgress) -> Iterator[None]:
    """Tell how far the passes are, from the completion markers that every executor leaves."""
    ended = threading.Event()

    def tell() -> None:
        current = next((one for one in passes if one.done() < one.tasks), passes[-1])
        on_progress(current.name, current.done(), current.tasks)

    def watch() -> None:
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            tell()

    tell()
    watcher = threading.Thread(target=watch, name="progress of the cleaning", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    tell()
