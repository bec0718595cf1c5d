"""The run folder of a job: locked while it trains, and without what a new run must not find in it."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from kiseki import RunLocked
from kiseki.filesystem import FileLock
from kiseki.run_folder import RunFolder
from so8t.errors import So8tError
from so8t.training.checkpoints import CHECKPOINTS, MANIFEST, checkpoint_folders, checkpoint_step
from so8t.training.console_texts import text
from so8t.training.earlier import FINAL, set_aside_later, set_aside_run
from so8t.training.loading import Tell
from so8t.training.prepare import Prepared
from so8t.training.session import SESSION_FILE, read_session

ERROR_LOG = "training_error.log"
LOCK_FILE = "training.lock"


@contextlib.contextmanager
def locked_folder(run_dir: Path) -> Iterator[None]:
    """The run folder, made where there is none, and locked: two jobs must not move each other's checkpoints."""
    lock = FileLock(run_dir / LOCK_FILE)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        free = lock.acquire()
    except OSError as error:
        raise So8tError(
            f"output folder {run_dir} cannot be written ({error.strerror or error}): "
            "check permissions and free disk, or choose another folder with --output-dir"
        ) from error
    if not free:
        raise RunLocked(
            f"{run_dir}: another process is training into this folder now: "
            "wait for it to end, or choose another folder with --output-dir"
        )
    try:
        yield
    finally:
        lock.release()


def standing(run_dir: Path) -> dict[str, int | None]:
    """What a decision where to go on rests on: the checkpoints, and when each was closed (None: it was not).

    Example:
        >>> standing(Path("no/such/folder"))
        {}
    """
    closed = {folder.name: folder / MANIFEST for folder in checkpoint_folders(run_dir / CHECKPOINTS)}
    return {name: path.stat().st_mtime_ns if path.exists() else None for name, path in closed.items()}


def require_standing(run_dir: Path, before: Mapping[str, int | None]) -> None:
    """Refuse to go on where another process trained into the folder while this one was loading.

    Args:
        run_dir: the run folder, locked.
        before: what stood there when it was decided where to go on.

    Raises:
        RunLocked: something else stands there now.
    """
    if standing(run_dir) != before:
        raise RunLocked(
            f"{run_dir}: another process trained into this folder while this one was loading: "
            "start again to go on from what stands there now"
        )


def make_way(prepared: Prepared, tell: Tell) -> None:
    """Set aside what a new run, or one that goes on, must not find."""
    run_dir, checkpoint, language = prepared.run_dir, prepared.checkpoint, prepared.config.poc.language
    if checkpoint is not None:
        step = checkpoint_step(checkpoint) or 0
        aside = set_aside_later(run_dir, step, prepared.origin.session_id)
        if aside is not None:
            tell(text("beyond", language, step=step, aside=aside))
        tell(text("goes_on", language, checkpoint=checkpoint))
        return
    earlier = read_session(run_dir / SESSION_FILE)
    training = prepared.config.training
    logits, record = Path(training.save_logits_dir), RunFolder(run_dir)
    ours = bool(logits.parts) and not logits.is_absolute() and ".." not in logits.parts
    names = [CHECKPOINTS, FINAL, ERROR_LOG, *([str(logits)] if ours else [])]
    if not training.save_metrics:  # else the new run's record makes way for itself
        names += [folder.name for folder in (record.reports, record.plots, record.metrics)]
    aside = set_aside_run(run_dir, earlier.session_id if earlier else "unnamed", names, last=SESSION_FILE)
    if aside is not None:
        tell(text("new_run", language, aside=aside))
