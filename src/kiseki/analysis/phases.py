"""Which phases of training count, where each ends, and where later attempts took over: one answer for every picture."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kiseki.history import Attempt

MOST_PHASES = 200
"""So many are told at most; a trainer that marks more uses phases for something else."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training that the trainer named.

    Attributes:
        name: as it was recorded.
        start: first optimizer step of it.
        end: first step of the next phase that counts, None for the last.
    """

    name: str
    start: int
    end: int | None


def phases_that_count(notes: Iterable[Mapping[str, Any]], attempts: Sequence[Attempt]) -> tuple[Phase, ...]:
    """The phases in order of steps: at each step the latest mark counts, and a mark that changes nothing is none.

    What a resumed attempt went back behind is as superseded as the rows there are.

    Args:
        notes: the run's notes of the kind `phase`, in the order of the journal; one without a step and a name is
            passed over.
        attempts: all of the run.

    Returns:
        At most the first `MOST_PHASES`.

    Example:
        >>> marks = [{"step": 0, "name": "a", "attempt": 1}, {"step": 9, "name": "b", "attempt": 1}]
        >>> [(phase.name, phase.start, phase.end) for phase in phases_that_count(marks, ())]
        [('a', 0, 9), ('b', 9, None)]
    """
    names: dict[int, str] = {}
    for note in notes:
        step, name = note.get("step"), note.get("name")
        if not isinstance(step, int) or isinstance(step, bool) or not isinstance(name, str):
            continue
        if step <= min(_resumed(attempts[int(note["attempt"]) :]), default=math.inf):
            names[step] = name
    starts = sorted(names)
    changes = [step for place, step in enumerate(starts) if not place or names[step] != names[starts[place - 1]]]
    ends = [*changes[1:], None]
    phases = (Phase(names[start], start, end) for start, end in zip(changes, ends, strict=False))
    return tuple(islice(phases, MOST_PHASES))


def takeovers(attempts: Sequence[Attempt]) -> tuple[int, ...]:
    """The optimizer steps, ascending, from which later attempts went on."""
    return tuple(sorted(set(_resumed(attempts[1:]))))


def _resumed(attempts: Sequence[Attempt]) -> list[int]:
    return [attempt.resume_step for attempt in attempts if attempt.resume_step is not None]
