"""Several checkpoints of one run: which log goes furthest, and what others hold that it does not.

A checkpoint's log begins with the log of the checkpoint before it, so the one that goes furthest usually holds all
others. Where training was resumed from an earlier checkpoint, two logs agree up to a step and part there. Then the
one that goes furthest counts. The other's records from that step on are kept as an earlier attempt, which the next one
supersedes: which of the two was made later no file tells, and that is said. Logs that share no beginning are of
different runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Records = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Branch:
    """A log that parts from the main one.

    Attributes:
        index: which of the logs it is.
        shared: how many records it begins with that the main log begins with too.
    """

    index: int
    shared: int


@dataclass(frozen=True, slots=True)
class Branching:
    """How several logs of one run belong together.

    Attributes:
        main: index of the log that counts.
        branches: those that part from it, the one that parts first first.
        strangers: indices of logs that share no beginning with the main one.
    """

    main: int
    branches: tuple[Branch, ...]
    strangers: tuple[int, ...]


def arrange(logs: Sequence[Records], last_steps: Sequence[int]) -> Branching:
    """Find the log that goes furthest, and those that part from it.

    Args:
        logs: the records of each; of equals the later one is preferred.
        last_steps: the optimizer step that each had reached.

    Example:
        >>> a, b, c = {"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "loss": 2.5}
        >>> arrange([[a], [a, c], [a, b, {"step": 3, "loss": 1.0}]], [1, 2, 3])
        Branching(main=2, branches=(Branch(index=1, shared=1),), strangers=())
    """
    main = max(range(len(logs)), key=lambda index: (last_steps[index], len(logs[index]), index))
    branches: list[Branch] = []
    strangers: list[int] = []
    others = sorted((index for index in range(len(logs)) if index != main), key=lambda index: -len(logs[index]))
    for index in others:
        shared = shared_records(logs[index], logs[main])
        if shared == len(logs[index]):
            continue
        if shared == 0:
            strangers.append(index)
        elif all(shared_records(logs[index], logs[longer.index]) < len(logs[index]) for longer in branches):
            branches.append(Branch(index, shared))
    branches.sort(key=lambda branch: (branch.shared, branch.index))
    return Branching(main, tuple(branches), tuple(sorted(strangers)))


def shared_records(one: Records, other: Records) -> int:
    """How many records two logs have in common from the start; NaN is the same as NaN.

    Example:
        >>> shared_records([{"loss": float("nan")}, {"loss": 1}], [{"loss": float("nan")}, {"loss": 2}])
        1
    """
    for count, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs and repr(mine) != repr(theirs):
            return count
    return min(len(one), len(other))


def parting_step(shared: Sequence[int], beyond: Sequence[int]) -> int:
    """The last step up to which two logs say the same.

    Args:
        shared: steps of the records that both begin with.
        beyond: steps of all records, of either log, that come after.

    Example:
        >>> parting_step([10, 20, 20], [20, 30, 20, 30])
        10
    """
    first = min(beyond, default=None)
    return max((step for step in shared if first is None or step < first), default=0)
