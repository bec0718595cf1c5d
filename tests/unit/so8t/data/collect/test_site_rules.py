"""Robots policy and its cache: what an answer permits, who asks, and for how long it counts."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from so8t.data.collect.decisions import Reason, Refused
from so8t.data.collect.limits import Limits
from so8t.data.collect.robots_policy import Answer, RobotsRules, judge_robots
from so8t.data.collect.site_rules import Hop, SiteRules, SiteRulesCache
from so8t.data.collect.tdm import judge_tdm
from support import ToldClock

SITE = "https://a.example"
DISALLOW = b"User-agent: *\nDisallow: /"


@dataclass
class Server:
    """Answers by address; counts."""

    answers: dict[str, Hop]
    asked: list[str] = field(default_factory=list)

    async def ask(self, url: str) -> Hop:
        self.asked.append(url)
        await asyncio.sleep(0)
        return self.answers.get(url, Hop(Answer(404)))


def cache(clock: ToldClock | None = None, note: Callable[[RobotsRules], None] = lambda rules: None) -> SiteRulesCache:
    return SiteRulesCache("kiseki-collector", clock or ToldClock(), Limits(), note)


def rules_of(server: Server, url: str = SITE + "/x") -> SiteRules:
    return asyncio.run(cache().of(url, server.ask))


@pytest.mark.parametrize(
    ("answer", "forbidden"),
    [
        (Answer(200, b"User-agent: *\nAllow: /"), None),
        (Answer(200, b""), None),
        (Answer(204), None),
        (Answer(400), None),
        (Answer(401), Reason.ROBOTS_FORBIDDEN),
        (Answer(403), Reason.ROBOTS_FORBIDDEN),
        (Answer(404), None),
        (Answer(410), None),
        (Answer(429), Reason.ROBOTS_FORBIDDEN),
        (Answer(451), Reason.ROBOTS_FORBIDDEN),
        (Answer(304), Reason.ROBOTS_UNREACHABLE),
        (Answer(500), Reason.ROBOTS_UNREACHABLE),
        (Answer(503), Reason.ROBOTS_UNREACHABLE),
        (Answer(None), Reason.ROBOTS_UNREACHABLE),
        (Answer(error="timeout"), Reason.ROBOTS_UNREACHABLE),
        (Answer(error="name"), Reason.ROBOTS_UNREACHABLE),
        (Answer(error="redirects"), Reason.ROBOTS_UNREADABLE),
        (Answer(error="too_large"), Reason.ROBOTS_UNREADABLE),
        (Answer(200, b" <!DOCTYPE html><p>", "text/plain"), Reason.ROBOTS_UNREADABLE),
        (Answer(200, b"User-agent: *\nAllow: /", "text/html"), Reason.ROBOTS_UNREADABLE),
        (Answer(200, "User-agent: *\nDisallow: /".encode("utf-16"), "text/plain"), Reason.ROBOTS_UNREADABLE),
        (Answer(200, "User-agent: *\nDisallow: /".encode("utf-16-le"), "text/plain"), Reason.ROBOTS_UNREADABLE),
    ],
)
def test_only_a_file_or_its_absence_permits(answer: Answer, forbidden: Reason | None) -> None:
    rules = judge_robots(SITE + "/robots.txt", answer, "kiseki-collector")
    assert rules.forbidden is forbidden
    if forbidden is None:
        rules.check(SITE + "/page")
    else:
        with pytest.raises(Refused) as caught:
            rules.check(SITE + "/page")
        assert caught.value.reason is forbidden


@pytest.mark.parametrize("path", ["/private", "/%70rivate", "/pri%76ate/x", "/%E7%A7%98", "/秘", "/%e7%a7%98"])
def test_every_spelling_of_a_forbidden_path_is_forbidden(path: str) -> None:
    body = "User-agent: *\nDisallow: /private\nDisallow: /秘\n".encode()
    rules = judge_robots(SITE + "/robots.txt", Answer(200, body), "kiseki-collector")
    with pytest.raises(Refused, match="robots_rule"):
        rules.check(SITE + path)


def test_rules_found_through_redirects_count_for_the_first_site() -> None:
    moved = Hop(Answer(301), "https://b.example/robots.txt")
    server = Server({SITE + "/robots.txt": moved, "https://b.example/robots.txt": Hop(Answer(200, DISALLOW))})
    rules = rules_of(server)
    with pytest.raises(Refused, match="robots_rule"):
        rules.robots.check(SITE + "/x")
    assert rules.robots.url == SITE + "/robots.txt"


@pytest.mark.parametrize(("hops", "forbidden"), [(5, None), (6, Reason.ROBOTS_UNREADABLE)])
def test_five_redirects_are_followed_and_not_six(hops: int, forbidden: Reason | None) -> None:
    answers = {SITE + "/robots.txt": Hop(Answer(302), "/1")}
    answers |= {f"{SITE}/{n}": Hop(Answer(302), f"/{n + 1}") for n in range(1, hops)}
    answers[f"{SITE}/{hops}"] = Hop(Answer(200, b"User-agent: *\nAllow: /"))
    assert rules_of(Server(answers)).robots.forbidden is forbidden


@pytest.mark.parametrize("location", [None, "", "file:///etc/passwd", "http://["])
def test_a_redirect_to_nowhere_permits_nothing(location: str | None) -> None:
    server = Server({SITE + "/robots.txt": Hop(Answer(301), location)})
    assert rules_of(server).robots.forbidden in (Reason.ROBOTS_UNREADABLE, Reason.ROBOTS_UNREACHABLE)


def test_many_callers_ask_once_and_all_wait_for_the_answer() -> None:
    server, noted = Server({SITE + "/robots.txt": Hop(Answer(200, DISALLOW))}), list[RobotsRules]()
    kept = cache(note=noted.append)

    async def all_at_once() -> list[SiteRules]:
        return await asyncio.gather(*(kept.of(f"{SITE}/{n}", server.ask) for n in range(20)))

    assert {rules.robots.forbidden for rules in asyncio.run(all_at_once())} == {None}
    assert server.asked == [SITE + "/robots.txt"]
    assert len(noted) == 1


def test_scheme_and_port_have_rules_of_their_own() -> None:
    server, kept = Server({}), cache()

    async def ask_all() -> None:
        for url in ("https://a.example/", "http://a.example/", "https://a.example:8443/", "https://a.example:443/"):
            await kept.of(url, server.ask)

    asyncio.run(ask_all())
    robots = [url for url in server.asked if url.endswith("/robots.txt")]
    assert robots == [f"{root}/robots.txt" for root in (SITE, "http://a.example", "https://a.example:8443")]


@pytest.mark.parametrize(("hours", "times"), [(23.9, 1), (24.1, 2)])
def test_rules_count_for_a_day(hours: float, times: int) -> None:
    clock, server = ToldClock(), Server({})
    kept = cache(clock)

    async def twice() -> None:
        await kept.of(SITE, server.ask)
        clock.pass_seconds(hours * 3600)
        await kept.of(SITE, server.ask)

    asyncio.run(twice())
    assert server.asked.count(SITE + "/robots.txt") == times


def test_reservations_are_not_asked_for_where_robots_txt_forbids_it() -> None:
    server = Server({SITE + "/robots.txt": Hop(Answer(200, DISALLOW))})
    assert rules_of(server).tdm is None
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404), None),
        (Answer(204), None),
        (Answer(200, b"<html>not found</html>"), Reason.TDM_RESERVED),
        (Answer(200), Reason.TDM_RESERVED),
        (Answer(200, b'[{"location": "/", "tdm-reservation": 1},]'), Reason.TDM_RESERVED),
        (Answer(200, b"[" * 9999), Reason.TDM_RESERVED),
        (Answer(200, b"[" + b"1" * 9999 + b"]"), Reason.TDM_RESERVED),
        (Answer(200, b'[{"location": "/", "tdm-reservation": 2}]'), Reason.TDM_RESERVED),
        (Answer(200, '\ufeff[{"location": "/open/", "tdm-reservation": 1}]'.encode()), Reason.TDM_RESERVED),
        (Answer(200, '\ufeff[{"location": "/other/", "tdm-reservation": 1}]'.encode()), None),
        (Answer(200, '[{"location": "/open/", "tdm-reservation": 1}]'.encode("utf-16")), Reason.TDM_RESERVED),
        (Answer(200, '[{"location": "/other/", "tdm-reservation": 1}]'.encode("utf-16")), None),
        (Answer(203, b'[{"location": "/", "tdm-reservation": 1}]'), Reason.TDM_RESERVED),
        (Answer(300), Reason.TDM_UNREACHABLE),
        (Answer(200, b'[{"location": "/open/*", "tdm-reservation": 0}]'), None),
        (Answer(200, b'[{"location": "/other/", "tdm-reservation": 1}]'), None),
        (Answer(200, b'[{"location": "/", "tdm-reservation": 1}]'), Reason.TDM_RESERVED),
        (Answer(200, b'[{"location": "*.pdf$", "tdm-reservation": 1},{"tdm-reservation": "1"}]'), Reason.TDM_RESERVED),
        (Answer(200, b'[{"location": 7}]'), Reason.TDM_RESERVED),
        (Answer(200, b'{"tdm-reservation": 1}'), Reason.TDM_RESERVED),
        (Answer(500), Reason.TDM_UNREACHABLE),
        (Answer(403), Reason.TDM_UNREACHABLE),
        (Answer(error="timeout"), Reason.TDM_UNREACHABLE),
    ],
)
def test_a_reservation_is_honoured_and_an_unclear_one_too(answer: Answer, reason: Reason | None) -> None:
    rules = judge_tdm(answer)
    if reason is None:
        rules.check(SITE + "/open/page")
    else:
        with pytest.raises(Refused) as caught:
            rules.check(SITE + "/open/page")
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("location", "reserved"),
    [
        ("/open/*", True),
        ("open/*", True),
        (" /open/ ", True),
        ("", True),
        ("https://a.example/open/*", True),
        ("http://a.example/open/", True),
        ("//a.example/open/", True),
        ("https://a.example", True),
        ("*.html$", True),
        ("/%6Fpen/", True),
        ("/o\npen/", True),
        ("/open/page.html?old=*", False),
        ("https://a.example/closed/", False),
        ("closed/*", False),
        ("/page", False),
    ],
)
def test_a_reserved_location_is_understood_however_it_is_written(location: str, reserved: bool) -> None:
    body = json.dumps([{"location": location, "tdm-reservation": 1}]).encode()
    rules = judge_tdm(Answer(200, body))
    for spelling in ("/open/page.html", "/%6fpen/page.html"):
        if reserved:
            with pytest.raises(Refused, match="tdm_reserved"):
                rules.check(SITE + spelling)
        else:
            rules.check(SITE + spelling)
