"""The quadruple-thinking text an assistant writes: three thoughts, then the answer.

::

    <think-task>..</think-task><think-safety>..</think-safety><think-policy>..</think-policy><final>..</final>

Each part stands exactly once, in this order, is not blank, and holds nothing that could be taken for a tag
or a chat role token. White space may stand between, before and after the parts; anything else is an error,
because a parser that guesses is how thinking leaks into an answer.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

from so8t.errors import DataError

PARTS = ("think-task", "think-safety", "think-policy", "final")
"""Tag names in the order in which they must stand."""

# Atomic groups: a part ends at its first closing tag, so that hostile text cannot make the search backtrack.
_GRAMMAR = re.compile(r"\s*" + r"\s*".join(rf"<{tag}>(?>(.*?)</{tag}>)" for tag in PARTS) + r"\s*", re.DOTALL)
# `final_value` after a "less than" is code, not a tag; every word beginning with "think" counts as thinking.
# With spaces inside, only Phi-3.5's own role names count: `f <| x |> g` is F#.
_RESERVED = re.compile(
    r"<\s*/?\s*(?:think|final(?![a-z0-9_]))"
    r"|<\|[a-z0-9_-]+\|>"
    r"|<\s*\|\s*(?:endoftext|assistant|system|user|end|placeholder\d)\s*\|\s*>"
)


class AssistantTextError(DataError):
    """An assistant text is not exactly the four parts it must be."""


@dataclass(frozen=True)
class AssistantText:
    """The four parts of one assistant turn, verbatim.

    Attributes:
        task: what is being asked.
        safety: whether answering could harm.
        policy: which rule decides.
        final: the only part a user may ever see.
    """

    task: str
    safety: str
    policy: str
    final: str

    def render(self) -> str:
        """Give the text with its tags, without separators.

        Raises:
            AssistantTextError: a part is blank or holds a reserved tag and could not be read back.
        """
        values = (self.task, self.safety, self.policy, self.final)
        for tag, value in zip(PARTS, values, strict=True):
            _check_part(tag, value)
        return "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(PARTS, values, strict=True))


def find_reserved(text: str) -> str | None:
    """Find the first thing in `text` that reads as a thinking tag, a final tag or a chat role token.

    Spellings that only look different are found too: HTML entities, percent signs, full-width letters,
    capitals, invisible characters and spaces inside the tag.

    Args:
        text: any text.

    Returns:
        The offending piece in its normalised spelling, or None.

    Example:
        >>> find_reserved("see <think about it>")
        '<think'
        >>> find_reserved("＜Final＞"), find_reserved("&lt;|END|&gt;")
        ('<final', '<|end|>')
        >>> find_reserved("while x <final_value: think()") is None
        True
    """
    plain = unicodedata.normalize("NFKC", unquote(html.unescape(text))).casefold()
    visible = "".join(character for character in plain if unicodedata.category(character) != "Cf")
    match = _RESERVED.search(visible)
    return match.group() if match else None


def parse_assistant(text: str) -> AssistantText:
    """Read a whole assistant turn, strictly.

    Args:
        text: what the assistant wrote, without chat role tokens.

    Returns:
        The four parts, verbatim.

    Raises:
        AssistantTextError: a part is missing, doubled, out of order, blank or nested, or something stands
            outside the parts.

    Example:
        >>> parse_assistant(
        ...     "<think-task>t</think-task><think-safety>s</think-safety>"
        ...     "<think-policy>p</think-policy><final>Wear gloves.</final>"
        ... ).final
        'Wear gloves.'
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        wanted = " ".join(f"<{tag}>..</{tag}>" for tag in PARTS)
        raise AssistantTextError(f"the assistant text is not exactly {wanted}, with nothing else around")
    for tag, value in zip(PARTS, match.groups(), strict=True):
        _check_part(tag, value)
    return AssistantText(*match.groups())


def _check_part(tag: str, value: str) -> None:
    if not value.strip():
        raise AssistantTextError(f"<{tag}> is blank: every part needs text")
    reserved = find_reserved(value)
    if reserved is not None:
        raise AssistantTextError(f"<{tag}> holds the reserved tag {reserved!r}: remove it from the text")
