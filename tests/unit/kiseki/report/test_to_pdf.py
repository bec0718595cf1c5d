"""The PDF keeps what the document says, in a file that archives and screen readers accept, whatever it is named."""

import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.ft2font import FT2Font

from kiseki.curves.style import FONT_PATH, covered
from kiseki.report.document import (
    Block,
    Bullets,
    Code,
    Cover,
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
from kiseki.report.dossier import gather
from kiseki.report.pdf.columns import PADDING, ROOM, columns
from kiseki.report.pdf.layout import lay_out
from kiseki.report.pdf.text import BREAK, breakable, ems, shown
from kiseki.report.sections import build_document
from kiseki.report.to_json import to_json
from kiseki.report.to_pdf import PdfNotMade, to_pdf

DIGEST = "3f9a0c1b7d2e4f56" * 4
MARGIN = 20 / 25.4 * 72
A4 = (595.28, 841.89)


def curves(name: str = "loss", points: int = 50, **more: Any) -> Curves:
    steps = tuple(range(1, points + 1))
    # every value differs, as real ones do
    series = Series(name, steps, tuple(1 + 3 / step + (step * 7919 % 101) / 500 for step in steps), points)
    return Curves(f"{name} の推移", "nats / token", (series,), f"{name} falls", **more)


def document(*blocks: Block, language: str = "ja", title: str = "モデルの学習", **cover: Any) -> Document:
    return Document(
        language=language,
        cover=Cover("PoC報告書", title, (("作成者", "記載なし"),), **cover),
        sections=(Section("summary", "概要と総合判定", blocks),),
        appendices=(),
        generated_at="2026-11-23T06:07:08.123456Z",
    )


def every_block(text: str) -> tuple[Block, ...]:
    """Every kind of block, with the same text in each of its places."""
    return (
        Paragraph(text),
        Bullets((text, text)),
        *(Notice(tone, text) for tone in Tone),
        *(VerdictBlock(tone, text, text) for tone in Tone),
        Facts(((text, text),)),
        Table((text, text, "n"), ((text, text, "1.5"),) * 2, frozenset({2}), text, (Tone.GOOD, Tone.BAD)),
        Code(text),
        curves(text, note=text),
        *(curves(text) for _ in range(4)),
    )


def full(text: str = "学習", language: str = "ja") -> Document:
    section = Section("all", text, every_block(text), (Section("inner", text, every_block(text)),))
    return Document(
        language=language,
        cover=Cover("PoC報告書", text, ((text, text),), text, Notice(Tone.CAUTION, text)),
        sections=(Section("summary", "概要と総合判定", (Paragraph("結論"),)), section),
        appendices=(Section("settings", "全設定値", (Paragraph(text),), (Section("more", "詳細", ()),)),),
        generated_at="2026-11-23T06:07:08Z",
    )


def opened(pdf: bytes) -> pikepdf.Pdf:
    return pikepdf.open(BytesIO(pdf))


def poppler(pdf: bytes, *options: str) -> str:
    """What pdftotext reads; without it the test cannot tell, which only a developer's machine may leave so."""
    if shutil.which("pdftotext") is None:
        if os.environ.get("CI"):
            pytest.fail("pdftotext (poppler-utils) is not installed")
        pytest.skip("pdftotext (poppler-utils) is not installed")
    told = subprocess.run(["pdftotext", *options, "-", "-"], input=pdf, capture_output=True, check=True)
    return told.stdout.decode("utf-8")


def text_of(pdf: bytes) -> str:
    """All text without white space, which line breaks and justification change."""
    return re.sub(r"\s", "", poppler(pdf))


def structure(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Dictionary]:
    for item in pdf.objects:
        if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/StructElem":
            yield item


def bookmarks(pdf: pikepdf.Pdf) -> list[str]:
    def walk(items: Any) -> Iterator[str]:
        for item in items:
            yield item.title
            yield from walk(item.children)

    with pdf.open_outline() as outline:
        return list(walk(outline.root))


@pytest.mark.parametrize("language", ["ja", "en"])
def test_archives_and_screen_readers_find_what_their_standards_ask_for(language: str) -> None:
    pdf = opened(to_pdf(full(language=language), b"{}"))
    with pdf.open_metadata() as metadata:
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "B")
        assert metadata["pdfuaid:part"] == "1"
        assert metadata["xmp:CreateDate"].startswith("2026-11-23T06:07:08")
    assert str(pdf.Root.Lang).startswith(language)
    assert bool(pdf.Root.MarkInfo.Marked)
    roles = {str(element.S) for element in structure(pdf)}
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/L", "/LI", "/Figure", "/TOC", "/Code", "/Caption"} <= roles
    assert all("〓" not in name and name for name in bookmarks(pdf))
    assert pdf.check_pdf_syntax() == []
    sizes = {tuple(round(float(side), 2) for side in page.MediaBox)[2:] for page in pdf.pages}
    assert sizes == {A4}


