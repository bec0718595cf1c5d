"""The report as one HTML file: its structure, what is escaped, what it weighs, that it is always the same."""

import json
import math
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from browser.documents import HOSTILE, curve, hostile_report, report
from kiseki.report.document import Cover, Curves, Document, Section, Series
from kiseki.report.html.packing import ALPHABET, PackedValues, pack_steps, pack_values
from kiseki.report.sections.wording import speaker
from kiseki.report.sections.words import words
from kiseki.report.to_html import SIGNS, to_html

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """What a parser finds: elements with their attributes, texts by element, whether the nesting is right."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, *tags: str) -> str:
        return "".join(text for tag, text in self.texts if tag in tags)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(to_html(report("ja")))


def charts(page: Page) -> Any:
    return json.JSONDecoder().raw_decode(page.text("script"))[0]["charts"]  # the first script is the data


def test_elements_are_nested_and_anchors_lead_somewhere_once(page: Page) -> None:
    assert page.open == []
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = [attributes["href"] for attributes in page.all("a")]
    assert len(targets) == 1 + 3 + 1 + 2  # the skip link, sections, a subsection, appendices
    assert {target[1:] for target in targets if target} <= set(identifiers)


def test_headings_descend_one_level_at_a_time_from_one_title(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels == [1, 2, 2, 2, 3, 2, 2]


def test_sections_are_numbered_and_appendices_lettered(page: Page) -> None:
    shown = re.sub(r"\s+", " ", page.text("span", "h2", "h3"))
    for heading in ("1 Summary", "3 Results", "3.1 Curves", "付録 A Settings", "付録 B Verify"):
        assert heading in shown
    assert "図 1" in shown
    assert "表 1" in shown
    assert "表 2" not in shown  # a table without a caption is not counted


def test_the_page_says_its_language_and_names_its_parts(page: Page) -> None:
    assert page.all("html") == [{"lang": "ja"}]
    assert "PoC Report — Training of a model" in page.text("title")
    assert len(page.all("main")) == len(page.all("nav")) == len(page.all("header")) == 1
    assert all("scope" in attributes for attributes in page.all("th"))


def test_a_tone_is_said_and_signed_beside_its_colour(page: Page) -> None:
    shown = page.text("span", "strong")
    for tone, sign in SIGNS.items():
        assert sign in shown
        assert words(speaker("ja"))[tone] in shown


def test_without_scripts_alternatives_and_numbers_of_figures_remain(page: Page) -> None:
    shown = page.text("p", "td", "th")
    assert "Loss falls from 4 to 1." in shown
    assert "スクリプトが動作していないため" in shown
    assert "1.05" in shown
    assert all("open" in attributes for attributes in page.all("details"))


def test_nothing_is_fetched_and_only_our_own_scripts_may_run(page: Page) -> None:
    assert not {tag for tag, _ in page.elements} & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert not [name for _, attributes in page.elements for name in attributes if name in ("src", "style", "action")]
    policy = page.all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    text = to_html(report("ja")).decode()
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert (len(scripts), len(styles)) == (8, 1)
    assert policy["content"] == (
        f"default-src 'none'; script-src {' '.join(map(source_hash, scripts))}; style-src {source_hash(styles[0])}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def source_hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_what_runs_on_the_running_header_is_escaped() -> None:
    cover = Cover("報告", 'a"}</style>\n\x00', (), confidentiality="社外秘")
    style = Page(to_html(replace(report(), cover=cover))).text("style")
    assert '@top-left{content:"\\5831 \\544a \\20 \\2014 \\20 a\\22 \\7d \\3c \\2f style\\3e \\a \\fffd "}' in style
    assert '@top-right{content:"\\793e \\5916 \\79d8 "}' in style


def test_hostile_texts_stay_texts() -> None:
    ours, theirs = Page(to_html(report())), Page(to_html(hostile_report()))
    assert theirs.open == []
    assert {tag for tag, _ in theirs.elements} <= {tag for tag, _ in ours.elements}
    names = {name for _, attributes in ours.elements for name in attributes}
    assert {name for _, attributes in theirs.elements for name in attributes} <= names
    assert len(theirs.all("script")) == len(ours.all("script"))
    shown = theirs.text("td")
    for text in HOSTILE:
        assert re.sub("[\x00-\x08\x0b\x0e-\x1f]", "\ufffd", text).encode("utf-8", "replace").decode() in shown
    assert [chart["series"][0]["name"] for chart in charts(theirs)] == [
        text.encode("utf-8", "replace").decode() for text in HOSTILE
    ]


def test_the_same_document_gives_the_same_bytes() -> None:
    assert to_html(report()) == to_html(report())
    assert b"\r" not in to_html(report())


def test_forty_metrics_of_a_million_steps_fit_six_hundred_kilobytes() -> None:
    steps = tuple(range(1, 1_000_001, 500))
    curves = tuple(
        Curves(
            f"metric {number}", "nat",
            (Series(
                f"metric {number}", steps,
                tuple(math.exp(-step / 3e5) * (10 + math.sin(step * step * (number + 1))) for step in steps), 1_000_000,
            ),),
            "falls",
        )
        for number in range(40)
    )  # fmt: skip
    assert len(to_html(report(curves=curves))) <= 600_000


def test_a_figure_without_values_says_so_and_is_not_drawn(page: Page) -> None:
    assert [attributes.get("data-chart") for attributes in page.all("figure")] == ["0", "1", None]
    assert words(speaker("ja"))["no_points"] in page.text("p")
    assert len(charts(page)) == 2


def test_a_band_and_steps_without_finite_value_reach_the_page() -> None:
    first, second = charts(Page(to_html(report())))
    assert unpacked_steps(first["series"][0]["nonFinite"]) == [200, 205]
    assert (first["attempts"], first["phases"][1]) == ([300], [200, 600, "stabilization"])
    assert unpacked_values(second["series"][0]["low"]) == [0.5] * 60
    assert unpacked_values(second["series"][0]["high"]) == [5.0] * 60


def test_a_document_without_anything_is_a_page() -> None:
    empty = Document("en", Cover("", "", ()), (Section("empty", ""),), (), "", words(speaker("en")))
    assert Page(to_html(empty)).open == []


def test_the_chart_library_is_the_one_that_its_note_says() -> None:
    folder = resources.files("kiseki.report.html") / "uplot"
    listed = re.findall(r"\| `([\w.]+)` \| `[\w./]+` \| `(\w{64})` \|", (folder / "README.md").read_text("utf-8"))
    assert {name for name, _ in listed} == {"uPlot.iife.min.js", "uPlot.min.css", "LICENSE"}
    for name, digest in listed:
        assert sha256((folder / name).read_bytes()).hexdigest() == digest


def test_no_script_of_ours_writes_markup() -> None:
    for name in ("packing.js", "numbers.js", "marking.js", "drawing.js", "charts.js", "tables.js", "page.js"):
        script = (resources.files("kiseki.report.html") / name).read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", script)


def unpacked_steps(text: str) -> list[int]:
    steps, last, difference, shift = [], 0, 0, 0
    for character in text:
        digit = ALPHABET.index(character)
        difference |= (digit & 31) << shift
        shift += 5
        if digit < 32:
            last += difference
            steps.append(last)
            difference = shift = 0
    return steps


def unpacked_values(packed: PackedValues) -> list[float | None]:
    digits, width, codes = packed["digits"], packed["width"], packed["codes"]
    first = 10 ** (digits - 1)
    values: list[float | None] = []
    for start in range(0, len(codes), width):
        code = 0
        for character in codes[start : start + width]:
            code = code * 64 + ALPHABET.index(character)
        sign_and_exponent, mantissa = divmod(code - 2, 9 * first)
        exponent = packed["lowest"] + sign_and_exponent // 2 - digits + 1
        number = float(f"{'-' if sign_and_exponent % 2 else ''}{mantissa + first}e{exponent}")
        values.append((None, 0.0)[code] if code < 2 else number)
    return values


@given(st.lists(st.integers(0, 2**63 - 1), max_size=50))
def test_steps_come_back_as_they_were_packed(steps: list[int]) -> None:
    assert unpacked_steps(pack_steps(sorted(steps))) == sorted(steps)


@given(st.lists(st.none() | st.floats(), max_size=30), st.integers(4, 6))
def test_values_come_back_rounded_once(values: list[float | None], digits: int) -> None:
    packed = pack_values(values, digits)
    assert packed["digits"] >= digits
    assert 64 ** packed["width"] < 2**60
    rounded = [
        None if value is None or not math.isfinite(value) else float(f"{value:.{packed['digits'] - 1}e}")
        for value in values
    ]
    assert unpacked_values(packed) == rounded


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1), st.integers(2, 40))
def test_a_flat_curve_is_not_drawn_in_stairs(base: float, extent: float, length: int) -> None:
    values = [base + extent * index / length for index in range(length + 1)]
    packed = pack_values(values, 4)
    if packed["digits"] < 12:
        distances = [
            abs(one - other) for one, other in zip(values, unpacked_values(packed), strict=True) if other is not None
        ]
        assert max(distances) <= (max(values) - min(values)) / 500


def test_the_greatest_code_is_an_integer_that_javascript_holds() -> None:
    packed = pack_values([1.7e308, -1.7e308 * (1 - 1e-13), 5e-324], 12)
    largest = max(
        sum(ALPHABET.index(digit) * 64**place for place, digit in enumerate(reversed(code)))
        for code in re.findall(f".{{{packed['width']}}}", packed["codes"])
    )
    assert 2**49 < largest < 2**53


def test_a_curve_of_ten_thousand_values_takes_six_characters_a_point() -> None:
    series = curve("loss", 2_000)
    packed = pack_values(series.values, 4)
    assert packed["width"] == 3
    assert len(pack_steps(range(0, 1_000_000, 500))) <= 2 * 2_000
    assert b64decode(packed["codes"])  # nothing but base64 digits
