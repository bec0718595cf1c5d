"""The collector against a real local site: what is asked, what is kept, and what the evidence says of the rest."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.collect_running import Ended, run, write_registry
from e2e.collect_site import (
    DROPPED,
    TERMS,
    Answer,
    Site,
    drop_by_drop,
    gzip_bomb,
    page,
    redirect,
    registry,
    robots,
    without_end,
)
from so8t.data.collect.decisions import Decision
from so8t.data.collect.ledger import Content, read_ledger


@dataclass(frozen=True)
class Collected:
    """A site, and what a collection made of it."""

    site: Site
    folder: Path
    ended: Ended
    content: Content

    def of(self, host: str, path: str = "/") -> Decision:
        found = [decision for decision in self.content.decisions.values() if decision.url == self.site.url(host, path)]
        assert len(found) == 1, f"{len(found)} decisions on {host}{path}"
        return found[0]

    def reason(self, host: str, path: str = "/") -> str:
        return self.of(host, path).reason.value


@dataclass
class Plan:
    """Answers and sources, gathered before the site is asked."""

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)

    def host(self, host: str, paths: dict[str, Answer | bytes], **source: Any) -> None:
        self.sources.append({"host": host, **source})
        for path, answer in paths.items():
            self.answers[host, path] = answer if isinstance(answer, Answer) else Answer(answer)


@pytest.fixture(scope="module")
def gather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Collected]]:
    """Give a function that lets a plan be collected once."""
    running: list[Site] = []

    def collect(make: Callable[[Site, Plan], None], *more: str) -> Collected:
        site = Site().__enter__()
        running.append(site)
        folder, plan = tmp_path_factory.mktemp("collect"), Plan()
        make(site, plan)
        site.answers.update(plan.answers)
        site.answers.setdefault(("terms.test", "/terms"), Answer(TERMS))
        sources = write_registry(folder, registry(site, plan.sources))
        ended = run(sources, folder / "out", *more)
        assert ended.err == ""
        return Collected(site, folder / "out", ended, read_ledger(folder / "out"))

    yield collect
    for site in running:
        site.__exit__()


# -- F2: what comes back for robots.txt decides ----------------------------------------------------------------------

HUGE_ROBOTS = b"User-agent: *\nAllow: /\n" + b"#" * (500 * 1024 - 23)

ROBOTS_ANSWERS: dict[str, tuple[Answer, str]] = {
    "allow": (robots("User-agent: *", "Disallow: /x"), "kept"),
    "disallow": (robots("User-agent: kiseki-collector", "Disallow: /"), "robots_rule"),
    "redirect-once": (redirect("/elsewhere.txt", 301), "robots_rule"),
    "redirect-6": (redirect("/r1", 301), "robots_unreadable"),
    "401": (Answer(status=401), "robots_forbidden"),
    "403": (Answer(status=403), "robots_forbidden"),
    "404": (Answer(status=404), "kept"),
    "429": (Answer(status=429), "robots_forbidden"),
    "500": (Answer(status=500), "robots_unreachable"),
    "503": (Answer(status=503), "robots_unreachable"),
    "timeout": (Answer(wait=6.0), "robots_unreachable"),
    "html": (Answer(page("Welcome")), "robots_unreadable"),
    "500-kib": (Answer(HUGE_ROBOTS, kind="text/plain"), "kept"),
    "500-kib-and-1": (Answer(HUGE_ROBOTS + b"#", kind="text/plain"), "robots_unreadable"),
    "bomb": (gzip_bomb(4), "robots_unreadable"),
    "reserved": (robots("User-agent: *", "Content-Signal: search=yes, ai-train=no", "Allow: /"), "training_reserved"),
    "slow": (robots("User-agent: *", "Crawl-delay: 100000"), "crawl_delay"),
}


@pytest.fixture(scope="module")
def by_robots(gather: Callable[..., Collected]) -> Collected:
    def make(site: Site, plan: Plan) -> None:
        for name, (answer, _) in ROBOTS_ANSWERS.items():
            plan.host(f"{name}.test", {"/robots.txt": answer, "/": page(f"site {name}")})
        plan.answers["redirect-once.test", "/elsewhere.txt"] = robots("User-agent: *", "Disallow: /")
        for number in range(1, 6):
            plan.answers["redirect-6.test", f"/r{number}"] = redirect(f"/r{number + 1}", 301)
        plan.answers["redirect-6.test", "/r6"] = robots("User-agent: *", "Allow: /")
        plan.host("unknown.test", {"/": page("unknown")})

    return gather(make, "--limits", '{"timeout_seconds": 4.0}')


@pytest.mark.parametrize("name", ROBOTS_ANSWERS)
def test_f2_every_answer_to_robots_txt_permits_or_forbids_as_the_policy_says(name: str, by_robots: Collected) -> None:
    expected = ROBOTS_ANSWERS[name][1]
    assert by_robots.reason(f"{name}.test") == expected
    pages = [path for path in by_robots.site.pages(f"{name}.test") if not re.fullmatch(r"/r\d|/elsewhere.txt", path)]
    assert pages == (["/"] if expected == "kept" else [])


def test_f2_a_host_without_an_address_is_not_asked(by_robots: Collected) -> None:
    assert by_robots.reason("unknown.test") == "name"
    assert by_robots.site.paths("unknown.test") == []


def test_the_rule_and_the_file_that_decided_are_in_the_evidence(by_robots: Collected) -> None:
    evidence = by_robots.of("disallow.test").robots
    assert evidence is not None
    assert (evidence.rule, evidence.line, evidence.status) == ("Disallow: /", 2, 200)
    stored = by_robots.folder / "robots" / str(evidence.sha256)[:2] / f"{evidence.sha256}.txt"
    assert stored.read_bytes() == b"User-agent: kiseki-collector\nDisallow: /"


def test_the_rules_of_a_host_are_asked_for_before_anything_else_and_once(by_robots: Collected) -> None:
    site = by_robots.site
    for host in {asked.host for asked in site.asked}:
        assert site.paths(host)[0] == "/robots.txt"
        assert site.paths(host).count("/robots.txt") == 1


def test_every_request_says_who_asks_and_carries_no_cookie(by_robots: Collected) -> None:
    agents = {asked.agent for asked in by_robots.site.asked}
    assert len(agents) == 1
    assert re.fullmatch(r"kiseki-collector/\S+ \(\+https://example\.org/crawler\)", agents.pop())
    assert {asked.cookie for asked in by_robots.site.asked} == {None}


# -- what a page, a redirect or a wall decides -----------------------------------------------------------------------

LOGIN_FORM = '<form><input type="password" name="p"></form>'


def noted(title: str, **more: Any) -> bytes:
    return page(title, text=DROPPED, **more)


PAGES: dict[str, tuple[Answer, str]] = {
    "/plain.txt": (Answer("ただの文章です。".encode(), kind="text/plain; charset=utf-8"), "kept"),
    "/sjis": (Answer(page("表示").decode().encode("cp932"), kind="text/html; charset=Shift_JIS"), "kept"),
    "/euc": (Answer(page("電子").decode().encode("euc_jp"), kind="text/html; charset=EUC-JP"), "kept"),
    "/broken": (Answer(page("壊れた") + b"\xff\xfe\x80<p>\xe3\x81"), "kept"),
    "/other-bot": (Answer(page("other"), headers={"X-Robots-Tag": "otherbot: noindex, noai"}), "kept"),
    "/login-box": (Answer(page("News", head=LOGIN_FORM, text="ニュースの本文。" * 300)), "kept"),
    "/twin": (Answer(page("first")), "kept"),
    "/twin-2": (Answer(page("first")), "duplicate_content"),
    "/pdf": (Answer(b"%PDF " + DROPPED.encode(), kind="application/pdf"), "content_type"),
    "/gone": (Answer(status=410), "gone"),
    "/soft": (Answer(noted("404 Not Found")), "soft_404"),
    "/soft-ja": (Answer(noted("お探しのページは見つかりませんでした")), "soft_404"),
    "/empty": (Answer(b"<html><body><script>1</script></body></html>"), "empty"),
    "/error": (Answer(status=500), "status"),
    "/header-noindex": (Answer(noted("n1"), headers={"X-Robots-Tag": "noindex"}), "noindex"),
    "/header-noai": (Answer(noted("n2"), headers={"X-Robots-Tag": "kiseki-collector: noai"}), "noai"),
    "/meta-noai": (Answer(noted("n3", head='<meta name="robots" content="noai, noimageai">')), "noai"),
    "/meta-noarchive": (Answer(noted("n4", head='<meta name="ROBOTS" content="noarchive">')), "noarchive"),
    "/header-tdm": (Answer(noted("n5"), headers={"TDM-Reservation": "1"}), "tdm_reserved"),
    "/meta-tdm": (Answer(noted("n6", head='<meta name="tdm-reservation" content="1">')), "tdm_reserved"),
    "/books/1": (Answer(noted("n7")), "tdm_reserved"),
    "/private/1": (Answer(noted("n8")), "robots_rule"),
    "/%70rivate/2": (Answer(noted("n9")), "robots_rule"),
    "/big": (Answer(without_end(), length=10 * 1024**3), "too_large"),
    "/endless": (Answer(without_end()), "too_large"),
    "/bomb": (gzip_bomb(64), "too_large"),
    "/slow": (Answer(drop_by_drop(b"<p>" + b"slow" * 100, 0.2)), "timeout"),
}

WALLS: dict[str, tuple[Answer, str]] = {
    "403": (Answer(status=403), "access_denied"),
    "401": (Answer(status=401), "access_denied"),
    "429": (Answer(status=429, headers={"Retry-After": "1"}), "rate_limited"),
    "503-later": (Answer(status=503, headers={"Retry-After": "60"}), "rate_limited"),
    "captcha": (Answer(noted("Just a moment...")), "captcha"),
    "captcha-ja": (Answer(noted("確認", head='<script src="/g-recaptcha.js"></script>')), "captcha"),
    "login": (redirect("/login?next=%2Fwall"), "login"),
    "login-page": (Answer(noted("ログイン", head=LOGIN_FORM)), "login"),
    "paywall": (Answer(noted("有料", head='<script>{"isAccessibleForFree": false}</script>')), "paywall"),
}


@pytest.fixture(scope="module")
def by_page(gather: Callable[..., Collected]) -> Collected:
    def make(site: Site, plan: Plan) -> None:
        tdm = Answer(b'[{"location": "/books/*", "tdm-reservation": 1}]', kind="application/json")
        rules = robots("User-agent: *", "Disallow: /private/")
        own = {"/robots.txt": rules, "/.well-known/tdmrep.json": tdm, "/": page("index", *PAGES)}
        plan.host("pages.test", {**own, **{path: answer for path, (answer, _) in PAGES.items()}})
        for name, (answer, _) in WALLS.items():
            index = page(f"index {len(plan.sources)}", "/wall", *(f"/after/{n}" for n in range(20)))
            plan.host(f"wall-{name}.test", {"/": index, "/wall": answer})
        plan.host("redirects.test", {"/": page("redirects", *(f"/{n}" for n in range(9)))})
        forbidden = robots("User-agent: *", "Disallow: /secret")
        plan.host("other.test", {"/robots.txt": forbidden, "/": page("other"), "/open": page("open")})
        plan.host("inside.test", {"/": page("inside")})
        targets = [
            "/landed",
            site.url("other.test", "/secret"),
            site.url("other.test", "/open"),
            site.url("outside.test", "/"),
            "http://169.254.169.254/latest/meta-data/",
            "file:///etc/passwd",
            site.url("inside.test", "/admin"),
            "/7",
            "http://user:secret@other.test/",
        ]
        for number, target in enumerate(targets):
            plan.answers["redirects.test", f"/{number}"] = redirect(target)
        plan.answers["redirects.test", "/landed"] = Answer(page("landed"))
        plan.host("chain.test", {f"/{n}": redirect(f"/{n + 1}", 301) for n in range(9)}, start="/0")
        plan.host("moving.test", {"/": page("moving", "/1", "/2"), "/1": page("m1"), "/2": page("m2")})

    limits = {"timeout_seconds": 4.0, "body_bytes": 200_000, "failures_in_a_row": 99}
    return gather(make, "--limits", json.dumps(limits))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_kept_dropped_or_refused_for_its_reason(path: str, by_page: Collected) -> None:
    assert by_page.reason("pages.test", path) == PAGES[path][1]


def test_a_kept_page_is_stored_byte_for_byte_whatever_its_encoding(by_page: Collected) -> None:
    for path in ("/sjis", "/euc", "/broken", "/plain.txt"):
        decision = by_page.of("pages.test", path)
        assert (by_page.folder / str(decision.file)).read_bytes() == PAGES[path][0].body
        assert decision.content_type == PAGES[path][0].kind


def test_what_was_dropped_stands_in_no_file(by_page: Collected) -> None:
    files = [path for path in by_page.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    for encoding in ("utf-8", "cp932", "euc_jp", "utf-16-le"):
        assert [path for path in files if DROPPED.encode(encoding) in path.read_bytes()] == []


def test_a_page_that_robots_txt_or_a_reservation_forbids_is_never_asked_for(by_page: Collected) -> None:
    assert not {"/books/1", "/private/1", "/%70rivate/2", "/private/2"} & set(by_page.site.paths("pages.test"))


def test_f4_a_body_without_end_is_cut_off(by_page: Collected) -> None:
    assert by_page.site.sent < 100 * 1024 * 1024
    assert all((path.stat().st_size <= 200_000) for path in (by_page.folder / "pages").rglob("*.html"))


@pytest.mark.parametrize("name", WALLS)
def test_a_wall_stops_its_host_and_nothing_more_is_asked_of_it(name: str, by_page: Collected) -> None:
    host, reason = f"wall-{name}.test", WALLS[name][1]
    assert by_page.reason(host, "/wall") == reason
    assert by_page.content.stops[host].reason == reason
    assert by_page.site.pages(host) == ["/", "/wall"]
    after = by_page.of(host, "/after/0")
    assert (after.reason, after.detail, after.outcome) == ("host_stopped", reason, "stopped")


@pytest.mark.parametrize(
    ("number", "reason"),
    [(0, "redirected"), (1, "redirected"), (2, "redirected"), (3, "outside_sources"), (4, "outside_sources"),
     (5, "not_the_web"), (6, "redirected"), (7, "duplicate_url"), (8, "not_the_web")],
)  # fmt: skip
def test_f4_a_redirect_is_followed_only_where_the_registry_leads(number: int, reason: str, by_page: Collected) -> None:
    assert by_page.reason("redirects.test", f"/{number}") == reason


def test_a_redirect_is_judged_again_where_it_lands(by_page: Collected) -> None:
    assert by_page.reason("redirects.test", "/landed") == "kept"
    assert by_page.reason("other.test", "/secret") == "robots_rule"
    assert "/secret" not in by_page.site.paths("other.test")
    assert by_page.reason("inside.test", "/admin") == "private_address"


def test_f4_a_name_with_one_private_address_is_never_connected_to(by_page: Collected) -> None:
    assert by_page.reason("inside.test") == "private_address"
    assert by_page.site.paths("inside.test") == []


def test_f4_a_name_is_resolved_once_so_that_it_cannot_move(by_page: Collected) -> None:
    lookups = json.loads(by_page.ended.out.splitlines()[-1].removeprefix("lookups "))
    assert lookups["moving.test"] == 1
    assert [by_page.reason("moving.test", path) for path in ("/", "/1", "/2")] == ["kept"] * 3


def test_redirects_without_end_are_given_up(by_page: Collected) -> None:
    assert by_page.site.pages("chain.test") == [f"/{n}" for n in range(6)]
    assert by_page.reason("chain.test", "/5") == "redirects"


def test_the_ledger_is_whole_and_sealed_to_its_end(by_page: Collected) -> None:
    assert by_page.content.damage == ()
    kinds = [next(iter(json.loads(line))) for line in (by_page.folder / "ledger.jsonl").read_text("utf-8").splitlines()]
    assert kinds[0] == "open"
    assert kinds[-2:] == ["close", "seal"]


def test_statement_and_list_of_pages_say_what_the_ledger_says(by_page: Collected) -> None:
    statement = json.loads((by_page.folder / "data_statement.json").read_bytes())
    by_id = {source["id"]: source for source in statement["sources"]}
    outcomes = Counter(PAGES[path][1] == "kept" for path in PAGES)
    assert by_id["pages"]["pages"]["kept"] == outcomes[True] + 1
    assert by_id["pages"]["pages"]["refused_by_robots"] == 4
    assert by_id["pages"]["pages"]["refused_by_terms"] == 5
    assert by_id["wall-403"]["pages"]["stopped"] == 21
    assert by_id["pages"]["terms_sha256"] == by_page.of("pages.test").terms_sha256
    assert statement["ledger"]["sha256"] == by_page.content.sha256
    listed = [json.loads(line) for line in (by_page.folder / "pages.jsonl").read_text("utf-8").splitlines()]
    assert len(listed) == sum(source["pages"]["kept"] for source in statement["sources"])
    assert all((by_page.folder / entry["file"]).stat().st_size == entry["bytes"] for entry in listed)


def test_counts_are_shown_at_the_end(by_page: Collected) -> None:
    assert by_page.ended.code == 0
    assert re.search(r"wall-403 +tier 1 .*kept 採用 1 .*stopped 停止 21", by_page.ended.out)
    assert re.search(r"not kept .*host_stopped \d+", by_page.ended.out)


# -- sources: reviews, terms, budgets, order -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_source(gather: Callable[..., Collected]) -> Collected:
    def make(site: Site, plan: Plan) -> None:
        plan.host("tier3.test", {"/": page("tier3", "/1"), "/1": page("t3 1")}, tier=3)
        plan.host("tier1.test", {"/": page("tier1", "/1"), "/1": page("t1 1")}, tier=1)
        plan.host("unreviewed.test", {"/": page("u")}, reviewed_by=None)
        plan.host("undated.test", {"/": page("u")}, reviewed_at=None)
        plan.host("changed.test", {"/": page("changed")}, terms_sha256="0" * 64)
        plan.host("no-terms.test", {"/": page("no terms")}, terms_url=site.url("terms.test", "/none"))
        plan.host("far-terms.test", {"/": page("far terms")}, terms_url=site.url("unknown.test", "/terms"))
        days = {f"/day/{n}": page(f"day {n}", f"/day/{n + 1}", f"/day/{n}/day/{n}/day/x") for n in range(40)}
        plan.host("calendar.test", days, start="/day/0", max_pages=5, max_depth=30)
        steps = {f"/day/{n}": page(f"step {n}", f"/day/{n + 1}") for n in range(40)}
        plan.host("deep.test", steps, start="/day/0", max_depth=2)
        plan.host("paths.test", {"/law/": page("law", "/law/1", "/news/1"), "/law/1": page("law 1")},
                  start="/law/", allowed_paths=["/law/"])  # fmt: skip
        plan.host("pause.test", {"/robots.txt": robots("User-agent: *", "Crawl-delay: 0.6"),
                                 "/": page("pause", "/1"), "/1": page("p1")})  # fmt: skip
        plan.host("links.test", {"/": page("links", head='<meta name="robots" content="nofollow">') + b"<a href=/x>"})
        entry = "<url><loc>{}</loc><lastmod>{}</lastmod></url>"
        dated = [entry.format(site.url("news.test", f"/{day}"), f"2026-05-{day}T00:00:00Z") for day in (11, 13, 12)]
        index = f"<sitemapindex><sitemap><loc>{site.url('news.test', '/map.xml')}</loc></sitemap></sitemapindex>"
        plan.host("news.test", {"/": page("news", "/10"), "/10": page("n10"), "/11": page("n11"), "/12": page("n12"),
                                "/13": page("n13"), "/index.xml": Answer(index.encode(), kind="application/xml"),
                                "/map.xml": Answer(f"<urlset>{''.join(dated)}</urlset>".encode(), kind="text/xml")},
                  sitemaps=[site.url("news.test", "/index.xml")])  # fmt: skip
        rel = b'<a href="/x" rel="nofollow ugc">x</a><a href="/y">y</a>'
        plan.host("rel.test", {"/": page("rel") + rel, "/y": page("y")})

    return gather(make)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("unreviewed.test", "not_reviewed"),
        ("undated.test", "not_reviewed"),
        ("changed.test", "terms_changed"),
        ("no-terms.test", "terms_unreadable"),
        ("far-terms.test", "terms_unreadable"),
    ],
)
def test_a_source_without_a_review_or_its_terms_is_not_asked(host: str, reason: str, by_source: Collected) -> None:
    assert by_source.reason(host) == reason
    assert by_source.of(host).outcome == "refused_by_terms"
    assert by_source.site.paths(host) == []


def test_the_terms_are_read_before_the_first_page_and_kept(by_source: Collected) -> None:
    asked = [(one.host, one.path) for one in by_source.site.asked]
    assert asked.index(("terms.test", "/terms")) < asked.index(("tier1.test", "/"))
    digest = by_source.of("tier1.test").terms_sha256
    assert "You may use this" in (by_source.folder / "terms" / str(digest)[:2] / f"{digest}.txt").read_text("utf-8")


def test_a_higher_tier_is_asked_first(by_source: Collected) -> None:
    urls = [decision.url for decision in by_source.content.decisions.values()]
    assert urls.index(by_source.site.url("tier1.test")) < urls.index(by_source.site.url("tier3.test"))


def test_of_what_a_sitemap_lists_the_newest_is_asked_for_first(by_source: Collected) -> None:
    assert by_source.site.pages("news.test")[-5:] == ["/13", "/12", "/11", "/", "/10"]


def test_a_calendar_without_end_ends_with_the_sources_budget(by_source: Collected) -> None:
    assert by_source.site.pages("calendar.test") == [f"/day/{n}" for n in range(5)]
    assert "more found than max_pages permits" in by_source.ended.out


def test_links_are_followed_to_the_depth_the_registry_permits(by_source: Collected) -> None:
    assert by_source.site.pages("deep.test") == ["/day/0", "/day/1", "/day/2"]


def test_only_allowed_paths_are_asked_for(by_source: Collected) -> None:
    assert by_source.site.pages("paths.test") == ["/law/", "/law/1"]
    assert by_source.of("paths.test", "/law/").found["outside_sources"] == 1


def test_crawl_delay_is_waited_for(by_source: Collected) -> None:
    times = [asked.at for asked in by_source.site.asked if asked.host == "pause.test" and asked.path in ("/", "/1")]
    assert len(times) == 2
    assert times[1] - times[0] > 0.4


def test_links_are_not_followed_where_page_or_link_says_nofollow(by_source: Collected) -> None:
    assert by_source.site.pages("links.test") == ["/"]
    assert by_source.site.pages("rel.test") == ["/", "/y"]
