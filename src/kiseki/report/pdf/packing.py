"""The same PDF in a quarter of the bytes: what typst leaves as plain text goes into compressed streams.

A tagged document is mostly structure, an object of some 250 bytes for each cell of each table, and typst compresses
pages, fonts and attachments, but not those. Object streams and cross-reference streams (ISO 32000-1, 7.5.7 and 7.5.8)
are what the format has for them, and PDF/A-3 and PDF/UA-1 allow both. No object changes, only where it stands.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_END = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*\Z")
_TABLE = re.compile(
    rb"xref\s+0 \d+\s+0000000000 65535 f\s\s(?P<places>(?:\d{10} 00000 n\s\s)+)"
    rb"trailer\s*<<(?P<entries>.*)>>\s*startxref",
    re.DOTALL,
)
_PLACE = re.compile(rb"(\d{10}) 00000 n")
_SIZE = re.compile(rb"/Size \d+")
_TOGETHER = 200
"""So many objects share a stream, at most 256: a reader that wants one unpacks all of them."""

_FREE, _IN_FILE, _IN_STREAM = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Objects:
    """A file taken apart: what comes before its first object, its objects by number, and the trailer's entries."""

    header: bytes
    plain: dict[int, bytes]
    streams: dict[int, bytes]
    trailer: bytes


def pack_objects(pdf: bytes) -> bytes:
    """Move every object that is no stream into object streams, and the cross-reference table into a stream.

    Args:
        pdf: a file as typst writes it: one cross-reference table, every object of generation 0.

    Returns:
        A file with the same objects under the same numbers; the file itself where it is of another form.
    """
    objects = _taken_apart(pdf)
    return pdf if objects is None else _put_together(objects)


def _taken_apart(pdf: bytes) -> _Objects | None:
    end = _END.search(pdf, max(0, len(pdf) - 64))
    table = end and _TABLE.match(pdf, int(end[1]))
    if not end or not table:
        return None
    starts = sorted((int(place), number) for number, place in enumerate(_PLACE.findall(table["places"]), 1))
    stops = [*(start for start, _ in starts[1:]), int(end[1])]
    plain: dict[int, bytes] = {}
    streams: dict[int, bytes] = {}
    for (start, number), stop in zip(starts, stops, strict=True):
        opening, content = b"%d 0 obj" % number, pdf[start:stop].rstrip()
        if not content.startswith(opening) or not content.endswith(b"endobj"):
            return None
        content = content[len(opening) : -len(b"endobj")].strip()
        (streams if content.endswith(b"endstream") else plain)[number] = content
    return _Objects(pdf[: starts[0][0]], plain, streams, _SIZE.sub(b"", table["entries"], count=1))


def _put_together(objects: _Objects) -> bytes:
    file = bytearray(objects.header)
    first_new = 1 + len(objects.plain) + len(objects.streams)
    numbers = list(objects.plain)
    groups = [numbers[start : start + _TOGETHER] for start in range(0, len(numbers), _TOGETHER)]
    places: dict[int, tuple[int, int, int]] = {0: (_FREE, 0, 255)}
    for number, content in objects.streams.items():
        places[number] = (_IN_FILE, len(file), 0)
        file += _object(number, content)
    for holder, group in enumerate(groups, first_new):
        places |= {number: (_IN_STREAM, holder, index) for index, number in enumerate(group)}
        places[holder] = (_IN_FILE, len(file), 0)
        file += _object(holder, _object_stream(group, [objects.plain[number] for number in group]))
    table = first_new + len(groups)
    start = len(file)
    places[table] = (_IN_FILE, start, 0)
    file += _object(table, _cross_references([places[number] for number in range(table + 1)], objects.trailer))
    return bytes(file) + b"startxref\n%d\n%%%%EOF\n" % start


def _object(number: int, content: bytes) -> bytes:
    return b"%d 0 obj\n%b\nendobj\n" % (number, content)


def _object_stream(numbers: Sequence[int], contents: Sequence[bytes]) -> bytes:
    places, offset = [], 0
    for number, content in zip(numbers, contents, strict=True):
        places.append(b"%d %d" % (number, offset))
        offset += len(content) + 1
    head = b" ".join(places) + b"\n"
    return _stream(b"/Type/ObjStm/N %d/First %d" % (len(numbers), len(head)), head + b"\n".join(contents))


def _cross_references(places: Sequence[tuple[int, int, int]], trailer: bytes) -> bytes:
    """The table as bytes in rows, each as its difference from the row above, which compresses to almost nothing."""
    kind, where, index = (np.array(column) for column in zip(*places, strict=True))
    columns = [kind, *(where >> shift for shift in (24, 16, 8, 0)), index]
    rows = np.stack(columns, axis=1).astype(np.uint8)
    rows[1:] -= rows[:-1]
    up = np.full((len(rows), 1), 2, np.uint8)
    entries = b"/Type/XRef/Size %d/W[1 4 1]%b/DecodeParms<</Predictor 12/Columns 6>>" % (len(rows), trailer.strip())
    return _stream(entries, np.hstack((up, rows)).tobytes())


def _stream(entries: bytes, content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    return b"<<%b/Filter/FlateDecode/Length %d>>\nstream\n%b\nendstream" % (entries, len(packed), packed)
