"""Which checkpoint training goes on from: a complete one, of the same run folder, settings and data."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kiseki.record.side_files import differences
from so8t.errors import CheckpointError
from so8t.training.checkpoints import (
    CHECKPOINTS,
    MANIFEST,
    Origin,
    checkpoint_step,
    newest_complete_checkpoint,
    not_closed,
    read_origin,
    what_is_missing,
)
from so8t.training.console_texts import Language, text
from so8t.training.resume_settings import fixed_among

_SHOWN_DIFFERENCES = 5


def resolve_resume(
    wish: str,
    run_dir: Path,
    *,
    gates: bool = False,
    force: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    language: Language = "en",
) -> Path | None:
    """The checkpoint that a wish (`auto`, `none` or a path) means.

    Args:
        wish: what was asked for.
        run_dir: the run folder.
        gates: whether checkpoints must hold SO(8) gates.
        force: take a named checkpoint although it has no manifest, so that nobody can tell whether it is whole.
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
        return _named(Path(wish), own, gates, force)
    found = newest_complete_checkpoint(own, gates=gates, tell=tell, language=language)
    if found is None:
        tell(text("none_to_resume", language, run=run_dir))
    return found


def _named(folder: Path, own: Path, gates: bool, force: bool) -> Path:
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
    reason = not_closed(folder)
    if reason is not None and not force:
        raise CheckpointError(
            f"--resume-from-checkpoint: {folder} is not complete: {reason}; use auto for the newest complete one, "
            "or take it unchecked with --force"
        )
    return own / folder.name


def check_same_origin(checkpoint: Path, now: Origin, *, force: bool = False) -> list[str]:
    """Refuse a checkpoint that other settings, data or base weights led to, unless that is what is wanted.

    What a checkpoint has fixed is refused all the same: the record would say what is not so.

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
        changed = [f"{checkpoint.name} has no {MANIFEST}: whether it is whole and what led to it is not known"]
    else:
        changed = differences(before.config, now.plain().config) + _other_files("data", before.data, now.data)
        if before.base:  # older manifests do not say
            changed += _other_files("of the base model", before.base, now.base)
    fixed = fixed_among(changed)
    if fixed:
        reasons = "; ".join(f"{key} cannot, not even with --force: {reason}" for key, reason in fixed.items())
        raise CheckpointError(
            f"{checkpoint} is of a run with other settings: {shown_differences(changed)}. Not all of them can change "
            f"on resuming: {reasons}. Resume with the same settings, or begin a new run in another --output-dir"
        )
    if changed and not force:
        raise CheckpointError(
            f"{checkpoint} is of a run with other settings: {shown_differences(changed)}. "
            "Resume with the same settings, choose another --output-dir, or go on all the same with --force"
        )
    return changed


def _other_files(what: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{name} {what}: another file (SHA-256 {before.get(name, 'none'):.12} -> {now.get(name, 'none'):.12})"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def shown_differences(changed: Sequence[str]) -> str:
    """The first few of them in one phrase.

    Example:
        >>> shown_differences([f"training.seed: {n} -> 0" for n in range(1, 8)])[-21:]
        '.seed: 5 -> 0; 2 more'
    """
    more = len(changed) - _SHOWN_DIFFERENCES
    return "; ".join([*changed[:_SHOWN_DIFFERENCES], *([f"{more} more"] if more > 0 else [])])
