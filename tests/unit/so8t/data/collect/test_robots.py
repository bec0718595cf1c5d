"""RFC 9309: the questions of google/robotstxt's own tests, and files nobody would write on purpose.

The 140 cases in tests/golden/robots_cases.json, each [test, robots.txt, agent, URL, allowed], and the five of its test
GoogleOnly_LineTooLong, which are built here, come from robots_test.cc of google/robotstxt,
copyright 2019 Google LLC, Apache License 2.0.
"""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.collect.robots import RobotsFile, path_of

CASES = json.loads((Path(__file__).parents[4] / "golden" / "robots_cases.json").read_text(encoding="utf-8"))

MAX_LINE_BYTES = 2083 * 8


def _long(key: str, letter: str) -> str:
    return "/x/" + letter * (MAX_LINE_BYTES - 2 * len("/x/") - len(key) + 1)


def long_line_cases() -> list[tuple[str, str, str, str, bool]]:
    a, b = _long("allow: ", "a"), _long("allow: ", "b")
    cut = _long("disallow: ", "a")
    forbids = f"user-agent: FooBot\ndisallow: {cut}/qux\n"
    allows = f"user-agent: FooBot\ndisallow: /\nallow: {a}/qux\nallow: {b}/qux\n"
    site = "http://foo.bar"
    return [
        ("GoogleOnly_LineTooLong", forbids, "FooBot", f"{site}/fux", True),
        ("GoogleOnly_LineTooLong", forbids, "FooBot", f"{site}{cut}/fux", False),
        ("GoogleOnly_LineTooLong", allows, "FooBot", f"{site}/", False),
        ("GoogleOnly_LineTooLong", allows, "FooBot", f"{site}{a}/qux", True),
        ("GoogleOnly_LineTooLong", allows, "FooBot", f"{site}{b}/fux", True),
    ]


def test_all_145_questions_of_google_robotstxt_are_answered_right() -> None:
    cases = [*map(tuple, CASES), *long_line_cases()]
    assert len(cases) == 145
    answers = [(case, RobotsFile.read(case[1].encode(), case[2]).decide(case[3]).allowed) for case in cases]
    assert [case for case, allowed in answers if allowed != case[4]] == []


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
def test_a_byte_order_mark_whole_or_cut_is_skipped(mark: bytes) -> None:
    assert not RobotsFile.read(mark + b"User-Agent: foo\nDisallow: /", "foo").decide("http://a/b").allowed


def test_a_broken_byte_order_mark_spoils_only_its_own_line() -> None:
    file = RobotsFile.read(b"\xef\x11\xbfUser-Agent: foo\nAllow: /x\nUser-Agent: *\nDisallow: /", "foo")
    assert [str(rule) for rule in file.rules] == ["Disallow: /"]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_with_any_of_the_three_ends_and_are_counted_alike(end: bytes) -> None:
    file = RobotsFile.read(end.join([b"User-Agent: foo", b"", b"Disallow: /a", b""]), "foo")
    assert [(rule.path, rule.line) for rule in file.rules] == [(b"/a", 3)]


def test_the_rule_that_decided_is_named_with_its_line() -> None:
    decision = RobotsFile.read(b"User-agent: *\nDisallow: /a\nAllow: /a/b\n", "x").decide("http://h/a/bc")
    assert (decision.allowed, str(decision.rule), decision.rule and decision.rule.line) == (True, "Allow: /a/b", 3)


def test_an_empty_disallow_forbids_nothing() -> None:
    assert RobotsFile.read(b"User-agent: *\nDisallow:\n", "x").decide("http://h/").allowed


def test_text_behind_a_nul_byte_does_not_count() -> None:
    file = RobotsFile.read(b"User-agent: *\nDisallow: /a\0b\n", "x")
    assert not file.decide("http://h/ac").allowed


