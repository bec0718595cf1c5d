"""A document as the template's data: every text ready to be set, every diagram drawn, every table measured."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from itertools import groupby
from typing import Any, Literal

import numpy as np

from kiseki.analysis.downsample import min_max
from kiseki.curves.diagram import draw_diagram
from kiseki.curves.style import fitted, printable
from kiseki.report.document import (
    Block,
    Bullets,
    Code,
    Curves,
    Document,
    Facts,
    Notice,
    Paragraph,
    Section,
    Series,
    Table,
    Tone,
    VerdictBlock,
)
from kiseki.report.pdf.columns import BOLD, PADDING, ROOM, Columns, columns
from kiseki.report.pdf.text import ems, lacks, shown

_HALF = (ROOM - 16.0) / 2
_MOST_AT_FULL_WIDTH = 3
_WIDE, _NARROW = (ROOM, 120.0), (_HALF, 92.0)
_MOST_POINTS = 100_000
_LEAST_POINTS = 100
_TALLEST_WHOLE = 270.0
_FACTS_SIZE, _LABEL_LEAST, _LABEL_MOST = 8.5, 0.26, 0.42


@dataclass
class Layout:
    """What typst is given.

    Attributes:
        data: everything the template sets, as JSON can hold it.
        diagrams: SVG files by name.
    """

    data: dict[str, Any]
    diagrams: dict[str, bytes] = field(default_factory=dict)


def lay_out(document: Document, attachment: bytes | None, attachment_name: str) -> Layout:
    """Make a document ready for the template.

    Args:
        document: the report.
        attachment: what is attached to the PDF, for its digest.
        attachment_name: its file name.
    """
    setter = _Setter(document)
    generated_at = datetime.fromisoformat(document.generated_at).astimezone(UTC)
    cover = document.cover
    data: dict[str, Any] = {
        "language": document.language,
        "date": [getattr(generated_at, part) for part in ("year", "month", "day", "hour", "minute", "second")],
        "generated_at": f"{generated_at:%Y-%m-%d %H:%M:%S} UTC",
        "title": printable(f"{cover.kind} — {cover.title}"),
        "running_title": fitted(printable(f"{cover.kind} — {cover.title}"), 8, (ROOM - 190) / 72),
        "running_confidentiality": fitted(printable(cover.confidentiality), 9, 160 / 72),
        "words": setter.words,
        "cover": {
            "kind": shown(cover.kind),
            "title": shown(cover.title),
            "confidentiality": shown(cover.confidentiality),
            "banner": cover.banner and setter.block(cover.banner),
            "facts": setter.facts(Facts(cover.facts)),
        },
        "sections": [setter.section(section) for section in document.sections],
        "appendices": [setter.section(section) for section in document.appendices],
    }
    remarks = []
    if attachment is not None:
        digest = hashlib.sha256(attachment).hexdigest()
        remarks.append(shown(setter.words["attached"].format(name=attachment_name, sha256=digest)))
    if lacks(json.dumps({**data, "words": {}}, ensure_ascii=False)):
        remarks.append(setter.words["missing_glyph"])
    data["remarks"] = remarks
    data["attachment"] = None if attachment is None else attachment_name
    return Layout(data, setter.diagrams)


class _Setter:
    """Turns blocks into data and keeps the diagrams drawn on the way."""

    def __init__(self, document: Document) -> None:
        own = json.loads(files("kiseki.report.pdf").joinpath("words.json").read_text(encoding="utf-8"))
        self._language: Literal["ja", "en"] = "ja" if document.language == "ja" else "en"
        self.words: dict[str, str] = own[self._language] | {
            key: word for key, word in document.words.items() if key in own[self._language]
        }
        self.diagrams: dict[str, bytes] = {}
        every = [
            series
            for section in document.walk()
            for block in section.blocks
            if isinstance(block, Curves)
            for series in block.series
        ]
        fits = sum(len(series.steps) for series in every) <= _MOST_POINTS
        self._most_points = None if fits else max(_LEAST_POINTS, _MOST_POINTS // len(every))

    def section(self, section: Section) -> dict[str, Any]:
        return {
            "title": shown(section.title).replace("\n", " ").strip() or "—",  # PDF/UA allows no heading without text
            "blocks": list(self._blocks(section.blocks)),
            "subsections": [self.section(part) for part in section.subsections],
        }

    def _blocks(self, blocks: Sequence[Block]) -> Iterator[dict[str, Any]]:
        """The blocks in order; many diagrams in a row stand two abreast, the first alone where their number is odd."""
        for is_curves, group in groupby(blocks, key=lambda block: isinstance(block, Curves)):
            row = list(group)
            if not is_curves or len(row) <= _MOST_AT_FULL_WIDTH:
                yield from (self.block(block) for block in row)
            else:
                odd = len(row) % 2
                yield from (self.block(block) for block in row[:odd])
                diagrams = [self._curves(block, _NARROW) for block in row[odd:] if isinstance(block, Curves)]
                yield {"kind": "diagrams", "diagrams": diagrams}

    def block(self, block: Block) -> dict[str, Any]:
        match block:
            case Paragraph():
                return {"kind": "paragraph", "text": shown(block.text)}
            case Bullets():
                return {"kind": "bullets", "items": [shown(item) for item in block.items]}
            case Notice():
                return {"kind": "notice", "tone": block.tone.value, "text": shown(block.text)}
            case VerdictBlock():
                verdict = {"word": shown(block.word), "reason": shown(block.reason)}
                return {"kind": "verdict", "tone": block.tone.value, **verdict}
            case Facts():
                return {"kind": "facts", **self.facts(block)}
            case Table():
                return {"kind": "table", **_table(block)}
            case Code():
                code = shown(block.text.expandtabs(4))
                return {"kind": "code", "text": code, "whole": _height(code) <= _TALLEST_WHOLE}
            case Curves():
                return {"kind": "diagram", **self._curves(block, _WIDE)}

    def facts(self, facts: Facts) -> dict[str, Any]:
        rows = [(shown(label), shown(value)) for label, value in facts.rows]
        needed = PADDING + _FACTS_SIZE * BOLD * max((ems(label) for label, _ in rows), default=0.0)
        label = min(max(needed, _LABEL_LEAST * ROOM), _LABEL_MOST * ROOM)
        measured = Columns(_FACTS_SIZE, (label, ROOM - label))
        return {
            "rows": [{"cells": cells, "whole": measured.height(cells) <= _TALLEST_WHOLE} for cells in rows],
            "whole": sum(map(measured.height, rows)) <= _TALLEST_WHOLE,
            "size": measured.size,
            "widths": measured.widths,
        }

    def _curves(self, curves: Curves, size: tuple[float, float]) -> dict[str, Any]:
        name = f"diagram-{len(self.diagrams) + 1}.svg"
        series = [_thinned(one, self._most_points) for one in curves.series]
        self.diagrams[name] = draw_diagram(
            curves.unit, series, language=self._language, size=size, logarithmic=curves.logarithmic,
            attempts=curves.attempts, phases=curves.phases,
        )  # fmt: skip
        thinned = any(len(one.steps) < len(whole.steps) for one, whole in zip(series, curves.series, strict=True))
        notes = [curves.note, self.words["thinned"] if thinned else ""]
        return {
            "file": name,
            "width": size[0],
            "title": shown(curves.title),
            "note": shown(" ".join(note for note in notes if note)),
            "alternative": printable(curves.alternative or curves.title) or name,
        }


def _table(table: Table) -> dict[str, Any]:
    head = [shown(cell) for cell in table.head]
    rows = [[shown(cell) for cell in row] for row in table.rows]
    measured = columns(head, rows, table.numeric)
    tones = [tone.value if tone is not Tone.NEUTRAL else "" for tone in table.tones] or [""] * len(rows)
    return {
        "caption": shown(table.caption),
        "head": [measured.fit(cell) for cell in head],
        "rows": [
            {
                "cells": [measured.fit(cell) for cell in row],
                "tone": tone,
                "whole": measured.height(row) <= _TALLEST_WHOLE,
            }
            for row, tone in zip(rows, tones, strict=True)
        ],
        "whole": _height(shown(table.caption)) + sum(map(measured.height, rows)) <= _TALLEST_WHOLE,
        "repeat": measured.height(head) <= _TALLEST_WHOLE,
        "right": [place in table.numeric for place in range(len(head))],
        "size": measured.size,
        "widths": measured.widths,
    }


def _height(text: str) -> float:
    """About how tall a text is across the page, in points."""
    return Columns(8.5, (ROOM,)).height([text])


def _thinned(series: Series, most: int | None) -> Series:
    """The series with at most about so many points, extremes among them; gaps are kept, a band is not thinned."""
    if most is None or len(series.steps) <= most or series.band:
        return series
    value = np.array([np.nan if each is None else each for each in series.values], np.float64)
    step = np.array(series.steps, np.int64)
    broken = np.flatnonzero(np.isnan(value))
    chosen = min_max(step, value, max(1, most // (4 if len(broken) else 2) - 1))
    in_gaps = broken[np.unique(np.searchsorted(chosen, broken), return_index=True)[1]]
    kept = np.union1d(chosen, in_gaps).tolist()
    return Series(
        series.name, tuple(series.steps[place] for place in kept), tuple(series.values[place] for place in kept),
        series.recorded, (), series.non_finite_steps, series.markers,
    )  # fmt: skip
