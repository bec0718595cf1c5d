"""What a page or its headers say about being kept: meta robots, X-Robots-Tag, `noai`, TDM reservation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from so8t.data.collect.decisions import Reason

_AGENT = re.compile(r"\s*([A-Za-z0-9_-]+)\s*:\s*(.*)", re.DOTALL)
_DIRECTIVES_WITH_VALUE = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_REASON_OF = {
    "noai": Reason.NOAI,
    "noindex": Reason.NOINDEX,
    "none": Reason.NOINDEX,
    "noarchive": Reason.NOARCHIVE,
    "nocache": Reason.NOARCHIVE,
}


class Signals(NamedTuple):
    """What was said.

    Attributes:
        refusal: why the page must not be kept; None where nothing speaks against it.
        detail: the directive that says so.
        follow: whether its links may be followed.
    """

    refusal: Reason | None
    detail: str | None
    follow: bool


def read_signals(
    product_token: str,
    *,
    robots_tags: Iterable[str] = (),
    metas: Iterable[tuple[str, str]] = (),
    tdm_headers: Iterable[str] = (),
) -> Signals:
    """Collect what headers and page say to this crawler.

    Args:
        product_token: the crawler's name; directives for another are not ours.
        robots_tags: values of `X-Robots-Tag` headers.
        metas: name and content of the page's `meta` elements.
        tdm_headers: values of `TDM-Reservation` headers.

    Example:
        >>> read_signals("collector", robots_tags=["otherbot: noindex", "nofollow"])
        Signals(refusal=None, detail=None, follow=False)
        >>> read_signals("collector", metas=[("Robots", "index, NOAI")]).detail
        'noai'
    """
    directives: list[str] = []
    reserved = any(value.strip() == "1" for value in tdm_headers)
    for tag in robots_tags:
        directives += _for_us(tag, product_token)
    for name, content in metas:
        kind = name.strip().lower()
        if kind in ("robots", product_token.lower()):
            directives += _split(content)
        reserved = reserved or (kind == "tdm-reservation" and content.strip() == "1")
    refusal, detail = _strongest(directives)
    if refusal is None and reserved:
        refusal, detail = Reason.TDM_RESERVED, "tdm-reservation"
    return Signals(refusal, detail, follow=not {"nofollow", "none"} & set(directives))


def _strongest(directives: list[str]) -> tuple[Reason | None, str | None]:
    return next(((reason, word) for word, reason in _REASON_OF.items() if word in directives), (None, None))


def _for_us(tag: str, product_token: str) -> list[str]:
    named = _AGENT.fullmatch(tag)
    if named is None or named[1].lower() in _DIRECTIVES_WITH_VALUE:
        return _split(tag)
    return _split(named[2]) if named[1].lower() == product_token.lower() else []


def _split(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")]
