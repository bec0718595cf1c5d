"""The report as one HTML file: it opens from disk, asks no network for anything, and prints.

What it looks like is in `html/`; this module puts the document, the style, the scripts and the packed curves into one
page. Everything in it that is not ours is escaped: texts by the template, curves as JSON without `<`, `>` and `&`, the
running header as CSS escapes. The page's own policy lets nothing run but the scripts whose digests it names.
"""

import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from kiseki.report.document import Block, Curves, Document, Section, Series, Table, Tone
from kiseki.report.html.chart_data import chart_data
from kiseki.report.html.columns import Columns, columns
from kiseki.report.sections.numbers import decimal, integer

SIGNS: Mapping[Tone, str] = {Tone.GOOD: "○", Tone.CAUTION: "△", Tone.BAD: "×", Tone.NEUTRAL: "－"}
"""What stands beside a colour, so that the tone can be read without it."""

_SCRIPTS = (
    "uplot/uPlot.iife.min.js",
    "packing.js",
    "numbers.js",
    "marking.js",
    "drawing.js",
    "charts.js",
    "tables.js",
    "page.js",
)
_STYLES = ("uplot/uPlot.min.css", "report.css")
_FILTER_FROM_ROWS = 25


@dataclass(slots=True)
class _Placed:
    """A block at its place: its number among figures or tables, and what the template cannot see for itself.

    Attributes:
        kind: name of the block's class.
        block: what it says.
        label: such as "Table 3"; empty where it is not counted.
        anchor: of its heading.
        chart: which of the charts it is; None where nothing can be drawn.
        columns: how a table's columns are set; None elsewhere.
        numbers: what the curves of a figure come to, as rows of a table.
    """

    kind: str
    block: Block
    label: str = ""
    anchor: str = ""
    chart: int | None = None
    columns: Columns | None = None
    numbers: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(slots=True)
class _Part:
    """A section with its number, its anchor, and the level of its heading."""

    label: str
    anchor: str
    title: str
    depth: int
    begins_appendices: bool
    blocks: list[_Placed]
    parts: list["_Part"]


def to_html(document: Document) -> bytes:
    """Render the report as one page.

    Args:
        document: the report in one language, with the words of `kiseki.report.sections.words`.

    Returns:
        UTF-8. The same document gives the same bytes.

    Example:
        >>> from kiseki.report.document import Cover, Paragraph
        >>> from kiseki.report.sections.wording import speaker
        >>> from kiseki.report.sections.words import words
        >>> cover = Cover(kind="PoC Report", title="A <model>", facts=())
        >>> section = Section("summary", "Summary", (Paragraph("a < b"),))
        >>> document = Document("en", cover, (section,), (), "2026-11-24T00:00:00Z", words(speaker("en")))
        >>> page = to_html(document).decode()
        >>> "<h1>A &lt;model&gt;</h1>" in page, "<p>a &lt; b</p>" in page
        (True, True)
    """
    words = {**_words()[document.language], **document.words}
    layout = _Layout(words)
    parts = layout.parts(document)
    style = "\n".join((*map(_asset, _STYLES), _running_header(document)))
    scripts = [_asset(name) for name in _SCRIPTS]
    page = _template().render(
        document=document,
        words=words,
        signs=SIGNS,
        parts=parts,
        charts_json=Markup(chart_data(document.language, words, layout.charts)),
        filter_from=_FILTER_FROM_ROWS,
        policy=_policy(style, scripts),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
    )
    return page.encode("utf-8", "replace")


class _Layout:
    """Numbers sections, figures and tables, and collects the curves, in reading order."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self.charts: list[Curves] = []
        self._tables = 0
        self._figures = 0

    def parts(self, document: Document) -> list[_Part]:
        sections = [self._part(section, str(index), 2) for index, section in enumerate(document.sections, start=1)]
        for index, section in enumerate(document.appendices):
            appendix = self._part(section, chr(ord("A") + index), 2)
            appendix.label = f"{self._words['appendix']} {appendix.label}"
            appendix.begins_appendices = index == 0
            sections.append(appendix)
        return sections

    def _part(self, section: Section, number: str, depth: int) -> _Part:
        return _Part(
            label=number,
            anchor=f"s{number.replace('.', '-')}-{re.sub(r'[^A-Za-z0-9_-]+', '-', section.key)}",
            title=section.title,
            depth=min(depth, 6),
            begins_appendices=False,
            blocks=[self._placed(block) for block in section.blocks],
            parts=[
                self._part(inner, f"{number}.{index}", depth + 1)
                for index, inner in enumerate(section.subsections, start=1)
            ],
        )

    def _placed(self, block: Block) -> _Placed:
        placed = _Placed(type(block).__name__, block)
        if isinstance(block, Table):
            placed.columns = columns(block)
            if block.caption:
                self._tables += 1
                placed.label = f"{self._words['table']} {self._tables}"
        if isinstance(block, Curves):
            self._figures += 1
            placed.label = f"{self._words['figure']} {self._figures}"
            placed.anchor = f"figure-{self._figures}"
            placed.numbers = [_numbers(series) for series in block.series]
            if any(_finite(series) for series in block.series):
                placed.chart = len(self.charts)
                self.charts.append(block)
        return placed


def _finite(series: Series) -> list[float]:
    return [value for value in series.values if value is not None and math.isfinite(value)]


def _numbers(series: Series) -> tuple[str, ...]:
    finite = _finite(series)
    if not finite:
        return (series.name, integer(series.recorded), *("—",) * 5)
    return (
        series.name,
        integer(series.recorded),
        integer(series.steps[0]),
        integer(series.steps[-1]),
        decimal(min(finite)),
        decimal(max(finite)),
        decimal(finite[-1]),
    )


def _running_header(document: Document) -> str:
    header = _css_string(f"{document.cover.kind} — {document.cover.title}")
    confidentiality = _css_string(document.cover.confidentiality)
    return (
        f"@page{{@top-left{{content:{header}}}@top-right{{content:{confidentiality}}}"
        f"@bottom-left{{content:{_css_string(document.generated_at)}}}}}"
        f"@page :first{{@top-left{{content:none}}@top-right{{content:none}}}}"
    )


_HEADER_CHARACTERS = 60


def _css_string(text: str) -> str:
    r"""A CSS string that no text can break out of.

    Example:
        >>> _css_string('a"}</style>')
        '"a\\22 \\7d \\3c \\2f style\\3e "'
    """
    if len(text) > _HEADER_CHARACTERS:
        text = text[: _HEADER_CHARACTERS - 1] + "…"
    return '"' + "".join(map(_css_character, text)) + '"'


def _css_character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    # what no style sheet can hold becomes the replacement character
    point = ord(character)
    return f"\\{0xFFFD if point == 0 or 0xD800 <= point <= 0xDFFF else point:x} "


def _policy(style: str, scripts: Sequence[str]) -> str:
    hashes = " ".join(_source_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src {_source_hash(style)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _source_hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    text = resources.files("kiseki.report.html").joinpath(*name.split("/")).read_text(encoding="utf-8")
    return "\n" + text.replace("\r\n", "\n").strip() + "\n"


@cache
def _words() -> dict[str, dict[str, str]]:
    words: dict[str, dict[str, str]] = json.loads(_asset("words.json"))
    return words


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _asset(name).lstrip()),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["digest"] = _is_digest
    return environment.get_template("report.html.jinja")


def _is_digest(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40,128}", text) is not None


_CONTROL = dict.fromkeys((*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F), "\ufffd")


def _printable(value: Any) -> Any:
    """The value as HTML may hold it: no control characters."""
    return value.translate(_CONTROL) if type(value) is str else value
