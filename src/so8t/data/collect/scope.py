"""Which source a web address belongs to, and which addresses are followed at all."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from w3lib.url import canonicalize_url, safe_url_string

from so8t.data.collect.limits import Limits
from so8t.data.collect.origin import DEFAULT_PORTS, Origin, origin_of
from so8t.data.collect.registry import Registry, Source

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


def written(url: str) -> str | None:
    """The address as it is asked for: percent-encoded, without a fragment; None where it is no address of the web.

    Example:
        >>> written("https://example.org/法令?b=1#x"), written("file:///etc/passwd"), written("https://u:p@a.example/")
        ('https://example.org/%E6%B3%95%E4%BB%A4?b=1', None, None)
    """
    try:
        parts = urlsplit(safe_url_string(url.strip()))
        origin = origin_of(parts.geturl())
    except ValueError:
        return None
    is_named = _HOST.fullmatch(origin.host) is not None
    if origin.scheme not in DEFAULT_PORTS or parts.username is not None or parts.password is not None or not is_named:
        return None
    return urlunsplit((origin.scheme, origin.root.partition("://")[2], parts.path or "/", parts.query, ""))


def led_to(url: str, *references: str) -> str | None:
    """Where references lead from a page, one after the other (a base, then a link); None where that is no address.

    Example:
        >>> led_to("https://a.example/b/c", "/d/", "e"), led_to("https://a.example/", "mailto:x@a.example")
        ('https://a.example/d/e', None)
    """
    try:
        for reference in references:
            url = urljoin(url, reference.strip())
    except ValueError:
        return None
    return written(url)


def same_page(url: str) -> str:
    """One spelling for all addresses of a page: parameters in order, encoding normalised."""
    return canonicalize_url(url)


def is_trap(url: str, limits: Limits) -> bool:
    """Whether an address looks made by a site that never ends, or climbs out of its folder.

    Example:
        >>> [is_trap("https://a.example" + path, Limits()) for path in ("/a/b/a", "/a/b/a/b/a/b", "/a/%2e%2e/b")]
        [False, True, True]
    """
    segments = [unquote(segment) for segment in urlsplit(url).path.split("/") if segment]
    return (
        len(url) > limits.url_characters
        or len(segments) > limits.path_segments
        or any(segment in (".", "..") or "/" in segment or "\\" in segment for segment in segments)
        or any(times > limits.segment_repeats for times in Counter(segments).values())
    )


class Scope:
    """Knows which source an address belongs to.

    Args:
        registry: the sources.
    """

    def __init__(self, registry: Registry) -> None:
        self._by_origin: dict[Origin, list[Source]] = {}
        for source in registry.in_order():
            for origin in {origin_of(url) for url in source.base_urls}:
                self._by_origin.setdefault(origin, []).append(source)

    def source_of(self, url: str) -> Source | None:
        """The source with this origin and path; the most trusted where several have it; None outside all of them."""
        return next((source for source in self._by_origin.get(origin_of(url), []) if source.allows_path_of(url)), None)

    def is_on_its_host(self, source: Source, url: str) -> bool:
        """Whether an address has one of the source's origins, whatever its path."""
        return source in self._by_origin.get(origin_of(url), [])
