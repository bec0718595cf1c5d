"""The report's page in a real browser: what a reader sees, points at, sorts, switches and prints."""

import base64
import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from browser.documents import HOSTILE, hostile_report, report
from kiseki.report.document import Curves, Series
from kiseki.report.html.packing import pack_steps, pack_values

Opened = Callable[..., Any]

DRAWN = """
    const canvas = arguments[0];
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let place = 0; place < data.length; place += 4) {
      if (data[place + 3]) colours.add(data.slice(place, place + 3).join());
    }
    return colours.size;
"""

CONTRASTS = """
    function parsed(colour) {
      const canvas = (parsed.canvas ??= document.createElement("canvas").getContext("2d"));
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
      return { channels: [red, green, blue], alpha: alpha / 255 };
    }
    function behind(element) {
      for (let at = element; at; at = at.parentElement) {
        const { channels, alpha } = parsed(getComputedStyle(at).backgroundColor);
        if (alpha === 1) return channels;
      }
      return [255, 255, 255];
    }
    function luminance(channels) {
      const [red, green, blue] = channels.map((channel) => {
        const share = channel / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    }
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
      if (element.closest("script, :disabled")) continue;
      const [text, paper] = [luminance(parsed(getComputedStyle(element).color).channels), luminance(behind(element))];
      const ratio = (Math.max(text, paper) + 0.05) / (Math.min(text, paper) + 0.05);
      found.push([ratio, walker.currentNode.data.trim()]);
    }
    return found;
"""


def in_view(page: Any, selector: str) -> Any:
    """The element, scrolled to, as soon as it is there."""
    return waited(page, lambda: page.execute_script(
        "const found = document.querySelector(arguments[0]); found?.scrollIntoView({block: 'center'}); return found;",
        selector,
    ))  # fmt: skip


def waited(page: Any, condition: Callable[[], Any]) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 30, poll_frequency=0.05).until(lambda _: condition())


def chart(page: Any, number: int) -> Any:
    """The drawn figure."""
    in_view(page, f"[data-chart='{number}'] figcaption")
    in_view(page, f"[data-chart='{number}'] .u-over")
    return page.find_element("css selector", f"[data-chart='{number}']")


def texts(figure: Any, selector: str) -> list[str]:
    return [element.text for element in figure.find_elements("css selector", selector)]


def complaints(page: Any) -> list[str]:
    return [entry["message"] for entry in page.get_log("browser")]


