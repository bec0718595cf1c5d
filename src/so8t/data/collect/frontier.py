"""Where a collection begins, and where it goes on after it was interrupted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from scrapy.responsetypes import responsetypes

from so8t.data.collect.collection import Candidate, Collection
from so8t.data.collect.decisions import Decision, Outcome
from so8t.data.collect.ledger import is_final
from so8t.data.collect.page import Page, read_page
from so8t.data.collect.registry import Source
from so8t.errors import So8tError

_REMEDY = "restore it, or collect into another folder with --out"


class PageChanged(So8tError):
    """A page that was kept is not there any more as it was kept."""

    exit_code = 1


class Found(NamedTuple):
    """An address that was found before this run, and is perhaps settled."""

    url: str
    depth: int
    redirects: int


def found_before(collection: Collection) -> list[Found]:
    """Everything that earlier runs into the same folder found.

    Nothing but the ledger and the pages themselves is needed, and so nothing else can be lost: the links of a page
    that was kept are found again in it.

    Raises:
        PageChanged: a page is not what was kept.
    """
    found = []
    for decision in collection.earlier.decisions.values():
        if not is_final(decision):
            found.append(Found(decision.url, decision.depth, 0))
        elif decision.redirect is not None and decision.outcome is Outcome.REDIRECTED:
            found.append(Found(decision.redirect, decision.depth, 1))
        elif decision.file is not None and decision.found.get("links", 0) > decision.found.get("nofollow", 0):
            page = read_again(collection.root, decision)
            found += [Found(link.url, decision.depth + 1, 0) for link in page.links if not link.nofollow]
    return found


def frontier(collection: Collection, source: Source, before: Iterable[Found]) -> Iterator[Candidate]:
    """What of a source is to be asked for at the beginning of a run: base URLs, and what was found and not settled.

    Args:
        collection: its state; what is yielded counts as taken.
        source: whose addresses.
        before: what earlier runs found, of any source.
    """
    for found in (*(Found(url, 0, 0) for url in source.base_urls), *before):
        if collection.scope.source_of(found.url) == source:
            candidate = collection.offer(*found)
            if isinstance(candidate, Candidate):
                yield candidate


def read_again(root: Path, decision: Decision) -> Page:
    """Read a page that was kept, as it was read when it came.

    Args:
        root: the collection's folder.
        decision: the one that kept it.

    Raises:
        PageChanged: it is not what was kept.
    """
    path, url, stated_type = root / str(decision.file), decision.url, decision.content_type or ""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise PageChanged(f"{path}: not what was collected: {error.strerror}; {_REMEDY}") from None
    if hashlib.sha256(body).hexdigest() != decision.sha256:
        raise PageChanged(f"{path}: not what was collected, for its digest is another one; {_REMEDY}")
    headers = {"Content-Type": stated_type}
    response_class = responsetypes.from_args(headers={b"Content-Type": stated_type.encode("latin-1")}, body=body)
    return read_page(response_class(url, headers=headers, body=body))
