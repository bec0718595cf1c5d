"""Reads a response: what the page says of itself, how much text it shows, where its links go. Runs none of its code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from lxml import etree  # type: ignore[import-untyped]
from lxml import html as lxml_html
from scrapy.http import HtmlResponse, Response, TextResponse

from so8t.data.collect.scope import led_to

PAGE_TYPES = {"text/html": ".html", "application/xhtml+xml": ".html", "text/plain": ".txt"}
"""Content types that are kept, and the ending their files get."""

_NOT_SHOWN = ("script", "style", "noscript", "template", "head")
_SPACE = re.compile(r"\s+")
_DECLARATION_OR_END = re.compile(r"^\s*<\?xml[^>]*\?>|</(?:html|body)\s*>", re.IGNORECASE)


class Link(NamedTuple):
    """One link: its absolute address, and whether the page asks that it be not followed."""

    url: str
    nofollow: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What was read from a response.

    Attributes:
        title: its title; empty without one.
        text: the text it shows, white space collapsed.
        source: its HTML, decoded.
        language: as declared; None without a declaration.
        metas: name and content of its `meta` elements.
        links: in the order of the page, each once.
    """

    title: str
    text: str
    source: str
    language: str | None
    metas: tuple[tuple[str, str], ...]
    links: tuple[Link, ...]


def content_type(response: Response) -> str:
    """The type a server states, lower case and without parameters; empty where it states none."""
    return (response.headers.get("Content-Type") or b"").decode("latin-1").partition(";")[0].strip().lower()


def header_values(response: Response, name: str) -> list[str]:
    """Every value of a header."""
    return [value.decode("latin-1") for value in response.headers.getlist(name)]


def read_page(response: Response) -> Page:
    """Read a response that `PAGE_TYPES` knows. Broken HTML is read as browsers do, wrong encodings with replacements.

    Args:
        response: its body decompressed.
    """
    source = response.text if isinstance(response, TextResponse) else response.body.decode("utf-8", "replace")
    root = _parse(source) if isinstance(response, HtmlResponse) else None
    if root is None:
        return Page("", _collapsed(source), source, None, (), ())
    language = root.get("lang") or next(iter(header_values(response, "Content-Language")), None)
    title = root.findtext(".//title") or ""
    metas = tuple(
        (str(meta.get("name")), str(meta.get("content") or "")) for meta in root.iter("meta") if meta.get("name")
    )
    links = _links(root, response.url)
    return Page(_collapsed(title), shown_text(root), source, language, metas, links)


def shown_text(root: lxml_html.HtmlElement) -> str:
    """The text of a document without its scripts and styles. Changes the document."""
    for element in list(root.iter(*_NOT_SHOWN)):
        element.drop_tree()
    return _collapsed(" ".join(str(piece) for piece in root.itertext()))


def _parse(source: str) -> lxml_html.HtmlElement | None:
    # lxml refuses a declaration of an encoding in text that is decoded already, and forgets what stands behind the end
    text = _DECLARATION_OR_END.sub("", source.replace("\0", ""))
    parser = lxml_html.HTMLParser(huge_tree=False, remove_comments=True, remove_pis=True)
    try:
        return lxml_html.document_fromstring(text, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


def _links(root: lxml_html.HtmlElement, url: str) -> tuple[Link, ...]:
    base = next((str(element.get("href")) for element in root.iter("base") if element.get("href")), "")
    found: dict[str, Link] = {}
    for element in root.iter("a", "area"):
        reference = str(element.get("href") or "").strip()
        target = led_to(url, base, reference) if reference else None
        if target is not None and target not in found:
            found[target] = Link(target, "nofollow" in str(element.get("rel") or "").lower().split())
    return tuple(found.values())


def _collapsed(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
