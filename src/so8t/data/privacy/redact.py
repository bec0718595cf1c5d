"""Taking personal data out of a text: replaced by its kind, or the text left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from so8t.data.privacy.kinds import DEFAULT_ACTIONS, Action, Finding, Kind
from so8t.data.privacy.scan import scan

_MOST_PASSES = 8


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without personal data.

    Attributes:
        text: the text, or None where it is left out.
        counts: how many values of each kind were found. Never the values.
    """

    text: str | None
    counts: Mapping[Kind, int]


def redact(text: str, actions: Mapping[Kind, Action] = DEFAULT_ACTIONS) -> Redacted:
    """Take personal data out.

    What is left is looked at again until nothing is found, so that a second call changes nothing. A text in which
    something is found every time is left out.

    Args:
        text: any text.
        actions: what to do about each kind; a kind that is not named is redacted.

    Example:
        >>> redact("問い合わせは taro@example.jp まで").text
        '問い合わせは [email] まで'
        >>> redact("マイナンバーは 1234 5678 9018 です").text is None
        True
    """
    counts: Counter[Kind] = Counter()
    for _ in range(_MOST_PASSES):
        found = scan(text)
        counts.update(finding.kind for finding in found)
        if not found:
            return Redacted(text, dict(counts))
        if any(actions.get(finding.kind) is Action.DROP for finding in found):
            break
        text = _replaced(text, found)
    return Redacted(None, dict(counts))


def _replaced(text: str, found: Sequence[Finding]) -> str:
    pieces, position = [], 0
    for finding in found:
        pieces += [text[position : finding.start], f"[{finding.kind}]"]
        position = finding.end
    return "".join([*pieces, text[position:]])
