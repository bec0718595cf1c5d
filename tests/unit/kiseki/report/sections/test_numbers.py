"""Numbers, times and texts as they are written."""

import math
import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.report.sections.given import texts, visible
from kiseki.report.sections.numbers import apart, decimal, duration, moment, size
from kiseki.report.sections.wording import speaker

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE)
def test_a_written_value_is_the_value_to_five_digits(value: float) -> None:
    # as decimal numbers: the largest double, rounded up, is no double any more
    written, exact = Decimal(decimal(value).replace(",", "")), Decimal(value)
    assert abs(written - exact) <= abs(exact) * Decimal("5.1e-5")


@given(FINITE, FINITE)
def test_a_value_and_a_threshold_that_differ_look_different(value: float, threshold: float) -> None:
    shown = apart(value, threshold)
    assert (shown[0] == shown[1]) == (value == threshold)


@given(st.integers(min_value=0, max_value=2**60))
def test_a_size_is_exact_in_both_languages(count: int) -> None:
    assert f"{count:,} {'byte' if count == 1 else 'bytes'}" in size(count, speaker("en"))
    assert f"{count:,}バイト" in size(count, speaker("ja"))


@given(st.text())
def test_shown_text_holds_no_character_that_cannot_be_seen(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in shown)
    shown.encode("utf-8")
    assert visible(shown) == shown


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_text_that_can_be_seen_is_not_changed(text: str) -> None:
    assert visible(text) == text


@given(st.lists(st.text(max_size=20), max_size=5))
def test_an_authors_lines_are_all_shown(lines: list[str]) -> None:
    wanted = [visible(line.strip()) for text in lines for line in text.splitlines() if line.strip()]
    assert list(texts(lines)) == wanted


@pytest.mark.parametrize(
    ("seconds", "japanese", "english"),
    [
        (0.0, "0秒", "0 s"), (59.994, "59.99秒", "59.99 s"), (59.9999, "1分0秒", "1 min 0 s"),
        (61.2, "1分1秒", "1 min 1 s"), (3600.0, "1時間0分0秒", "1 h 0 min 0 s"), (math.inf, "不明", "unknown"),
    ],
)  # fmt: skip
def test_durations_are_readable_and_never_sixty_seconds(seconds: float, japanese: str, english: str) -> None:
    assert (duration(seconds, speaker("ja")), duration(seconds, speaker("en"))) == (japanese, english)


def test_a_moment_is_given_in_both_zones_over_midnight_and_stays_as_recorded_when_it_is_none() -> None:
    assert moment("2026-12-31T15:00:00Z") == "2026-12-31 15:00:00 UTC / 2027-01-01 00:00:00 JST"
    assert moment("yesterday") == "yesterday"
    assert moment("2026-12-31T15:00:00") == "2026-12-31T15:00:00"
