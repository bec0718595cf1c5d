"""What a page or its headers say about being kept: meta robots, X-Robots-Tag, `noai`, TDM reservation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from so8t.data.collect.decisions import Reason

_AGENT = re.compile(r"(\*|[a-z0-9_-]+)\s*:\s*(.*)", re.DOTALL)
_UNAVAILABLE_AFTER = "unavailable_after"
_DIRECTIVES_WITH_VALUE = frozenset({"max-snippet", "max-image-preview", "max-video-preview", _UNAVAILABLE_AFTER})
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
    now: datetime,
    *,
    robots_tags: Iterable[str] = (),
    metas: Iterable[tuple[str, str]] = (),
    tdm_headers: Iterable[str] = (),
) -> Signals:
    """Collect what headers and page say to this crawler.

    Args:
        product_token: the crawler's name; directives for another are not ours.
        now: the time, by which a page may have ceased to be available.
        robots_tags: values of `X-Robots-Tag` headers.
        metas: name and content of the page's `meta` elements.
        tdm_headers: values of `TDM-Reservation` headers.

    Example:
        >>> now = datetime(2026, 11, 24, tzinfo=UTC)
        >>> read_signals("collector", now, robots_tags=["otherbot: noindex", "nofollow"])
        Signals(refusal=None, detail=None, follow=False)
        >>> read_signals("collector", now, metas=[("Robots", "index, NOAI")]).detail
        'noai'
    """
    directives: list[str] = []
    reserved = any(map(_reserves, tdm_headers))
    for tag in robots_tags:
        directives += _for_us(tag, product_token)
    for name, content in metas:
        kind = name.strip().lower()
        if kind in ("robots", product_token.lower()):
            directives += _split(content)
        reserved = reserved or (kind == "tdm-reservation" and _reserves(content))
    refusal, detail = _strongest(directives)
    if refusal is None and _is_past(directives, now):
        refusal, detail = Reason.NOINDEX, _UNAVAILABLE_AFTER
    if refusal is None and reserved:
        refusal, detail = Reason.TDM_RESERVED, "tdm-reservation"
    return Signals(refusal, detail, follow=not {"nofollow", "none"} & set(directives))


def _strongest(directives: list[str]) -> tuple[Reason | None, str | None]:
    return next(((reason, word) for word, reason in _REASON_OF.items() if word in directives), (None, None))


def _for_us(tag: str, product_token: str) -> list[str]:
    """The directives of a header that are meant for this crawler: a name counts until the next one."""
    directives, is_ours = [], True
    for word in _split(tag):
        named = _AGENT.fullmatch(word)
        if named is not None and named[1] not in _DIRECTIVES_WITH_VALUE:
            is_ours, word = named[1] in ("*", product_token.lower()), named[2]
        if is_ours:
            directives.append(word)
    return directives


def _is_past(directives: list[str], now: datetime) -> bool:
    """Whether a page says that it is not available any more; one whose day nobody can read counts as past."""
    for word, following in zip(directives, [*directives, ""][1:], strict=True):
        name, _, day = word.partition(":")
        if name.strip() == _UNAVAILABLE_AFTER:
            # the comma behind the name of a weekday separates no directives
            moment = _moment(f"{day}, {following}" if day.strip().isalpha() else day)
            if moment is None or moment < now:
                return True
    return False


def _moment(text: str) -> datetime | None:
    """A time as RFC 822, RFC 850 or ISO 8601 write it; None for anything else."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text.strip().upper())
        except (ValueError, OverflowError):
            continue
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def _reserves(value: str) -> bool:
    """Whether a TDM reservation says anything but that there is none."""
    return value.strip() not in ("", "0")


def _split(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")]