def test_fonts_are_embedded_and_curves_are_no_pictures_of_dots() -> None:
    pdf = opened(to_pdf(full("学習 loss")))
    fonts = {
        str(item.FontName).partition("+")[2]: item
        for item in pdf.objects
        if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/FontDescriptor"
    }
    assert set(fonts) == {"NotoSansJP-Regular", "NotoSansJP-Bold", "DejaVuSansMono"}
    assert all("/FontFile2" in font for font in fonts.values())
    assert not [item for item in pdf.objects if isinstance(item, pikepdf.Stream) and item.get("/Subtype") == "/Image"]


def test_every_figure_has_its_alternative() -> None:
    pdf = opened(to_pdf(document(curves("loss"), curves("accuracy"))))
    alternatives = {str(element.Alt) for element in structure(pdf) if element.S == "/Figure"}
    assert alternatives == {"loss falls", "accuracy falls"}


def test_bookmarks_and_contents_name_every_section_with_its_number() -> None:
    pdf = to_pdf(full("本文"))
    assert bookmarks(opened(pdf)) == ["1 概要と総合判定", "2 本文", "2.1 本文", "付録A 全設定値", "A.1 詳細"]
    contents = poppler(pdf, "-f", "2", "-l", "2")
    assert re.search(r"付録\s*A\s+全設定値", contents)
    assert "目次" in contents


@pytest.mark.parametrize("content", [b"", b'{"a": 1.5}\r\n', '\ufeff{"損失": "\\u0000 髙 😀 \x7f"}'.encode() * 4000])
def test_the_attachment_comes_out_byte_for_byte(content: bytes) -> None:
    pdf = opened(to_pdf(document(Paragraph("本文")), content, "poc_report_20261123.json"))
    assert list(pdf.attachments) == ["poc_report_20261123.json"]
    attached = pdf.attachments["poc_report_20261123.json"]
    assert attached.get_file().read_bytes() == content
    assert attached.obj.AFRelationship == "/Data"
    assert attached.get_file().mime_type == "application/json"


def test_the_digest_of_the_attachment_is_printed() -> None:
    pdf = to_pdf(document(Paragraph("本文")), b"{}", "report.json")
    assert hashlib.sha256(b"{}").hexdigest() in text_of(pdf)


def test_without_an_attachment_there_is_none() -> None:
    pdf = opened(to_pdf(document(Paragraph("本文"))))
    assert list(pdf.attachments) == []


WORDS = "学習曲線・評価損失・勾配ノルム（パープレキシティ）は「測定済み」です。①㈱髙﨑～∞±×—"


@pytest.mark.parametrize("language", ["ja", "en"])
def test_text_can_be_searched_and_copied(language: str) -> None:
    text = text_of(to_pdf(full(WORDS, language)))
    # cover title and fact, header apart, and each block of both sections
    assert text.count(WORDS) > 2 * 15
    assert DIGEST in text_of(to_pdf(document(Facts((("SHA-256", DIGEST),)), Code(f"echo {DIGEST}"))))


HOSTILE = (
    '#import "evil.typ" $x$ *bold* _it_ `raw` <label> @ref // no /* comment */ \\u{41} = heading - list + enum ~ -- ...'
)


