"""Which checkpoint training goes on from: a complete one, of the same run folder, settings and data."""

from collections.abc import Callable, Sequence
from pathlib import Path

from kiseki.record.side_files import differences
from so8t.errors import CheckpointError
from so8t.training.checkpoints import (
    CHECKPOINTS,
    Origin,
    checkpoint_step,
    newest_complete_checkpoint,
    read_origin,
    what_is_missing,
)
from so8t.training.console_texts import Language, text

_SHOWN_DIFFERENCES = 5


def resolve_resume(
    wish: str,
    run_dir: Path,
    *,
    gates: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    language: Language = "en",
) -> Path | None:
    """The checkpoint that a wish (`auto`, `none` or a path) means.

    Args:
        wish: what was asked for.
        run_dir: the run folder.
        gates: whether checkpoints must hold SO(8) gates.
        tell: given one line for each thing worth knowing.
        language: of those lines.

    Returns:
        A complete checkpoint of this run folder; None for a new run, with `auto` where there is none to resume from.

    Raises:
        CheckpointError: a named checkpoint is missing, incomplete or of another run folder.
    """
    if wish == "none":
        return None
    own = run_dir / CHECKPOINTS
    if wish != "auto":
        return _named(Path(wish), own, gates)
    found = newest_complete_checkpoint(own, gates=gates, tell=tell, language=language)
    if found is None:
        tell(text("none_to_resume", language, run=run_dir))
    return found


def _named(folder: Path, own: Path, gates: bool) -> Path:
    step = checkpoint_step(folder)
    if not folder.is_dir() or step is None:
        what = "is no checkpoint-N folder" if folder.exists() else "does not exist"
        raise CheckpointError(
            f"--resume-from-checkpoint: {folder} {what}; name one, or use auto for the newest complete one"
        )
    if folder.resolve().parent != own.resolve():
        raise CheckpointError(
            f"--resume-from-checkpoint: {folder} belongs to another run, not to {own.parent}; "
            f"give that run's folder as --output-dir, or name a checkpoint in {own}"
        )
    reason = what_is_missing(folder, gates=gates, contents=True)
    if reason is not None:
        raise CheckpointError(
            f"--resume-from-checkpoint: {folder} is not complete: {reason}; use auto for the newest complete one"
        )
    return own / folder.name


def check_same_origin(checkpoint: Path, now: Origin, *, force: bool = False) -> list[str]:
    """Refuse a checkpoint that another configuration or other data led to, unless that is what is wanted.

    A checkpoint without manifest does not say what led to it; the record, which does, is then the judge.

    Args:
        checkpoint: the checkpoint.
        now: what this run is.
        force: go on all the same.

    Returns:
        What differs, a phrase each: empty, or under `force` what was overridden.

    Raises:
        CheckpointError: it names what differs.
    """
    before = read_origin(checkpoint)
    if before is None:
        return [f"{checkpoint.name} does not say what led to it"] if force else []
    changed = differences(before.config, now.plain().config)
    changed += [
        f"{name} data: another file (SHA-256 {before.data.get(name, 'none'):.12} -> {now.data.get(name, 'none'):.12})"
        for name in sorted({*before.data, *now.data})
        if before.data.get(name) != now.data.get(name)
    ]
    if changed and not force:
        raise CheckpointError(
            f"{checkpoint} is of a run with other settings: {shown_differences(changed)}. "
            "Resume with the same settings, choose another --output-dir, or go on all the same with --force"
        )
    return changed


def shown_differences(changed: Sequence[str]) -> str:
    """The first few of them in one phrase.

    Example:
        >>> shown_differences([f"training.seed: {n} -> 0" for n in range(1, 8)])[-21:]
        '.seed: 5 -> 0; 2 more'
    """
    more = len(changed) - _SHOWN_DIFFERENCES
    return "; ".join([*changed[:_SHOWN_DIFFERENCES], *([f"{more} more"] if more > 0 else [])])
