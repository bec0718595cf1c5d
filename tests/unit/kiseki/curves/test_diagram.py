"""A diagram shows every point, every gap and every mark it was given, and nothing a name says can change it."""

import math
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiseki.curves.diagram import draw_diagram
from kiseki.curves.style import ALARM, EVALUATION, METRIC_COLOURS, PHASE_COLOURS, covered

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Line:
    name: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    band: tuple[tuple[float, float], ...] = ()
    non_finite_steps: tuple[int, ...] = ()
    markers: bool = False
    recorded: int = field(default=0)


def falling(n: int, name: str = "loss", **more: Any) -> Line:
    return Line(name, tuple(range(1, n + 1)), tuple(1.0 + 10.0 / step for step in range(1, n + 1)), **more)


def drawn(*traces: Line, **more: Any) -> ElementTree.Element:
    return ElementTree.fromstring(draw_diagram("nats / token", traces, **more))


def words(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def lines(svg: ElementTree.Element) -> list[list[list[tuple[float, float]]]]:
    """The stretches of every curve: paths with a curve's thickness or dots."""
    return [
        [
            [(float(x), float(y)) for x, y in (pair.split(",") for pair in stretch.split())]
            for stretch in path.attrib["d"].split("M")
            if stretch
        ]
        for path in svg.iter(f"{SVG}path")
        if path.attrib["stroke"] != ALARM
    ]


def test_every_point_is_drawn_where_its_value_puts_it() -> None:
    (((*points,),),) = lines(drawn(falling(2000)))
    x, y = np.array(points).T
    assert len(points) == 2000
    assert np.all(np.diff(x) > 0)
    expected = 1.0 + 10.0 / np.arange(1, 2001)
    assert np.corrcoef(-y, expected)[0, 1] == pytest.approx(1.0, abs=1e-6)
    assert np.corrcoef(x, np.arange(1, 2001))[0, 1] == pytest.approx(1.0, abs=1e-6)


def test_a_logarithmic_axis_puts_equal_ratios_at_equal_distances() -> None:
    svg = drawn(Line("loss", (1, 2, 3), (1.0, 100.0, 10_000.0)), logarithmic=True, language="en")
    (((first, second, third),),) = lines(svg)
    assert first[1] - second[1] == pytest.approx(second[1] - third[1], abs=0.02)
    assert "nats / token (log scale)" in words(svg)


@pytest.mark.parametrize("least", [0.0, 5e-324])
def test_a_value_without_a_usable_logarithm_makes_the_axis_linear_instead_of_vanishing(least: float) -> None:
    svg = drawn(Line("loss", (1, 2, 3), (least, 50.0, 100.0)), logarithmic=True)
    (((first, second, third),),) = lines(svg)
    assert first[1] - second[1] == pytest.approx(second[1] - third[1], abs=0.02)
    assert "nats / token" in words(svg)


def test_a_missing_value_interrupts_the_line_and_is_marked_and_counted() -> None:
    svg = drawn(Line("loss", (1, 2, 3, 4, 5, 6, 7), (3.0, 2.0, None, 2.0, 1.0, None, 1.0), non_finite_steps=(3, 6, 90)))
    ((first, second),) = lines(svg)
    assert (len(first), len(second)) == (2, 2)
    crosses = [path for path in svg.iter(f"{SVG}path") if path.attrib["stroke"] == ALARM]
    assert [path.attrib["d"].count("M") for path in crosses] == [2 * 3]
    assert "3 non-finite" in words(svg)
    # step 7 stands alone between a gap and the end: without a dot it would not be seen
    assert len(list(svg.iter(f"{SVG}circle"))) == 5


def test_a_value_too_large_for_any_axis_is_marked_as_not_finite() -> None:
    assert "1 non-finite" in words(drawn(Line("loss", (1, 2, 3), (1.0, 1e300, 2.0))))


@pytest.mark.parametrize(
    ("language", "traces", "said"),
    [
        ("ja", (), "未記録"),
        ("en", (Line("loss", (), ()),), "not recorded"),
        ("ja", (Line("loss", (1, 2), (None, None)),), "有限値なし"),
        ("en", (Line("loss", (), (), non_finite_steps=(4,)),), "no finite value"),
    ],
)
def test_empty_axes_say_why_they_are_empty(language: str, traces: tuple[Line, ...], said: str) -> None:
    svg = drawn(*traces, language=language)
    assert said in words(svg)
    assert lines(svg) == []


def test_a_single_point_is_seen() -> None:
    assert len(list(drawn(Line("loss", (7,), (2.0,))).iter(f"{SVG}circle"))) == 1


def test_evaluations_are_diamonds_and_not_dots() -> None:
    svg = drawn(falling(100), Line("eval_loss", (50, 100), (2.0, 1.5), markers=True))
    diamonds = [shape for shape in svg.iter(f"{SVG}polygon") if shape.attrib["fill"] == EVALUATION]
    assert len(diamonds) == 2 + 1  # and one in the legend
    assert {"loss", "eval_loss"} <= set(words(svg))


def test_a_band_lies_around_its_line() -> None:
    line = Line("mean", (1, 2, 3), (2.0, 3.0, 2.0), band=((1.0, 3.0), (2.0, 4.0), (1.0, 3.0)))
    svg = drawn(line)
    (band,) = svg.iter(f"{SVG}polygon")
    corners = [tuple(map(float, pair.split(","))) for pair in band.attrib["points"].split()]
    assert len(corners) == 6
    (((*points,),),) = lines(svg)
    for (x, y), low, high in zip(points, corners[:3], reversed(corners[3:]), strict=True):
        assert x == low[0] == high[0]
        assert high[1] < y < low[1]


def test_a_band_is_open_where_its_line_breaks() -> None:
    nothing = (math.nan, math.nan)
    line = Line("mean", (1, 2, 3, 4, 5), (2.0, 3.0, None, 2.0, 2.0),
                band=((1.0, 3.0), (2.0, 4.0), nothing, (1.0, 3.0), (1.0, 3.0)), non_finite_steps=(3,))  # fmt: skip
    before, after = (
        [tuple(map(float, pair.split(","))) for pair in band.attrib["points"].split()]
        for band in drawn(line).iter(f"{SVG}polygon")
    )
    assert max(x for x, _ in before) < min(x for x, _ in after)


def test_takeovers_are_dashed_lines_at_their_steps_and_explained() -> None:
    svg = drawn(falling(100), attempts=(50,), language="ja")
    dashed = [line for line in svg.iter(f"{SVG}line") if line.get("stroke-dasharray") == "3 2"]
    assert len(dashed) == 1 + 1  # and one in the legend
    (((*points,),),) = lines(svg)
    assert points[49][0] in [float(line.attrib["x1"]) for line in dashed]
    assert "再開" in words(svg)


@pytest.mark.parametrize(("name", "language"), [("transition", "en"), ("transition", "ja"), ("移行", "ja")])
def test_a_known_phase_has_its_colour_under_either_name(name: str, language: str) -> None:
    svg = drawn(falling(90), phases=((1, 30, "exploration"), (31, 60, name), (61, 90, "own")), language=language)
    fills = [shape.attrib["fill"] for shape in svg.iter(f"{SVG}rect")]
    assert PHASE_COLOURS["exploration"] in fills
    assert PHASE_COLOURS["transition"] in fills
    assert len(set(fills)) == 3
    assert ("移行" if language == "ja" else "transition") in words(svg)


def test_many_curves_differ_in_colour_or_dash_and_all_stand_in_the_legend() -> None:
    svg = drawn(*(falling(50, f"metric {number}") for number in range(24)))
    looks = [(path.attrib["stroke"], path.get("stroke-dasharray")) for path in svg.iter(f"{SVG}path")]
    assert len(looks) == len(set(looks)) == 24
    assert {f"metric {number}" for number in range(24)} <= set(words(svg))


def test_a_legend_that_would_fill_the_page_ends_with_how_many_more_there_are() -> None:
    svg = drawn(*(falling(5, f"{number} " + "長い名前" * 30) for number in range(200)))
    assert "… +188" in words(svg)
    assert float(svg.attrib["height"]) < 400


def test_a_known_metric_has_the_colour_it_has_in_the_picture_of_the_run() -> None:
    svg = drawn(falling(50, "other"), falling(50, "accuracy"))
    first, second = (path.attrib["stroke"] for path in svg.iter(f"{SVG}path"))
    assert second == METRIC_COLOURS["accuracy"] != first


HOSTILE = "</text><script>alert(1)</script>&amp;\"'<!-- \ud800\x00\u202eevil 😀"


def test_a_hostile_name_is_shown_and_does_nothing() -> None:
    svg = drawn(falling(50, HOSTILE), phases=((1, 50, HOSTILE),), language="ja")
    assert {element.tag for element in svg.iter()} == {f"{SVG}{tag}" for tag in ("svg", "rect", "line", "path", "text")}
    assert any("</text><script>alert(1)</script>&amp;\"'<!-- 〓" in text for text in words(svg))


def test_a_long_name_ends_before_the_edge() -> None:
    names = words(drawn(falling(50, "損失関数の勾配" * 20), size=(230.0, 100.0)))
    assert any(name.startswith("損失関数の勾配") and name.endswith("…") for name in names)


VALUES = st.none() | st.floats(allow_nan=False) | st.integers(-(10**6), 10**6).map(float)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.lists(VALUES, max_size=30)), max_size=4), st.booleans())
def test_whatever_was_recorded_gives_a_picture_within_its_frame(
    recorded: list[tuple[str, list[float | None]]], logarithmic: bool
) -> None:
    traces = [Line(name, tuple(range(1, len(values) + 1)), tuple(values)) for name, values in recorded]
    svg = drawn(*traces, logarithmic=logarithmic)
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    for x, y in (point for curve in lines(svg) for stretch in curve for point in stretch):
        assert 0 <= x <= width
        assert 0 <= y <= height
    assert all(ord(character) in covered() for text in words(svg) for character in text)


PROGRAM = """
import sys
from kiseki.curves.diagram import draw_diagram
class Trace:
    name, steps, values, band, non_finite_steps, markers = "損失", (1, 2, 3, 4), (1.0, None, 3.0, 2.0), (), (2,), False
phases = ((1, 2, "a"), (3, 4, "b"))
svg = draw_diagram("nats", [Trace(), Trace()], language="ja", attempts=(2,), phases=phases)
"""


def test_the_same_curves_give_the_same_bytes_in_every_process() -> None:
    there = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}sys.stdout.buffer.write(svg)"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "America/New_York"},
    ).stdout
    here: dict[str, Any] = {}
    exec(PROGRAM, here)
    assert there == here["svg"]
    assert there.startswith(b"<svg")