def test_hostile_text_is_literal_in_every_place() -> None:
    text = text_of(to_pdf(full(HOSTILE)))
    assert text.count(re.sub(r"\s", "", HOSTILE)) > 2 * 15


def test_text_that_no_font_shows_is_marked_and_explained_instead_of_lost() -> None:
    strange = "A\ud800B\x00C\u202eD\u05d0E😀F𠮷G"
    text = text_of(to_pdf(document(Paragraph(strange), Code(strange))))
    assert text.count("A〓BCD〓E〓F〓G") == 2
    assert "元の文字は報告書のJSONに記録されています" in text
    assert "〓" not in text_of(to_pdf(document(Paragraph("髙橋と﨑"))))


LONG = {
    "digest": DIGEST * 2,
    "path": "/home/user/" + "a_rather_long_folder-name/" * 9 + "model.safetensors",
    "kanji": "勾配ノルムの移動平均" * 12,
    "kana": "パープレキシティー" * 14,
    "word": "w" * 150,
    "capitals": "W" * 150,
    "wide words": " ".join(["MMMMMMMMMM"] * 30),
}


def outside_the_margins(pdf: bytes) -> list[str]:
    """Words that stand where no text may: beside the text, or below the footer. Punctuation may hang by half an em."""
    found = re.findall(r'xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)">(.*?)</word>', poppler(pdf, "-bbox"))
    assert len(found) > 20
    return [
        html.unescape(word)
        for left, top, right, bottom, word in found
        if float(left) < MARGIN - 1
        or float(right) > A4[0] - MARGIN + (6 if word[-1] in "。、」）.,-" else 1)
        or float(top) < 25
        or float(bottom) > A4[1] - 25
    ]


@pytest.mark.parametrize("name", LONG)
def test_nothing_runs_over_the_margins(name: str) -> None:
    text = LONG[name]
    wide = Table(
        tuple(f"{text[:40]}{number}" for number in range(9)), ((text,) * 9, ("1,234.5",) * 9), frozenset({1, 2})
    )
    report = replace(full(text), sections=(Section("s", text, (*every_block(text), wide)),))
    assert outside_the_margins(to_pdf(report, b"{}", f"{text[:60]}.json")) == []


LONG_TEXT = "".join(f"第{number}項。" for number in range(900))
LINES = "\n".join(f"第{number}行" for number in range(100))
LONGER_THAN_A_PAGE: dict[str, tuple[Block, str]] = {
    "paragraph": (Paragraph(LONG_TEXT * 2), "第899項。"),
    "notice": (Notice(Tone.BAD, LONG_TEXT * 2), "第899項。"),
    "verdict": (VerdictBlock(Tone.BAD, LONG_TEXT, LONG_TEXT), "第899項。"),
    "facts": (Facts(((LONG_TEXT, LINES),)), "第899項。"),
    "cells": (Table(("甲", "乙", "丙"), ((LONG_TEXT, LINES, "1"),)), "第99行"),
    "rows": (Table(("甲", "乙", "丙", "丁"), ((LONG_TEXT[:500],) * 4,) * 12), LONG_TEXT[490:499]),
    "table caption": (Table(("甲",), (("乙",),), caption=LONG_TEXT), "第899項。"),
    "code": (Code(LONG_TEXT * 2), "第899項。"),
    "code lines": (Code(LINES), "第99行"),
    "figure note": (curves("損失", note=LONG_TEXT), "第899項。"),
}


@pytest.mark.parametrize("kind", LONGER_THAN_A_PAGE)
def test_what_is_longer_than_a_page_goes_on_on_the_next(kind: str) -> None:
    block, last = LONGER_THAN_A_PAGE[kind]
    pdf = to_pdf(document(Paragraph("前文。"), block, Paragraph("後文。")))
    assert outside_the_margins(pdf) == []
    text = text_of(pdf)
    assert last in text
    assert text.index(last) < text.index("後文。")


def test_a_long_table_repeats_its_head_and_keeps_every_row() -> None:
    rows = tuple((f"setting_{number}", f"value-{number}") for number in range(150))
    pages = poppler(to_pdf(document(Table(("設定項目", "設定値"), rows, caption="全設定"))), "-layout").split("\f")
    holding = [page for page in pages if "setting_" in page]
    assert len(holding) >= 3
    assert all("設定項目" in page and "設定値" in page for page in holding)
    assert [f"setting_{number}" for number in range(150)] == re.findall(r"setting_\d+", "".join(holding))


