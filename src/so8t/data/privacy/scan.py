"""Everything that is found in a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from so8t.data.privacy import (
    account,
    address,
    birth_date,
    card,
    documents,
    my_number,
    names,
    network,
    percent,
    phone,
    secrets,
    tables,
)
from so8t.data.privacy.kinds import Finding, Kind
from so8t.data.privacy.text import Folded, fold

_FINDERS: Sequence[Callable[[str], Iterator[Finding]]] = (
    secrets.find,
    network.find,
    card.find,
    my_number.find,
    documents.find,
    account.find,
    phone.find,
    address.find,
    birth_date.find,
    names.find,
)
_RANK = {kind: rank for rank, kind in enumerate(Kind)}


def scan(text: str) -> list[Finding]:
    """Find personal data.

    Args:
        text: any text, in any spelling.

    Returns:
        Where it stands, in order and without overlaps; a stretch claimed by several kinds is one finding and bears the
        name of the longest claim.

    Example:
        >>> scan("担当:佐藤、電話０９０−１２３４−５６７８")[1]
        Finding(kind=<Kind.PHONE: 'phone'>, start=8, end=21)
        >>> scan("loss 2.3456 at step 1234567, 1763874000000 ms")
        []
    """
    found = [*_found_in(fold(text)), *tables.find(text)]
    if percent.is_escaped(text):
        found += _found_in_escapes(text)
    return list(_without_overlaps(sorted(found, key=lambda finding: (finding.start, finding.end))))


def _found_in(folded: Folded) -> Iterator[Finding]:
    for find in _FINDERS:
        for finding in find(folded.text):
            yield Finding(finding.kind, *folded.source_span(finding.start, finding.end))


def _found_in_escapes(text: str) -> Iterator[Finding]:
    """What shows once links are decoded, line by line: most texts have few of them."""
    start = 0
    for line in text.splitlines(keepends=True):
        if percent.is_escaped(line):
            unescaped = percent.unescape(line)
            for finding in _found_in(fold(unescaped.text)):
                first, last = unescaped.source_span(finding.start, finding.end)
                yield Finding(finding.kind, start + first, start + last)
        start += len(line)


def _without_overlaps(found: Sequence[Finding]) -> Iterator[Finding]:
    current: Finding | None = None
    for finding in found:
        if current is None or finding.start >= current.end:
            if current is not None:
                yield current
            current = finding
        else:
            name_giver = min(current, finding, key=lambda claim: (claim.start - claim.end, _RANK[claim.kind]))
            current = Finding(name_giver.kind, current.start, max(current.end, finding.end))
    if current is not None:
        yield current
