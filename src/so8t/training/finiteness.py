"""Losses that are no numbers: what a record says of them, which weights are from before, and how it is told."""

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path

from kiseki.errors import KisekiError
from kiseki.history import Column, History, read_history
from kiseki.run_folder import RunFolder
from so8t.training.checkpoints import CHECKPOINTS, checkpoint_folders, checkpoint_step, complete_checkpoints
from so8t.training.console_texts import Language, text
from so8t.training.earlier import FINAL


@dataclass(frozen=True)
class NonFinite:
    """Losses of a run that were no numbers.

    Attributes:
        steps: optimizer steps whose loss was NaN or infinite; 0 where only an evaluation's was, None: not counted.
        first: the first and the last step that may have been the first of them; where only an evaluation's was, twice
            the step after it.
        at_end: the last loss, in training or in an evaluation, is one of them.
    """

    steps: int | None
    first: tuple[int, int]
    at_end: bool = True

    def when(self, language: Language) -> str:
        """The first step in words.

        Example:
            >>> NonFinite(6, (3, 3)).when("en"), NonFinite(None, (1, 10)).when("en")
            ('at step 3', 'at one of the steps 1 to 10')
        """
        first, last = self.first
        if first == last:
            return text("at_step", language, step=first)
        return text("at_one_of", language, first=first, last=last)


def recorded_non_finite(run_dir: Path) -> NonFinite | None:
    """What the rows and evaluations that count say; None where all are finite, or nothing can be read.

    Args:
        run_dir: the run folder.
    """
    with contextlib.suppress(KisekiError, OSError):
        return _non_finite(read_history(RunFolder(run_dir)))
    return None


def _non_finite(history: History) -> NonFinite | None:
    rows, held_out = history.rows.columns, history.evaluations.columns.get("eval_loss")
    at_end = not (_ends_finite(rows.get("loss")) and _ends_finite(held_out))
    counted = rows.get("non_finite_steps")
    if counted:
        # A row tells how many of its steps, the note before it which was the first.
        noted = [int(note["step"]) for note in history.notes_of("non_finite") if int(note["step"]) <= counted.step[0]]
        first = max(noted, default=counted.step[0])
        return NonFinite(int(sum(counted.value)), (first, first), at_end)
    return NonFinite(0, (held_out.step[-1] + 1,) * 2) if held_out and at_end else None


def _ends_finite(column: Column | None) -> bool:
    return not column or math.isfinite(column.value[-1])


def warning_at_end(found: NonFinite, run_dir: Path, steps: int, language: Language, *, completed: bool) -> str:
    """How often and since when the loss was no number, and which weights are sound.

    Args:
        found: what is known of it.
        run_dir: the run folder.
        steps: optimizer steps that were made.
        language: of the line.
        completed: the final model is what is left; else the newest checkpoint.
    """
    key = {None: "not_finite_uncounted", 0: "held_out_not_finite_at_end"}.get(found.steps, "not_finite_in")
    said = text(key, language, steps=found.steps, total=steps, when=found.when(language))
    weights = run_dir / FINAL if completed else next(reversed(checkpoint_folders(run_dir / CHECKPOINTS)), run_dir)
    if not found.at_end:
        return said + text("finite_again", language, weights=weights)
    before = last_checkpoint_before(run_dir, found.first[0])
    return said + text("damaged" if before else "damaged_all", language, weights=weights, checkpoint=before)


def last_checkpoint_before(run_dir: Path, step: int) -> Path | None:
    """The newest complete checkpoint whose weights gave a finite loss; None where none is left.

    Args:
        run_dir: the run folder.
        step: the first optimizer step without one. Its loss is that of the weights after the step before it, so those
            are not trusted either.
    """
    before = [path for path in complete_checkpoints(run_dir / CHECKPOINTS) if (checkpoint_step(path) or 0) < step - 1]
    return before[-1] if before else None