def test_the_longest_crawl_delay_of_the_crawlers_own_groups_counts() -> None:
    text = (
        b"User-agent: *\nCrawl-delay: 90\nUser-agent: x\nCrawl-delay: 2.5\nDisallow:\n\nUser-agent: x\nCrawl-delay: 4\n"
    )
    assert RobotsFile.read(text, "x").crawl_delay_seconds == 4.0
    assert RobotsFile.read(b"User-agent: *\nCrawl-delay: soon\nDisallow:", "x").crawl_delay_seconds is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Content-Signal: search=yes, ai-train=no", True),
        ("Content-Usage: train-ai=n", True),
        ("Content-Signal: ai-train=yes", False),
        ("Content-Signal: ai-train=nothing", False),
        ("Content-Signal: search=yes;ai-train=no", True),
        ("content-signal: ai-train=no;search=yes", True),
        ("Content-Signal: search=yes; ai-train = no ; ai-input=no", True),
        ("Content-Usage: train-ai=n;exp=1", True),
        ("Content-Usage: search=y;train-ai=n", True),
        ("Content-Signal: ai-train=yes;search=no", False),
        ("Content-Signal: no-ai-train=no", False),
    ],
)
def test_a_reservation_against_training_is_read(line: str, said: bool) -> None:
    for text in (
        f"User-agent: *\n{line}\nAllow: /\n",
        f"{line}\nUser-agent: *\nAllow: /\n",
        f"\ufeff# for everyone\n{line}\n\nUser-agent: x\nAllow: /\n",
        f"{line}\n",
    ):
        assert RobotsFile.read(text.encode(), "x").no_training is said


def test_a_reservation_in_the_group_of_another_crawler_is_not_ours_and_a_rule_before_all_groups_is_nobodys() -> None:
    theirs = b"User-agent: y\nContent-Signal: ai-train=no\nDisallow: /\n\nUser-agent: *\nAllow: /\n"
    assert not RobotsFile.read(theirs, "x").no_training
    assert RobotsFile.read(b"Disallow: /\nCrawl-delay: 9\nUser-agent: *\nAllow: /a\n", "x").decide("http://h/").allowed


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("", "/"),
        ("http://www.example.com", "/"),
        ("http://www.example.com/a", "/a"),
        ("http://www.example.com/a/b?c=http://d.e/", "/a/b?c=http://d.e/"),
        ("http://www.example.com/a/b?c=d&e=f#fragment", "/a/b?c=d&e=f"),
        ("example.com/a", "/a"),
        ("//a/b/c", "/b/c"),
        ("http://www.example.com?a", "/?a"),
        ("http://a.com#b", "/"),
        ("http://a.com#b/c", "/"),
    ],
)
def test_path_and_query_are_cut_out_of_a_url(url: str, path: str) -> None:
    assert path_of(url) == path


@given(st.binary(max_size=400), st.text(max_size=60))
def test_no_file_and_no_url_raises(body: bytes, url: str) -> None:
    assert RobotsFile.read(body, "collector").decide(url).allowed in (True, False)


def test_a_hundred_thousand_mutations_of_real_looking_files_are_read_without_an_exception() -> None:
    seeds = sorted({case[1] for case in CASES}, key=len)
    parts = [*(line for seed in seeds for line in seed.splitlines()), "", "#", "Disallow: /*?*&*=*$", "%", "\0", "\x85"]
    draw = random.Random(9309)
    for _ in range(100_000):
        body = bytearray("\n".join(draw.choices(parts, k=draw.randint(1, 8))).encode())
        for _ in range(draw.randint(0, 4)):
            body[draw.randrange(len(body) + 1) : draw.randrange(len(body) + 1)] = draw.randbytes(draw.randint(0, 2))
        RobotsFile.read(bytes(body), "FooBot").decide("http://foo.bar/a/b/c/fish.php?x=1&y=2")


def test_patterns_made_to_cost_much_are_decided() -> None:
    hostile = b"User-agent: *\n" + b"Disallow: " + b"/*a" * 5000 + b"b\n"
    file = RobotsFile.read(hostile * 30, "x")
    assert file.decide("http://h/" + "a" * 2000).allowed
