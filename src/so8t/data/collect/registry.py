"""The source registry: which sites may be asked, who read their terms, and how gently to ask.

::

    contact: https://example.org/crawler      # stands in the user agent: where a site's owner finds us
    sources:
      - id: e-gov-laws
        base_urls: [https://laws.e-gov.go.jp/law/]
        tier: 1                                # 1 authorities, 2 institutions, 3 others
        terms_url: https://www.e-gov.go.jp/terms
        licence: CC-BY-4.0
        reviewed_by: data steward              # a role, not a person's name
        reviewed_at: 2026-05-01
        allowed_paths: [/law/]
        seconds_between_requests: 2.0
        purpose: law texts for training answers about law

A source without `reviewed_by` and `reviewed_at` stays in the registry and is not fetched.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from so8t.data.collect.origin import origin_of
from so8t.data.collect.registry_file import RegistryError, RegistryFile, read_registry_file

__all__ = ["Registry", "RegistryError", "Source", "load_registry", "review_warnings"]

_REVIEW_IS_OLD_DAYS = 365
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MESSAGE = re.compile(r"(?P<message>.*?)(?: - at `\$(?P<path>[\w.\[\]]*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One site and the conditions under which it is asked.

    Attributes:
        id: a short name; evidence and counts refer to it.
        base_urls: where to begin, below `allowed_paths`. Host, scheme and port of each are the source's; a link to
            others is followed only into another source of the registry, by that one's own review, terms and rules.
        tier: trust, 1 (highest) to 3; decides the order.
        terms_url: the page that says under which conditions the content may be used. Its text is digested at each run.
        licence: as reports name it.
        purpose: what the content is wanted for.
        reviewed_by: the role that read the terms; None when nobody has.
        reviewed_at: when.
        allowed_paths: `/law/` is everything below, `/law` also that page itself; percent-encoded or not.
        seconds_between_requests: the pause between two requests to one of its hosts; `Crawl-delay` can lengthen it.
        max_pages: how many of its pages are fetched at most.
        max_depth: how many links away from a base URL.
        sitemaps: the site's own lists of its pages, on the same hosts; what changed last is asked for first.
        terms_sha256: digest of the terms' text as reviewed; when given, other terms end the permission.
    """

    id: str
    base_urls: list[str]
    tier: int
    terms_url: str
    licence: str
    purpose: str
    allowed_paths: list[str]
    reviewed_by: str | None = None
    reviewed_at: date | None = None
    seconds_between_requests: float = 2.0
    max_pages: int = 200
    max_depth: int = 3
    sitemaps: list[str] = []
    terms_sha256: str | None = None

    @property
    def reviewed(self) -> bool:
        """Whether somebody has read the terms."""
        return bool(self.reviewed_by) and self.reviewed_at is not None

    def allows_path_of(self, url: str) -> bool:
        """Whether the path of an address is one that may be asked for; its host is not looked at."""
        path = _unescaped(urlsplit(url).path) or "/"
        return any(_is_below(path, _unescaped(allowed)) for allowed in self.allowed_paths)


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that may be asked.

    Attributes:
        contact: web address at which a site's owner finds whoever collects; stands in the user agent.
        sources: in file order.
    """

    contact: str
    sources: list[Source]

    def in_order(self) -> list[Source]:
        """The sources as they are asked: by tier, and within a tier the most recently reviewed first."""
        return sorted(self.sources, key=lambda source: (source.tier, -(source.reviewed_at or date.min).toordinal()))


def load_registry(path: Path) -> Registry:
    """Read a registry.

    Raises:
        RegistryError: it cannot be read, has an unknown or a missing key, or a value that cannot be; the message
            names file, line, place and remedy.
    """
    file = read_registry_file(path)
    try:
        registry = msgspec.convert(file.keys, Registry)
    except msgspec.ValidationError as error:
        raise RegistryError(_what_is_wrong(file, str(error))) from None
    for steps, where, problem in _problems(registry):
        raise RegistryError(f"{file.where(steps)}: {where}: {problem}")
    return registry


def review_warnings(registry: Registry, today: date) -> list[str]:
    """A warning for every source whose terms were read more than a year ago, or on a day that has not come yet.

    Example:
        >>> source = Source(id="a", base_urls=["https://a.example/"], tier=1, terms_url="https://a.example/terms",
        ...                 licence="CC0-1.0", purpose="demo", allowed_paths=["/"], reviewed_by="data steward",
        ...                 reviewed_at=date(2025, 1, 1))
        >>> review_warnings(Registry(contact="https://c.example", sources=[source]), date(2026, 3, 1))
        ['a: the terms were reviewed on 2025-01-01, 424 days ago: read https://a.example/terms again']
    """
    warnings = []
    for source in registry.sources:
        days = (today - source.reviewed_at).days if source.reviewed_at else 0
        if days < 0:
            warnings.append(f"{source.id}: reviewed_at is {source.reviewed_at}, which is to come: correct the registry")
        elif source.reviewed and days > _REVIEW_IS_OLD_DAYS:
            warnings.append(
                f"{source.id}: the terms were reviewed on {source.reviewed_at}, {days} days ago: "
                f"read {source.terms_url} again"
            )
    return warnings


def _what_is_wrong(file: RegistryFile, error: str) -> str:
    """The sentence about what msgspec refused, from its "message - at `$.path`"."""
    message, path = _MESSAGE.fullmatch(error).group("message", "path")  # type: ignore[union-attr]
    steps: list[str | int] = [name or int(index) for name, index in _STEP.findall(path or "")]
    known, owner = (Source, "source") if steps[:1] == ["sources"] else (Registry, "registry")
    if unknown := _UNKNOWN.fullmatch(message):
        steps, said = [*steps, unknown[1]], _unknown_key(unknown[1], known.__struct_fields__, owner)
    elif missing := _MISSING.fullmatch(message):
        needed = [field.name for field in msgspec.structs.fields(known) if field.required]
        said = f"{missing[1]} is missing: a {owner} needs {_listed(needed)}"
    else:
        said = f"{message[:1].lower()}{message[1:].replace('`', '')}: correct the value"
    where = (path or "").lstrip(".")
    return f"{file.where(steps)}: {where + ': ' if where else ''}{said}"


def _unknown_key(key: str, known: Sequence[str], owner: str) -> str:
    likely = difflib.get_close_matches(key, known, n=1)
    hint = f" (did you mean {likely[0]}?)" if likely else ""
    return f"unknown key {key!r}{hint}: a {owner} has {_listed(known)}"


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _problems(registry: Registry) -> Iterator[tuple[list[str | int], str, str]]:
    """Where in the file, where in words, and what, of everything that types cannot express."""
    if not _is_web_address(registry.contact):
        said = f"{registry.contact!r} is no web address: give the page where you can be reached"
        yield ["contact"], "contact", said
    if not registry.sources:
        yield ["sources"], "sources", "there are none: add at least one"
    times = Counter(source.id for source in registry.sources)
    for index, source in enumerate(registry.sources):
        steps: list[str | int] = ["sources", index]
        if times[source.id] > 1:
            yield steps, f"source {source.id}", f"the id stands {times[source.id]} times: give each source its own"
        for problem in _problems_of(source):
            yield steps, f"source {source.id}", problem
        for key, number, problem in _misplaced(source):
            yield [*steps, key, number], f"source {source.id}: {key}", problem


def _problems_of(source: Source) -> list[str]:
    checks = [
        (_ID.fullmatch(source.id) is not None, "the id may have letters, digits, `.`, `_` and `-`, 64 at most"),
        (source.tier in (1, 2, 3), f"tier is {source.tier}: it is 1, 2 or 3"),
        (bool(source.base_urls), "base_urls is empty: name where to begin"),
        (bool(source.allowed_paths), "allowed_paths is empty: write [/] for the whole site"),
        (source.seconds_between_requests >= 0, "seconds_between_requests is negative"),
        (source.seconds_between_requests < 86400, "seconds_between_requests is a day or more"),
        (source.max_pages >= 1, "max_pages is less than 1"),
        (source.max_depth >= 0, "max_depth is negative"),
        (bool(source.licence.strip()), "licence is blank: write `unknown` if nothing is said"),
        (bool(source.purpose.strip()), "purpose is blank: say what the content is wanted for"),
        (
            source.terms_sha256 is None or re.fullmatch("[0-9a-f]{64}", source.terms_sha256) is not None,
            "terms_sha256 is no SHA-256: 64 hexadecimal digits",
        ),
    ]
    problems = [problem for is_right, problem in checks if not is_right]
    for url in (*source.base_urls, *source.sitemaps, source.terms_url):
        if not _is_web_address(url):
            problems.append(f"{url!r} is no web address: write https://host/path, without user name or fragment")
    problems += [f"allowed path {path!r} does not begin with /" for path in source.allowed_paths if path[:1] != "/"]
    return problems


def _misplaced(source: Source) -> Iterator[tuple[str, int, str]]:
    """Key, index and what is wrong, of addresses that could never be asked for by the source's own rules."""
    for number, url in enumerate(source.base_urls):
        if not source.allows_path_of(url):
            said = "is not below allowed_paths, so it would never be asked for: allow its path or begin elsewhere"
            yield "base_urls", number, f"{url} {said}"
    origins = {origin_of(url) for url in source.base_urls}
    for number, url in enumerate(source.sitemaps):
        if origin_of(url) not in origins:
            said = "is on none of the hosts of base_urls, scheme and port included: leave it out"
            yield "sitemaps", number, f"{url} {said}"


def _is_below(path: str, allowed: str) -> bool:
    return path.startswith(allowed) if allowed.endswith("/") else path == allowed or path.startswith(allowed + "/")


def _unescaped(path: str) -> str:
    # octets that are no text must not all become the same replacement character
    return unquote(path, errors="surrogateescape")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 -- raises ValueError when it is no number
    except ValueError:
        return False
    plain = not parts.username and not parts.fragment and not any(character.isspace() for character in text)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain
