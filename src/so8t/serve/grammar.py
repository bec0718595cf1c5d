"""Takes a whole generated text apart, strictly, or not at all.

::

    text  := space* (block space*)* final space*
    block := <think-NAME>..</think-NAME>      NAME: lower-case letters, digits and hyphens
    final := <final>..</final>                not blank

A block ends at its first closing tag. Nothing but white space may stand outside. This grammar alone keeps thinking
apart from the answer; whether the blocks are the four that the format asks for is a second question
(`is_quadruple`), and what stands inside them a third (`so8t.serve.disguise`).

The scan only moves forward: every search begins where the last one ended, so its time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from so8t.data.assistant_text import PARTS
from so8t.errors import DataError

__all__ = ["FORCED_OPENING", "Block", "FormatViolation", "is_quadruple", "split"]

FORCED_OPENING = f"<{PARTS[0]}>"
"""What the prompt ends with. The generator puts it before the generated text, which is then read as a whole."""

MAX_BLOCKS = 64
"""The format has four parts; the bound keeps hostile text from taking long."""

_FINAL = PARTS[-1]
_OPENING = re.compile(rf"\s*<(think-[a-z][a-z0-9-]{{0,31}}|{_FINAL})>")
_REST = re.compile(r"\s*\Z")


class FormatViolation(DataError):
    """A generated text is not what the grammar demands. The message holds nothing of the text."""


class Block(NamedTuple):
    """One tagged part.

    Attributes:
        name: tag name without brackets, for example "think-task".
        text: what stands between its tags, verbatim.
    """

    name: str
    text: str


def split(raw: str) -> tuple[Block, ...]:
    """Take a whole generated text apart.

    Args:
        raw: the text, `FORCED_OPENING` included.

    Returns:
        Any number of thinking blocks, then the final one.

    Raises:
        FormatViolation: something stands outside the blocks, a tag is not closed or not spelt exactly, nothing or
            only white space is final, or the text cannot be written as UTF-8.

    Example:
        >>> [block.name for block in split("<think-task>t</think-task> <final>Wear gloves.</final>")]
        ['think-task', 'final']
    """
    if not _is_encodable(raw):
        raise FormatViolation("the text holds half a character (a lone surrogate)")
    blocks: list[Block] = []
    position = 0
    while not blocks or blocks[-1].name != _FINAL:
        if len(blocks) == MAX_BLOCKS:
            raise FormatViolation("there are more parts than any format has")
        opening = _OPENING.match(raw, position)
        if opening is None:
            raise FormatViolation("no exact opening tag stands where one must")
        closing = f"</{opening.group(1)}>"
        end = raw.find(closing, opening.end())
        if end < 0:
            raise FormatViolation("a part is not closed")
        blocks.append(Block(opening.group(1), raw[opening.end() : end]))
        position = end + len(closing)
    if _REST.match(raw, position) is None:
        raise FormatViolation("something stands after the final part")
    if not blocks[-1].text.strip():
        raise FormatViolation("the final part is blank")
    return tuple(blocks)


def is_quadruple(blocks: Sequence[Block]) -> bool:
    """Tell whether the blocks are task, safety, policy and final, each once, in this order, none blank.

    Example:
        >>> is_quadruple(split("<final>Wear gloves.</final>"))
        False
    """
    return tuple(block.name for block in blocks) == PARTS and all(block.text.strip() for block in blocks)


def _is_encodable(raw: str) -> bool:
    """Tell whether UTF-8 can hold the text. An error raised from here would quote it, so none is."""
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
