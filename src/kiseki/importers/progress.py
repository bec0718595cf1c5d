"""How far an import is, in per cent of the time that it takes."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Progress = Callable[[int, int], None]
"""Called with what is done and the whole."""

Item = TypeVar("Item")

_WHOLE = 100
_ITEMS_AT_ONCE = 4096


def untold(done: int, whole: int) -> None:
    """The progress of an import that nobody watches."""


def part(progress: Progress, start: int, end: int) -> Progress:
    """The progress of one part of the import.

    Args:
        progress: of the whole.
        start: per cent of the whole that are done when the part begins.
        end: per cent that are done when it has ended.

    Example:
        >>> part(lambda done, whole: print(done, whole), 20, 60)(5, 10)
        40 100
    """

    def told(done: int, whole: int) -> None:
        progress(start + (end - start) * done // max(whole, 1), _WHOLE)

    return told


def watched(items: Iterable[Item], count: int, progress: Progress) -> Iterator[Item]:
    """The items, told as they are taken.

    Example:
        >>> list(watched("ab", 2, lambda done, whole: print(done, whole)))
        0 2
        2 2
        ['a', 'b']
    """
    for index, item in enumerate(items):
        if index % _ITEMS_AT_ONCE == 0:
            progress(index, count)
        yield item
    progress(count, count)
