"""Packing a PDF moves its objects and changes none; what is of another form is left alone."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pikepdf
import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st

from kiseki.report.document import Cover, Document, Section, Table
from kiseki.report.pdf.packing import pack_objects
from kiseki.report.to_pdf import to_pdf

TAGGED = b"""
#set document(title: "t")
#set text(lang: "en")
= Heading
#table(columns: 4, ..range(400).map(n => [#n]))
#link("https://example.com")[elsewhere]
#pdf.attach("a.json", bytes("{}"), relationship: "data", mime-type: "application/json", description: "d")
"""


def opened(pdf: bytes) -> pikepdf.Pdf:
    return pikepdf.open(BytesIO(pdf))


def written_by_typst() -> bytes:
    return bytes(typst.compile({"main.typ": TAGGED}, format="pdf", pdf_standards=["a-3b", "ua-1"]))


def written(contents: list[bytes]) -> bytes:
    """A file in the form typst writes, its first object the catalog."""
    file, places = bytearray(b"%PDF-1.7\n%\x80\x80\x80\x80\n\n"), []
    for number, content in enumerate(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>", *contents], 1
    ):
        places.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n\n" % (number, content)
    table, size = len(file), len(places) + 1
    file += b"xref\n0 %d\n0000000000 65535 f\r\n" % size + b"".join(b"%010d 00000 n\r\n" % place for place in places)
    return bytes(file) + b"trailer\n<</Size %d/Root 1 0 R/ID[(a>>)(b)]>>\nstartxref\n%d\n%%%%EOF" % (size, table)


def stream(content: bytes) -> bytes:
    return b"<</Kind/Any/Length %d>>\nstream\n%b\nendstream" % (len(content), content)


def spelled(content: Any) -> Any:
    return content.unparse() if isinstance(content, pikepdf.Object) else content


def same(one: pikepdf.Pdf, other: pikepdf.Pdf, count: int) -> None:
    for number in range(1, count + 1):
        before, after = (pdf.get_object((number, 0)) for pdf in (one, other))
        assert spelled(after) == spelled(before)
        if isinstance(before, pikepdf.Stream):
            assert after.read_raw_bytes() == before.read_raw_bytes()


def test_every_object_stands_under_its_number_and_the_trailer_says_what_it_said() -> None:
    whole = written_by_typst()
    packed = pack_objects(whole)
    before, after = opened(whole), opened(packed)
    same(before, after, int(before.trailer.Size) - 1)
    for key in ("/Root", "/Info"):
        assert after.trailer[key].objgen == before.trailer[key].objgen
    assert [bytes(part) for part in after.trailer.ID] == [bytes(part) for part in before.trailer.ID]
    assert after.check_pdf_syntax() == []
    assert len(packed) < len(whole) / 2


def test_the_cross_references_say_where_each_object_stands() -> None:
    packed = pack_objects(written([b"(%d)" % number for number in range(500)] + [stream(b"s")]))
    pdf = opened(packed)
    table = pdf.get_object((int(pdf.trailer.Size) - 1, 0))
    rows = table.read_bytes()
    entries = [rows[start : start + 6] for start in range(0, len(rows), 6)]
    assert len(entries) == pdf.trailer.Size
    for number, entry in enumerate(entries[1:], 1):
        kind, where, index = entry[0], int.from_bytes(entry[1:5], "big"), entry[5]
        if kind == 1:
            assert packed[where:].startswith(b"%d 0 obj\n" % number)
        else:
            assert pdf.get_object((where, 0)).read_bytes().split()[2 * index] == b"%d" % number
    assert {entry[0] for entry in entries[1:]} == {1, 2}


def test_packing_twice_changes_nothing_more() -> None:
    packed = pack_objects(written_by_typst())
    assert pack_objects(packed) == packed


@pytest.mark.parametrize(
    "damage",
    [
        lambda pdf: b"",
        lambda pdf: pdf[:-200],
        lambda pdf: pdf.replace(b"0000000000 65535 f", b"0000000003 65535 f"),
        lambda pdf: pdf.replace(b"00000 n", b"00001 n", 1),
        lambda pdf: pdf.replace(b"1 0 obj", b"1 0 OBJ", 1),
        lambda pdf: pdf.replace(b"endobj", b"ENDOBJ", 1),
    ],
    ids=["empty", "cut", "free objects", "another generation", "no object there", "no end of it"],
)
def test_a_file_of_another_form_is_left_as_it_is(damage: Callable[[bytes], bytes]) -> None:
    pdf = damage(written_by_typst())
    assert pack_objects(pdf) == pdf


# What ends an object, a stream or a file, where it does not
ENDS = st.sampled_from(
    [b"endobj", b"\nendobj\n", b"endstream\nendobj", b"xref\n0 1\n", b"trailer<<>>startxref\n0\n%%EOF"]
)
CONTENT = st.lists(st.binary(max_size=40) | ENDS, max_size=4).map(b"".join)
OBJECTS = st.one_of(
    CONTENT.map(stream),
    CONTENT.map(lambda content: b"<%b>" % content.hex().encode()),
    st.integers(-(10**9), 10**9).map(lambda number: b"%d" % number),
    st.lists(st.integers(1, 2), max_size=5).map(lambda to: b"[%b]" % b" ".join(b"%d 0 R" % number for number in to)),
    ENDS.map(lambda end: b"<</A(%b)/B/endobj>>" % end),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(OBJECTS, max_size=30), st.integers(0, 500))
def test_whatever_the_objects_hold_comes_back(contents: list[bytes], more: int) -> None:
    contents += [b"(%d)" % number for number in range(more)]  # more than one stream holds
    whole = written(contents)
    packed = pack_objects(whole)
    assert packed != whole
    same(opened(whole), opened(packed), len(contents) + 2)


def test_a_cell_of_a_table_costs_few_bytes() -> None:
    def size(rows: int) -> int:
        table = Table(("metric", "value", "step", "n"), (("loss", "0.5", "10", "1"),) * rows)
        section = Section("metrics", "Metrics", (table,))
        return len(to_pdf(Document("en", Cover("Report", "Model", ()), (section,), (), "2026-11-23T06:07:08Z")))

    assert (size(1000) - size(500)) / (500 * 4) < 40


def test_a_line_of_the_contents_costs_few_bytes() -> None:
    def size(count: int) -> int:
        sections = tuple(Section(str(number), "Section", ()) for number in range(count))
        return len(to_pdf(Document("en", Cover("Report", "Model", ()), sections, (), "2026-11-23T06:07:08Z")))

    assert (size(45) - size(25)) / 20 < 400
