"""The report as text: sections of blocks in one language, which HTML and PDF only have to set.

What a section says is decided once, in `sections/`; the renderers know blocks, not facts. Every number in a block is
the string a reader sees, so that all renderings and both languages show the same one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class Tone(StrEnum):
    """How a notice or a verdict is meant; renderers give it a colour and a sign, never the colour alone."""

    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of points."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the reader must not miss: one or two sentences with a tone."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class VerdictBlock:
    """The overall verdict.

    Attributes:
        tone: how it turned out.
        word: the verdict in a word, such as 移行可 (Go).
        reason: a sentence that says why.
    """

    tone: Tone
    word: str
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with a value each: (label, value)."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        head: heading of each column.
        rows: cells, as many in each row as in the head.
        numeric: indices of the columns that hold numbers and are set flush right.
        caption: what the table shows.
        tones: tone of each row, empty when none has one.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    caption: str = ""
    tones: tuple[Tone, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """Commands or digests to be set as they are, in fixed width."""

    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """One curve as it is drawn.

    Attributes:
        name: what the legend says.
        steps: optimizer steps, ascending.
        values: as many; None where the recorded value is not finite, which leaves a gap.
        recorded: how many values the record holds; `steps` may be fewer of them.
        band: lowest and highest value at each step over several runs or layers, NaN where there is a gap; empty for
            a single one.
        non_finite_steps: optimizer steps with a value that is not finite (the first thousand).
        markers: the points are few and apart, such as evaluations: draw them, not only the line.
    """

    name: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    recorded: int
    band: tuple[tuple[float, float], ...] = ()
    non_finite_steps: tuple[int, ...] = ()
    markers: bool = False


@dataclass(frozen=True, slots=True)
class Curves:
    """One diagram of curves over optimizer steps.

    Attributes:
        title: heading of the diagram.
        unit: what the vertical axis measures.
        series: the curves.
        alternative: what the diagram shows, for readers who do not see it.
        note: how many of how many points are drawn, what is marked.
        logarithmic: the vertical axis is logarithmic.
        attempts: optimizer steps at which a later attempt took over.
        phases: (first step, last step, name) of phases to shade.
    """

    title: str
    unit: str
    series: tuple[Series, ...]
    alternative: str
    note: str = ""
    logarithmic: bool = False
    attempts: tuple[int, ...] = ()
    phases: tuple[tuple[int, int, str], ...] = ()


Block: TypeAlias = Paragraph | Bullets | Notice | VerdictBlock | Facts | Table | Code | Curves


@dataclass(frozen=True, slots=True)
class Section:
    """A numbered part of the report.

    Attributes:
        key: name for anchors and tests, the same in every language.
        title: heading in the document's language, without its number.
        blocks: what it says.
        subsections: parts of it.
    """

    key: str
    title: str
    blocks: tuple[Block, ...] = ()
    subsections: tuple["Section", ...] = ()


@dataclass(frozen=True, slots=True)
class Cover:
    """The first page.

    Attributes:
        kind: what the document is, such as PoC報告書.
        title: what it is about.
        facts: (label, value): author, approver, recipient, version, dates, run.
        confidentiality: who may read it, as it is printed on every page; empty when not said.
        banner: what must stand above everything, such as "this run was interrupted"; None when nothing must.
    """

    kind: str
    title: str
    facts: tuple[tuple[str, str], ...]
    confidentiality: str = ""
    banner: Notice | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """The whole report in one language.

    Attributes:
        language: `ja` or `en`.
        cover: the first page.
        sections: numbered from 1 in this order.
        appendices: lettered from A.
        generated_at: RFC 3339, UTC; the only date that renderers may use.
        words: words that renderers need in this language, by key (`contents`, `page`, `figure`, `table`, `appendix`,
            `search`, `no_points`, `linear`, `logarithmic`, `reset_zoom`, `step`, ...).
    """

    language: str
    cover: Cover
    sections: tuple[Section, ...]
    appendices: tuple[Section, ...]
    generated_at: str
    words: Mapping[str, str] = field(default_factory=dict)

    def walk(self) -> Iterator[Section]:
        """Every section and subsection, in reading order."""
        yield from _walk(self.sections)
        yield from _walk(self.appendices)


def _walk(sections: Sequence[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from _walk(section.subsections)