def test_every_page_but_the_cover_has_header_and_footer() -> None:
    pages = poppler(
        to_pdf(document(*(Paragraph("本文。" * 400) for _ in range(6)), confidentiality="関係者限り"))
    ).split("\f")
    pages = [re.sub(r"\s", "", page) for page in pages if page.strip()]
    for number, page in enumerate(pages[1:], start=2):
        assert "PoC報告書—モデルの学習" in page
        assert "関係者限り" in page
        assert "2026-11-2306:07:08UTC" in page
        assert f"{number}/{len(pages)}" in page
    assert "関係者限り" in pages[0]
    assert f"1/{len(pages)}" not in pages[0]


def test_tones_have_a_word_and_not_only_a_colour() -> None:
    text = text_of(to_pdf(document(*(Notice(tone, f"これは{tone.value}") for tone in Tone))))
    for word, tone in (("良好", "good"), ("注意", "caution"), ("重要", "bad"), ("補足", "neutral")):
        assert f"{word}これは{tone}" in text


def test_the_documents_own_words_come_first() -> None:
    text = text_of(to_pdf(replace(document(curves()), words={"figure": "挿図", "unused": "使わない"})))
    assert "挿図1lossの推移" in text
    assert "使わない" not in text


PROGRAM = """
import sys
from kiseki.report.document import *
from kiseki.report.to_pdf import to_pdf
series = Series("loss", (1, 2, 3), (3.0, None, 2.0), 3, non_finite_steps=(2,))
curves = Curves("損失", "nat", (series,), "falls", phases=((1, 2, "a"), (3, 3, "b")))
section = Section("s", "結果", (curves, Table(("項目", "値"), (("a", "1"),))))
document = Document("ja", Cover("PoC報告書", "学習", (("版", "1"),)), (section,), (), "2026-11-23T06:07:08Z")
pdf = to_pdf(document, b'{"a": 1}', "report.json")
"""


def test_the_same_document_gives_the_same_bytes_in_every_process_and_leaves_nothing_behind(tmp_path: Path) -> None:
    elsewhere = {"PYTHONHASHSEED": "7", "TZ": "America/New_York", "TMPDIR": str(tmp_path), "SOURCE_DATE_EPOCH": "1"}
    there = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}sys.stdout.buffer.write(pdf)"],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, **elsewhere},
        check=True,
    ).stdout
    assert list(tmp_path.iterdir()) == []
    here: dict[str, Any] = {}
    exec(PROGRAM, here)
    assert there == here["pdf"]
    assert len(opened(there).pages) == 3


def test_another_date_is_another_document() -> None:
    one = document(Paragraph("本文"))
    assert to_pdf(one) != to_pdf(replace(one, generated_at="2026-11-23T06:07:09Z"))


def test_forty_curves_of_two_thousand_points_stay_under_two_megabytes() -> None:
    pdf = to_pdf(document(*(curves(f"metric_{number}", 2000) for number in range(40))), b'{"a": 1}' * 1000)
    assert len(pdf) <= 2_000_000
    assert "紙面の都合" not in text_of(pdf)


def test_more_points_than_a_page_needs_are_thinned_and_that_is_said() -> None:
    pdf = to_pdf(document(*(curves(f"metric_{number}", 2000) for number in range(60))))
    assert len(pdf) <= 2_000_000
    assert text_of(pdf).count("紙面の都合により、図の点をさらに間引いています（極値は保持）。") == 60


def test_a_warning_of_typst_is_an_error_that_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("kiseki.report.to_pdf.FONT_PATH", tmp_path / "no.ttf")
    with pytest.raises(PdfNotMade, match="unknown font family: noto sans jp"):
        to_pdf(document(Paragraph("本文")))


def test_an_attachment_that_is_no_text_is_refused() -> None:
    with pytest.raises(PdfNotMade, match="UTF-8"):
        to_pdf(document(Paragraph("本文")), b"\xff\xfe")


