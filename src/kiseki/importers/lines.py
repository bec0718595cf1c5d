"""What every importer makes of its source: lines for the journal."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from kiseki.record.row import Recordable

Fields = dict[str, Recordable]
Item = TypeVar("Item")


class Line(msgspec.Struct, gc=False):
    """One line of the journal that is to be; millions of them are none of the cycle collector's business.

    Attributes:
        kind: `row` or `eval`.
        step: optimizer step.
        fields: what was measured, by name.
    """

    kind: str
    step: int
    fields: Fields


def let_go(items: list[Item]) -> Iterator[Item]:
    """The items in order, each taken out of the list: what is made of them takes the memory that they leave.

    Example:
        >>> items = [1, 2, 3]
        >>> [(item, len(items)) for item in let_go(items)]
        [(1, 2), (2, 1), (3, 0)]
    """
    items.reverse()
    while items:
        yield items.pop()