def requests(page: Any) -> list[str]:
    """What the page asked for beside itself."""
    messages = (json.loads(entry["message"])["message"] for entry in page.get_log("performance"))
    urls = [event["params"]["request"]["url"] for event in messages if event["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if url != page.current_url.partition("#")[0]]


def test_charts_are_drawn_and_nothing_is_requested(opened: Opened) -> None:
    page = opened(report())
    for number in (0, 1):
        figure = chart(page, number)
        assert page.execute_script(DRAWN, figure.find_element("css selector", "canvas")) > 20
    assert "exploration" in texts(chart(page, 0), ".legend")[1]
    assert complaints(page) == []
    assert requests(page) == []


def test_pointing_at_a_chart_shows_the_values_there(opened: Opened) -> None:
    page = opened(report())
    figure = chart(page, 0)
    point(page, figure, 0.999)
    waited(page, lambda: texts(figure, ".legend .value")[1] == "1.25")
    step, value = texts(figure, ".legend .at")[0], texts(figure, ".legend .value")[0]
    assert step == "Step 600"
    assert float(value) == pytest.approx(1 + 3 / 60)


def test_the_nearest_evaluation_is_told_where_one_is_near(opened: Opened) -> None:
    page = opened(report())
    figure = chart(page, 0)
    shown = {}
    for step in (310, 450):
        point(page, figure, (step - 10) / 590)
        waited(page, lambda step=step: texts(figure, ".legend .at")[0] == f"Step {step}")
        shown[step] = texts(figure, ".legend .value")
    assert shown[310][1] == "2.5"
    assert shown[450][1] == ""


@pytest.mark.parametrize("size", [1e-300, 2e-18, 1.0, 3e19, 1.7e308])
def test_a_chart_of_any_size_has_labels_and_tells_its_values(opened: Opened, size: float) -> None:
    from selenium.webdriver.common.keys import Keys

    curves = (Curves("Any", "", (Series("any", (1, 2), (size / 2, size), 2),), "Any size."),)
    page = opened(report(curves=curves))
    figure = chart(page, 0)
    spied = """
        const write = CanvasRenderingContext2D.prototype.fillText;
        window.written = [];
        CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
          window.written.push(text);
          write.call(this, text, ...place);
        };
        document.getElementById("theme").click();
    """
    page.execute_script(spied)
    labels = waited(page, lambda: page.execute_script("return window.written"))
    heights = {float(label.replace(",", "")) for label in labels if re.match(r"[\d.,]+e?", label)} - {1.0, 2.0}
    assert len([height for height in heights if size / 2.5 <= height <= size * 1.1]) >= 3
    figure.find_element("css selector", ".plot").send_keys(Keys.END)
    told = texts(figure, ".legend .value")[0]
    assert float(told.replace(",", "")) == pytest.approx(size, rel=1e-5)
    page.execute_script("localStorage.clear()")


def test_keys_read_a_chart_as_the_pointer_does(opened: Opened) -> None:
    from selenium.webdriver.common.keys import Keys

    page = opened(report())
    figure = chart(page, 0)
    plot = figure.find_element("css selector", ".plot")
    plot.send_keys(Keys.END)
    told = "document.querySelector(\"[data-chart='0'] [role='status']\").textContent"
    assert page.execute_script(f"return {told}") == "Step 600: loss 1.05, eval_loss 1.25"
    plot.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    assert page.execute_script(f"return {told}").startswith("Step 20: loss 2.5")


def test_dragging_zooms_and_the_button_resets(opened: Opened) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    page = opened(report())
    figure = chart(page, 0)
    over = figure.find_element("css selector", ".u-over")
    reset = figure.find_elements("css selector", ".chart-head button")[1]
    assert not reset.is_enabled()
    width = over.size["width"]
    drag = ActionChains(page, duration=20).move_to_element_with_offset(over, int(-width / 4), 0).click_and_hold()
    drag.move_by_offset(int(width / 4), 0).move_by_offset(int(width / 8), 0).release().perform()
    waited(page, reset.is_enabled)
    first, last = visible_steps(page)
    assert 10 < first < 200 < 300 < last < 600
    reset.click()
    waited(page, lambda: not reset.is_enabled())
    assert visible_steps(page) == [10, 600]


def test_a_curve_can_be_hidden_and_the_axis_made_logarithmic(opened: Opened) -> None:
    page = opened(report())
    figure = chart(page, 0)
    canvas = "document.querySelector(\"[data-chart='0'] canvas\").toDataURL()"
    before = page.execute_script(f"return {canvas}")
    entry = figure.find_elements("css selector", ".legend button")[0]
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    waited(page, lambda: page.execute_script(f"return {canvas}") != before)
    entry.click()
    waited(page, lambda: page.execute_script(f"return {canvas}") == before)
    scale = figure.find_elements("css selector", ".chart-head button")[0]
    scale.click()
    assert scale.get_attribute("aria-pressed") == "true"
    waited(page, lambda: page.execute_script(f"return {canvas}") != before)
    assert complaints(page) == []


def test_the_browser_unpacks_what_was_packed(opened: Opened) -> None:
    page = opened(report())
    values = [None, 0.0, 1.0, -2.5, 1e-7, 12345678.9, 5e-324, 1.7e308, -1.7e308, math.pi]
    for curve in (values, [7.0, 7.0001, 7.0002], [1e-300], [None]):
        assert page.execute_script("return packing.values(arguments[0])", pack_values(curve, 6)) == [
            None if value is None else pytest.approx(value, rel=1e-5) for value in curve
        ]
    steps = [0, 1, 31, 32, 33, 1_000, 10_000_000, 2**52]
    assert page.execute_script("return packing.steps(arguments[0])", pack_steps(steps)) == steps


def test_tables_are_sorted_by_keyboard_and_what_is_no_number_stays_below(opened: Opened) -> None:
    from selenium.webdriver.common.keys import Keys

    page = opened(report())
    table = in_view(page, "#s1-summary table")
    button = table.find_elements("css selector", "th button")[1]
    orders = []
    for _ in range(3):
        button.send_keys(Keys.ENTER)
        head = table.find_elements("css selector", "th")[1]
        orders.append((head.get_attribute("aria-sort"), texts(table, "tbody td:first-child")))
    assert orders == [
        ("ascending", ["accuracy", "chrf", "loss", "bleu"]),
        ("descending", ["loss", "chrf", "accuracy", "bleu"]),
        (None, ["loss", "accuracy", "bleu", "chrf"]),
    ]


def test_a_long_table_can_be_filtered(opened: Opened) -> None:
    page = opened(report())
    block = in_view(page, "[data-filter]")
    block.find_element("css selector", "input").send_keys("setting_1")
    shown = [row for row in block.find_elements("css selector", "tbody tr") if row.is_displayed()]
    assert len(shown) == 11
    assert block.find_element("css selector", "output").text == "11 of 40 rows"


def test_the_theme_is_switched_and_remembered(opened: Opened) -> None:
    page = opened(report())
    page.execute_script("localStorage.clear()")
    light = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    page.find_element("id", "theme").click()
    dark = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.refresh()
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == dark
    page.execute_script("localStorage.clear()")


def test_the_theme_can_be_switched_where_storage_is_forbidden(opened: Opened, browser: Any) -> None:
    forbid = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": forbid})
    try:
        page = opened(report())
        page.find_element("id", "theme").click()
        assert page.execute_script("return document.documentElement.dataset.theme") == "dark"
        assert complaints(page) == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_text_has_contrast(opened: Opened, dark: bool, language: str) -> None:
    page = opened(report(language), dark=dark)
    for number in (0, 1):
        chart(page, number)
    found = page.execute_script(CONTRASTS)
    assert len(found) > 150
    assert [pair for pair in found if pair[0] < 4.5] == []


def test_it_prints_with_its_charts_in_light_colours(opened: Opened) -> None:
    page = opened(report(), dark=True)
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    printed = page.find_elements("css selector", ".plot > canvas")
    assert len(printed) == 2
    assert all(page.execute_script(DRAWN, canvas) > 20 for canvas in printed)
    background = "return getComputedStyle(document.body).getPropertyValue('--paper').trim()"
    assert page.execute_script(background) == "#fdfcfa"
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert page.find_elements("css selector", ".plot > canvas") == []
    assert page.execute_script(background) == "#15181d"

    pdf = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert len(re.findall(rb"/Type */Page\b", pdf)) >= 4
    a4 = [float(side) for side in re.findall(rb"/MediaBox *\[0 0 ([\d.]+) ([\d.]+)\]", pdf)[0]]
    assert a4 == [pytest.approx(595.3, abs=1), pytest.approx(841.9, abs=1)]
    assert complaints(page) == []


def test_it_fits_a_phone(opened: Opened) -> None:
    page = opened(report("ja"), width=390)
    chart(page, 0)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390


def test_sixty_hostile_texts_do_nothing(opened: Opened) -> None:
    assert len(set(HOSTILE)) == 60
    page = opened(hostile_report())
    # draws every chart
    drawn = page.execute_script(
        "window.dispatchEvent(new Event('beforeprint')); return document.querySelectorAll('.plot > canvas').length"
    )
    assert drawn == 60, complaints(page)
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert page.execute_script("return window.attacked ?? null") is None
    names = page.execute_script(
        "return [...document.querySelectorAll('.legend .name')].map((name) => name.textContent)"
    )
    assert names == [text.encode("utf-8", "replace").decode() for text in HOSTILE]
    foreign = "script:not(body > script), img, iframe, object, embed, link, base, form, math, video, [href^='java' i]"
    assert page.find_elements("css selector", foreign) == []
    assert complaints(page) == []
    assert requests(page) == []


def point(page: Any, figure: Any, share: float) -> None:
    """Point at a share of the chart's width."""
    from selenium.webdriver.common.action_chains import ActionChains

    over = figure.find_element("css selector", ".u-over")
    offset = int((share - 0.5) * over.size["width"])
    ActionChains(page, duration=20).move_to_element_with_offset(over, 0, 0).move_to_element_with_offset(
        over, offset, 0
    ).perform()


def visible_steps(page: Any) -> list[int]:
    """First and last optimizer step in view, from where the pointer has left the chart."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page, duration=20).move_to_element(
        page.find_element("css selector", "[data-chart='0'] figcaption")
    ).perform()
    at = "return document.querySelector(\"[data-chart='0'] .at\").textContent"
    shown = waited(page, lambda: re.search(r"([\d,]+)–([\d,]+)", page.execute_script(at)))
    return [int(number.replace(",", "")) for number in shown.groups()]


def test_evaluations_are_points_in_the_colour_they_have_in_every_picture(opened: Opened) -> None:
    page = opened(report())
    figure = chart(page, 0)
    assert [sample.text for sample in figure.find_elements("css selector", ".legend .sample")][:2] == ["", "◆"]
    of_evaluations = """
        const canvas = arguments[0];
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const colour = [28, 32, 39, 255]; // --plot-evaluation, light
        let count = 0;
        for (let place = 0; place < data.length; place += 4) {
          if (colour.every((channel, index) => data[place + index] === channel)) count++;
        }
        return count;
    """
    canvas = figure.find_element("css selector", "canvas")
    shown = page.execute_script(of_evaluations, canvas)
    assert shown > 30
    figure.find_elements("css selector", ".legend button")[1].click()
    assert waited(page, lambda: page.execute_script(of_evaluations, canvas) < shown / 4)
