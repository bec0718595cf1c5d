"""What is read from a page, what it says about being kept, and what is no page at all."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy.http import HtmlResponse

from so8t.data.collect.decisions import Reason
from so8t.data.collect.judge import judge
from so8t.data.collect.page import read_page
from so8t.data.collect.signals import read_signals
from so8t.data.collect.walls import Seen, find_wall, wall_of_status

TOKEN = "kiseki-collector"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
URL = "https://a.example/dir/page"


def response(body: bytes, kind: str = "text/html; charset=utf-8", status: int = 200, **headers: str) -> HtmlResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HtmlResponse(URL, status=status, headers={"Content-Type": kind, **named}, body=body)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("noindex", Reason.NOINDEX),
        ("NoIndex, follow", Reason.NOINDEX),
        ("none", Reason.NOINDEX),
        ("noarchive", Reason.NOARCHIVE),
        ("noai", Reason.NOAI),
        ("noindex, noai", Reason.NOAI),
        ("all", None),
        ("max-snippet: 20", None),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST", None),
        ("nofollow", None),
        ("kiseki-collector: noindex", Reason.NOINDEX),
        ("Kiseki-Collector: noai", Reason.NOAI),
        ("googlebot: noindex", None),
        ("*: noindex", Reason.NOINDEX),
        ("otherbot: nofollow, kiseki-collector: noindex", Reason.NOINDEX),
        ("otherbot: nofollow, kiseki-collector : max-snippet: 5, noai", Reason.NOAI),
        ("kiseki-collector: nofollow, otherbot: noindex, noai", None),
        ("otherbot: noindex, max-snippet: 20, noai", None),
        ("noindex, otherbot: nofollow", Reason.NOINDEX),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST", Reason.NOINDEX),
        ("unavailable_after: Friday, 25-Jun-10 15:00:00 GMT, nofollow", Reason.NOINDEX),
        ("UNAVAILABLE_AFTER: 2010-06-25T15:00:00+09:00", Reason.NOINDEX),
        ("unavailable_after: 2010-06-25", Reason.NOINDEX),
        ("unavailable_after: 2030-06-25", None),
        ("unavailable_after: Wednesday, 25-Jun-30 15:00:00 GMT, nofollow", None),
        ("unavailable_after: soon", Reason.NOINDEX),
        ("otherbot: unavailable_after: 25 Jun 2010 15:00:00 PST", None),
        ("kiseki-collector: unavailable_after: 25 Jun 2010 15:00:00 PST", Reason.NOINDEX),
        ("", None),
    ],
)
def test_x_robots_tag_is_obeyed_where_it_is_meant_for_us(said: str, reason: Reason | None) -> None:
    assert read_signals(TOKEN, NOW, robots_tags=[said]).refusal is reason


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        (("robots", "noai"), Reason.NOAI),
        (("ROBOTS", " NOINDEX "), Reason.NOINDEX),
        (("kiseki-collector", "noarchive"), Reason.NOARCHIVE),
        (("googlebot", "noindex"), None),
        (("tdm-reservation", "1"), Reason.TDM_RESERVED),
        (("tdm-reservation", "0"), None),
        (("tdm-reservation", "true"), Reason.TDM_RESERVED),
        (("robots", "unavailable_after: 2010-06-25"), Reason.NOINDEX),
        (("robots", "unavailable_after: 2030-06-25"), None),
        (("description", "noindex"), None),
    ],
)
def test_meta_elements_are_obeyed(meta: tuple[str, str], reason: Reason | None) -> None:
    assert read_signals(TOKEN, NOW, metas=[meta]).refusal is reason


@given(
    st.sampled_from(["", "otherbot:", "unavailable_after:", "unavailable_after: Monday,"])
    .flatmap(lambda start: st.text(max_size=40).map(start.__add__))
    .flatmap(lambda tag: st.sampled_from([tag, tag + " Jun 2010", tag + "99999999999999999999-Jun-10 15:00:00 GMT"]))
)
def test_no_tag_makes_the_reading_raise(tag: str) -> None:
    assert read_signals(TOKEN, NOW, robots_tags=[tag], metas=[("robots", tag)], tdm_headers=[tag]).follow in (
        True,
        False,
    )


def test_nofollow_is_heard_from_header_and_page() -> None:
    assert not read_signals(TOKEN, NOW, robots_tags=["nofollow"]).follow
    assert not read_signals(TOKEN, NOW, metas=[("robots", "none")]).follow
    assert read_signals(TOKEN, NOW, metas=[("robots", "index")]).follow


def test_links_are_absolute_each_once_and_only_of_the_web() -> None:
    body = b"""<base href="/other/"><a href="x">1</a><a href="x#part">2</a><a href="javascript:alert(1)">3</a>
        <a href="//b.example/y" rel="NoFollow">4</a><area href="http://[bad">5</area><a>6</a><a href="">7</a>
        </body></html><a href="after">8</a>"""
    found = read_page(response(body)).links
    expected = [
        ("https://a.example/other/x", False),
        ("https://b.example/y", True),
        ("https://a.example/other/after", False),
    ]
    assert [(link.url, link.nofollow) for link in found] == expected


def test_scripts_and_styles_are_no_text_and_are_not_run() -> None:
    page = read_page(
        response(b"<title> A\n title </title><style>b{}</style><script>document.write('x')</script><p>text")
    )
    assert (page.title, page.text) == ("A title", "text")


@pytest.mark.parametrize(
    ("encoding", "declared"), [("cp932", "Shift_JIS"), ("euc_jp", "EUC-JP"), ("utf-8", "utf-8"), ("utf-16", "utf-16")]
)
def test_japanese_encodings_are_read_as_declared(encoding: str, declared: str) -> None:
    body = '<html lang="ja"><p>日本語の文章'.encode(encoding)
    page = read_page(response(body, f"text/html; charset={declared}"))
    assert (page.text, page.language) == ("日本語の文章", "ja")


@given(st.binary(max_size=300), st.sampled_from(["utf-8", "Shift_JIS", "x-unknown", ""]))
def test_no_bytes_make_a_judgement_raise(body: bytes, charset: str) -> None:
    verdict = judge(response(body, f"text/html; charset={charset}"), TOKEN, NOW)
    assert verdict.reason in set(Reason)


@pytest.mark.parametrize(
    "body", [b"<div>" * 100_000, b"<a href='" + b"x" * 100_000, b"\0" * 1000, b"<?xml version='1.0' encoding='x'?><p>a"]
)
def test_pages_made_to_break_a_parser_are_judged(body: bytes) -> None:
    assert judge(response(body), TOKEN, NOW).reason in (Reason.EMPTY, Reason.KEPT)


def seen(**changes: object) -> Seen:
    return Seen(**{"url": URL, "title": "", "text_characters": 100, "source": "", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("page", "wall"),
    [
        (seen(title="Just a moment..."), Reason.CAPTCHA),
        (seen(mitigated="challenge", text_characters=9000), Reason.CAPTCHA),
        (seen(source='<div class="cf-turnstile">'), Reason.CAPTCHA),
        (seen(source='<div class="g-recaptcha">', text_characters=9000), None),
        (seen(source="/cdn-cgi/challenge-platform/scripts", text_characters=9000), None),
        (seen(source='<input name=p type="password">', title="ログイン"), Reason.LOGIN),
        (seen(source="<input type=password>", title="Welcome"), None),
        (seen(source='{"isAccessibleForFree": "False"}', text_characters=9000), Reason.PAYWALL),
        (seen(source='{"isAccessibleForFree": true}'), None),
        (seen(source='<meta name="article:content_tier" content="metered">'), Reason.PAYWALL),
        (seen(title="404 - Not Found"), Reason.SOFT_404),
        (seen(title="お探しのページは見つかりません"), Reason.SOFT_404),
        (seen(title="Section 404 of the act"), None),
        (seen(title="404 Not Found: a history", text_characters=9000), None),
        (seen(title="Just a moment in history", text_characters=9000), None),
    ],
)
def test_what_is_no_page_is_told_from_a_page_that_mentions_it(page: Seen, wall: Reason | None) -> None:
    assert find_wall(page) is wall


@pytest.mark.parametrize(
    ("status", "retry_after", "wall"),
    [
        (401, False, Reason.ACCESS_DENIED),
        (402, False, Reason.PAYWALL),
        (403, False, Reason.ACCESS_DENIED),
        (429, False, Reason.RATE_LIMITED),
        (451, False, Reason.ACCESS_DENIED),
        (503, True, Reason.RATE_LIMITED),
        (503, False, None),
        (404, True, None),
        (200, True, None),
    ],
)
def test_statuses_that_stop_a_host(status: int, retry_after: bool, wall: Reason | None) -> None:
    assert wall_of_status(status, retry_after) is wall


@pytest.mark.parametrize(
    ("location", "reason", "target"),
    [
        ("/other", Reason.REDIRECTED, "https://a.example/other"),
        ("//b.example/x", Reason.REDIRECTED, "https://b.example/x"),
        ("/login?next=%2Fpage", Reason.LOGIN, "https://a.example/login?next=%2Fpage"),
        ("file:///etc/passwd", Reason.NOT_THE_WEB, None),
        ("http://[", Reason.NOT_THE_WEB, None),
        ("", Reason.NOT_THE_WEB, None),
    ],
)
def test_redirects_are_absolute_or_nothing(location: str, reason: Reason, target: str | None) -> None:
    verdict = judge(response(b"", status=302, Location=location), TOKEN, NOW)
    assert (verdict.reason, verdict.redirect) == (reason, target)