def test_both_weights_have_the_same_characters() -> None:
    bold = FT2Font(str(FONT_PATH.with_name("NotoSansJP-Bold.subset.ttf")))
    assert frozenset(bold.get_charmap()) == covered()


@settings(max_examples=8, deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_set_in_every_place(text: str) -> None:
    assert to_pdf(full(text)).startswith(b"%PDF-1.7")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_breaks_change_no_text(text: str) -> None:
    line = shown(text).replace(BREAK, "").split("\n")[0]
    assert breakable(line).replace(BREAK, "") == line


CELLS = st.text(alphabet="ab WM0129.,_/-国語。\n", max_size=40)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.lists(CELLS, min_size=n, max_size=n),
       st.lists(st.lists(CELLS, min_size=n, max_size=n), max_size=4), st.sets(st.integers(0, n - 1)))))  # fmt: skip
def test_columns_fit_the_page_and_numbers_fit_their_column(table: tuple[list[str], list[list[str]], set[int]]) -> None:
    head, rows, numeric = (
        [shown(cell) for cell in table[0]],
        [[shown(cell) for cell in row] for row in table[1]],
        table[2],
    )
    measured = columns(head, rows, frozenset(numeric))
    assert len(measured.widths) == len(head)
    assert sum(measured.widths) <= ROOM + 0.01
    if not measured.crowded:
        for row in rows:
            for place in numeric:
                assert ems(row[place]) * measured.size + PADDING <= measured.widths[place] + 0.01


def statistics_of(rows: int) -> Table:
    numbers = (*["536,715,264"] * 5, "1,200", "120", "0")
    return Table(
        head=("Metric", "Unit", "Min", "Max", "Mean", "Std", "Last", "Last step", "n", "Not finite"),
        rows=tuple((f"so8t/layer_{100 + number}/orthogonality_error", "none", *numbers) for number in range(rows)),
        numeric=frozenset(range(2, 10)),
        caption="Training rows",
    )


def test_the_type_of_a_long_table_is_smaller_where_that_saves_pages() -> None:
    def set_as(table: Table) -> tuple[float, set[int]]:
        rows = [[shown(cell) for cell in row] for row in table.rows]
        measured = columns([shown(cell) for cell in table.head], rows, table.numeric)
        return measured.size, set(map(measured.lines, rows))

    (long_size, long_lines), (short_size, short_lines) = set_as(statistics_of(100)), set_as(statistics_of(3))
    assert (long_lines, short_lines) == ({2}, {3})
    assert 7.0 <= long_size < short_size


def test_the_first_of_an_odd_number_of_diagrams_stands_alone_so_that_no_cell_is_empty() -> None:
    (section,) = lay_out(document(*(curves(f"metric {number}") for number in range(7))), None, "").data["sections"]
    first, others = section["blocks"]
    assert (first["kind"], len(others["diagrams"])) == ("diagram", 6)
    assert first["width"] > others["diagrams"][0]["width"]


def test_appendices_begin_where_the_report_ends_and_not_on_a_page_of_their_own() -> None:
    short = replace(document(Paragraph("結論")), appendices=(Section("settings", "全設定値", (Paragraph("値"),)),))
    assert len(opened(to_pdf(short)).pages) == 3  # cover, contents, report


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_report_of_a_run_becomes_a_pdf(run: Any, language: str) -> None:
    run.opened()
    for step in range(1, 31):
        run.row(step, loss="NaN" if step == 7 else 2.0 / step, accuracy=step / 40)
    dossier = gather(run.closed().folder, now=datetime(2026, 11, 23, 6, 7, 8, tzinfo=UTC))
    attachment = to_json(dossier, history_rows=0)
    report = build_document(dossier, language)
    pdf = to_pdf(report, attachment, "poc_report.json")
    assert len(pdf) <= 2_000_000
    file = opened(pdf)  # what it holds is gone with it
    assert file.attachments["poc_report.json"].get_file().read_bytes() == attachment
    text = text_of(pdf)
    for section in report.walk():
        assert re.sub(r"\s", "", section.title) in text
