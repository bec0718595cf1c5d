"""Asks each site for its rules before anything else, once a day, and remembers them by scheme, host and port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kiseki.record.clock import Clock
from so8t.data.collect.decisions import Refused
from so8t.data.collect.limits import Limits
from so8t.data.collect.origin import Origin, origin_of
from so8t.data.collect.robots_policy import Answer, RobotsRules, judge_robots
from so8t.data.collect.scope import led_to
from so8t.data.collect.tdm import WELL_KNOWN, TdmRules, judge_tdm

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Hop:
    """One answer on the way to a site's file.

    Attributes:
        answer: what came.
        location: where it sends us, absolute; None where it does not.
    """

    answer: Answer
    location: str | None = None


Ask = Callable[[str], Awaitable[Hop]]
"""Sends one request, without following redirects; never raises for what a server or a network does."""


@dataclass(frozen=True, slots=True)
class SiteRules:
    """The rules of one site.

    Attributes:
        robots: its robots.txt.
        tdm: its reservations; None where robots.txt keeps us from asking.
    """

    robots: RobotsRules
    tdm: TdmRules | None


class SiteRulesCache:
    """The rules of every site that was asked.

    Args:
        product_token: whose rules are read.
        clock: tells when rules are too old.
        limits: how old, and how many redirects.
        note: told of every robots.txt that was asked for; writes the evidence.
    """

    def __init__(self, product_token: str, clock: Clock, limits: Limits, note: Callable[[RobotsRules], None]) -> None:
        self._product_token = product_token
        self._clock = clock
        self._limits = limits
        self._note = note
        self._rules: dict[Origin, tuple[int, SiteRules]] = {}
        self._turns: dict[Origin, asyncio.Lock] = {}

    async def of(self, url: str, ask: Ask) -> SiteRules:
        """The rules of the site that an address is on. Of several callers one asks, and the others wait for it."""
        origin = origin_of(url)
        async with self._turns.setdefault(origin, asyncio.Lock()):
            now = self._clock.monotonic_nanoseconds()
            kept = self._rules.get(origin)
            if kept is not None and now - kept[0] < self._limits.robots_age_seconds * 1e9:
                return kept[1]
            rules = await self._fetch(origin, ask)
            self._rules[origin] = (now, rules)
            return rules

    async def _fetch(self, origin: Origin, ask: Ask) -> SiteRules:
        url = origin.root + "/robots.txt"
        robots = judge_robots(url, await self._follow(url, ask), self._product_token)
        self._note(robots)
        well_known = origin.root + WELL_KNOWN
        try:
            robots.check(well_known)
        except Refused:
            return SiteRules(robots, None)
        return SiteRules(robots, judge_tdm(await self._follow(well_known, ask)))

    async def _follow(self, url: str, ask: Ask) -> Answer:
        """Ask, following redirects wherever they lead: what is found counts for the site that was asked first."""
        for _ in range(self._limits.redirects + 1):
            hop = await ask(url)
            if hop.answer.status not in REDIRECT_STATUSES:
                return hop.answer
            onward = led_to(url, hop.location) if hop.location else None
            if onward is None:
                break
            url = onward
        return Answer(error="redirects")
