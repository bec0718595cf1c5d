"""HTML to the text a reader of the page sees, without menus, forms and footers."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from datatrove.data import Document

from so8t.data.clean.block import Block

# fmt: off
_LEFT_OUT = frozenset((
    "script", "style", "noscript", "template", "svg", "canvas", "iframe", "object", "head", "nav", "footer",
    "aside", "button", "select", "option", "textarea", "dialog", "menu",
))
_VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
))
_BREAKS_LINE = frozenset((
    "address", "article", "blockquote", "body", "br", "caption", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "html", "li", "main", "ol",
    "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
))
# fmt: on
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n\f]+")


class Extract(Block):
    """Turns HTML into text; other text goes on as it is. Runs none of the page's code."""

    name = "extract"

    def judge(self, document: Document) -> str | None:
        """Replace HTML by its text, and take the title where none is known."""
        if document.metadata.pop("html"):
            title, document.text = extract(document.text)
            document.metadata["title"] = document.metadata.get("title") or title or None
        return None if document.text.strip() else "no text"


def extract(html: str) -> tuple[str, str]:
    r"""Title and text of a page.

    Example:
        >>> extract("<title>T</title><nav>menu</nav><p>One <b>two</b><br>three<script>x()</script></p><p>four")
        ('T', 'One two\nthree\nfour')
    """
    reader = _Reader()
    reader.feed(html.replace("\0", ""))
    reader.close()
    lines = (_SPACE.sub(" ", line).strip() for line in "".join(reader.pieces).split("\n"))
    return _SPACE.sub(" ", "".join(reader.title)).strip(), "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.title: list[str] = []
        self._left_out: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title" and not self.title
        if tag == "body":
            self._left_out.clear()  # a head that nobody closed ends here
        if tag in _BREAKS_LINE:
            self.pieces.append("\n")
        if tag not in _VOID and (self._left_out or tag in _LEFT_OUT or _is_hidden(attrs)):
            self._left_out.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BREAKS_LINE:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False
        if tag in self._left_out:
            # an end closes what was left open inside it
            while self._left_out.pop() != tag:
                pass
        if tag in _BREAKS_LINE:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._left_out:
            self.pieces.append(_SPACE.sub(" ", data))


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    known = dict(attrs)
    return (
        "hidden" in known or known.get("aria-hidden") == "true" or bool(_HIDDEN_STYLE.search(known.get("style") or ""))
    )
