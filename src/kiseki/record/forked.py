"""What a forked child must not share with the process that records: descriptor, lock and pipe.

DataLoader workers are forked while the journal is open. A child that kept the descriptor could write into the
record; one that kept the lock or the pipe would make a dead trainer look alive.
"""

import os
import weakref
from typing import Protocol


class HeldByOneProcess(Protocol):
    """Something that a forked child closes without disturbing its parent."""

    def drop_in_child(self) -> None:
        """Close this child's copies and do nothing from now on."""


# The operating system forks a process, not an object: this set is of the process by nature.
_held: "weakref.WeakSet[HeldByOneProcess]" = weakref.WeakSet()


def drop_in_children(thing: HeldByOneProcess) -> None:
    """Have `thing.drop_in_child()` called in every child forked from now on, for as long as `thing` lives."""
    _held.add(thing)


def _after_fork_in_child() -> None:
    for thing in list(_held):
        thing.drop_in_child()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
