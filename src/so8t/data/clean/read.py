"""The first block: reads a task's part of the input. Whatever cannot be read is counted and passed over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from so8t.data.clean.block import STEP_DROPPED, STEP_IN, STEP_OUT
from so8t.data.clean.decode import decode
from so8t.data.clean.plan import Part, read_plan

LARGEST_BYTES = 16 << 20
"""Longest line and largest page that is read; more is no page anybody wrote."""

_HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})


class Row(msgspec.Struct):
    """A line of input: text, HTML or the name of the file that holds it; and what is known of its source."""

    text: str | None = None
    html: str | None = None
    file: str | None = None
    content_type: str | None = None
    url: str | None = None
    title: str | None = None
    source_id: str | None = None
    tier: int | str | None = None
    licence: str | None = None
    license: str | None = None
    retrieved_at: str | None = None
    sha256: str | None = None


class _Unreadable(Exception):
    """Holds the reason, never any of the content."""


class Read(PipelineStep):  # type: ignore[misc]
    """Reads documents.

    Args:
        plan: file of the plan.
        folder: the input folder.
    """

    type = "clean"
    name = "read"

    def __init__(self, plan: Path, folder: Path) -> None:
        super().__init__()
        self._plan = plan
        self._folder = folder

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Read what the plan gives this task.

        Yields:
            Documents with the text or the HTML, `metadata["html"]` saying which.
        """
        for number, row in enumerate(self._rows(read_plan(self._plan).tasks[rank])):
            self.stat_update(STEP_IN)
            try:
                if isinstance(row, _Unreadable):
                    raise row
                document = self._document(row, f"{rank}-{number}")
            except _Unreadable as reason:
                self.stat_update(f"{STEP_DROPPED}{reason}")
            else:
                self.stat_update(STEP_OUT)
                yield document

    def _rows(self, parts: Iterable[Part]) -> Iterator[Row | _Unreadable]:
        for part in parts:
            if part.end is None:
                yield Row(file=part.path)
            else:
                yield from map(_row, lines(self._folder / part.path, part.start, part.end))

    def _document(self, row: Row, identity: str) -> Document:
        html = row.html is not None
        text = row.text if row.text is not None else row.html
        if text is None and row.file is not None:
            text = decode(self._content(row.file, row.sha256))
            html = row.content_type in _HTML_TYPES or Path(row.file).suffix.lower() in _HTML_SUFFIXES
        if not text:
            raise _Unreadable("empty")
        known: dict[str, Any] = {
            "html": html,
            "url": row.url,
            "title": row.title,
            "source_id": row.source_id,
            "tier": None if row.tier is None else str(row.tier),
            "licence": row.licence or row.license,
            "retrieved_at": row.retrieved_at,
            "sha256": row.sha256,
        }
        return Document(text=text, id=identity, metadata=known)

    def _content(self, name: str, sha256: str | None) -> bytes:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise _Unreadable("outside the input")
        try:
            if path.stat().st_size > LARGEST_BYTES:
                raise _Unreadable("too large")
            content = path.read_bytes()
        except OSError:
            raise _Unreadable("unreadable") from None
        # what comes out bears this digest, by which the ledger knows it
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise _Unreadable("changed since it was collected")
        return content


def lines(path: Path, start: int, end: int) -> Iterator[bytes | None]:
    """The lines that begin in a range of bytes.

    Yields:
        Each line; None for one that is too long.
    """
    with path.open("rb") as content:
        if start:
            content.seek(start - 1)
            _skip_line(content, b"")
        while content.tell() < end:
            line = content.readline(LARGEST_BYTES)
            if len(line) == LARGEST_BYTES and not line.endswith(b"\n"):
                _skip_line(content, line)
                yield None
            elif line.strip():
                yield line


def _skip_line(content: Any, line: bytes) -> None:
    while not line.endswith(b"\n"):
        line = content.readline(LARGEST_BYTES)
        if not line:
            return


def _row(line: bytes | None) -> Row | _Unreadable:
    if line is None:
        return _Unreadable("too large")
    try:
        return msgspec.json.decode(decode(line), type=Row)
    except (msgspec.DecodeError, RecursionError):
        # the message may hold a piece of the line, so it goes no further
        return _Unreadable("unreadable")
