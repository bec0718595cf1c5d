"""Reads a site's own list of its pages (sitemaps.org), for what changed last is asked for first."""

from __future__ import annotations

import zlib
from datetime import date
from typing import NamedTuple

from lxml import etree  # type: ignore[import-untyped]

from so8t.data.collect.scope import written

_MOST_ENTRIES = 50_000
"""As many as the protocol permits in one file."""
_MOST_BYTES = 50 << 20
"""As large as the protocol permits a file to be, unpacked."""
_GZIP = b"\x1f\x8b"


class Listed(NamedTuple):
    """One entry: its address, and the day it changed last, None where that is not said."""

    url: str
    changed: date | None


class Sitemap(NamedTuple):
    """What a file lists.

    Attributes:
        pages: newest first; those without a day last.
        sitemaps: further files, where this one is an index.
    """

    pages: tuple[Listed, ...]
    sitemaps: tuple[str, ...]


def read_sitemap(body: bytes) -> Sitemap:
    """Read a sitemap or an index of them, packed or not; what cannot be read is left out. Entities are not expanded.

    Example:
        >>> found = read_sitemap(b"<urlset><url><loc>https://a.example/1</loc></url><url>"
        ...     b"<loc>https://a.example/2</loc><lastmod>2026-05-01T10:00:00Z</lastmod></url></urlset>")
        >>> [(page.url, str(page.changed)) for page in found.pages]
        [('https://a.example/2', '2026-05-01'), ('https://a.example/1', 'None')]
    """
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(_unpacked(body), parser)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    pages, sitemaps = [], []
    for entry in list(root if root is not None else ())[:_MOST_ENTRIES]:
        said = {etree.QName(child).localname: (child.text or "").strip() for child in entry.iterchildren(etree.Element)}
        url = written(said.get("loc", ""))
        if url is None:
            continue
        if etree.QName(entry).localname == "sitemap":
            sitemaps.append(url)
        else:
            pages.append(Listed(url, _day(said.get("lastmod", ""))))
    pages.sort(key=lambda page: page.changed or date.min, reverse=True)
    return Sitemap(tuple(pages), tuple(sitemaps))


def _unpacked(body: bytes) -> bytes:
    """The file itself where it came as `.xml.gz`, which servers send as it is; no more of it than may be."""
    if not body.startswith(_GZIP):
        return body
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(body, _MOST_BYTES)
    except zlib.error:
        return b""


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
