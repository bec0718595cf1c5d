"""Keeps what an earlier run left in an output folder apart from the run that begins there. Nothing is ever deleted."""

from collections.abc import Sequence
from pathlib import Path

from so8t.training.checkpoints import CHECKPOINTS, checkpoint_folders, checkpoint_step

EARLIER = "earlier"
FINAL = "final"


def set_aside_run(run_dir: Path, session_id: str, names: Sequence[str], *, last: str) -> Path | None:
    """Move an earlier run's checkpoints, final model and the like to `earlier/SESSION_ID/`.

    The record itself, its plots and its reports are kept apart by kiseki, in `metrics/earlier/`.

    Args:
        run_dir: the run folder.
        session_id: the earlier run's name.
        names: files and folders in the run folder that belong to a run.
        last: the file that names the run. It moves last: whoever is interrupted before finds it, and the moves go on
            in the same folder.

    Returns:
        Where they stand now; None when there was nothing.
    """
    present = [run_dir / name for name in (*names, last) if (run_dir / name).exists()]
    target = run_dir / EARLIER / session_id
    interrupted = (run_dir / last).exists() and not any((target / path.name).exists() for path in present)
    return _move(present, target if interrupted else _free(target))


def set_aside_later(run_dir: Path, step: int, session_id: str) -> Path | None:
    """Move what training made beyond a step to `earlier/SESSION_ID_after_STEP/`, for a run that goes on from that step.

    Checkpoints are incomplete, or of work that is done again; left in place they could be taken for the run's newest.
    So could the final model, for that of the training that goes on now.

    Returns:
        Where they stand now; None when there were none.
    """
    later = [path for path in checkpoint_folders(run_dir / CHECKPOINTS) if (checkpoint_step(path) or 0) > step]
    later += [path for path in (run_dir / FINAL,) if path.exists()]
    return _move(later, _free(run_dir / EARLIER / f"{session_id}_after_{step}"))


def _free(target: Path) -> Path:
    number, free = 1, target
    while free.exists():
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    return free


def _move(paths: Sequence[Path], target: Path) -> Path | None:
    if not paths:
        return None
    target.mkdir(parents=True, exist_ok=True)
    for path in paths:
        path.rename(target / path.name)
    return target
