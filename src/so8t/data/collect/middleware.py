"""Stands between engine and network: no request goes out that a rule forbids, and none sooner than it may."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from scrapy import Request
from scrapy.http import Response

from so8t.data.collect.collection import Collection
from so8t.data.collect.decisions import Reason, Refused
from so8t.data.collect.failures import reason_of
from so8t.data.collect.origin import origin_of
from so8t.data.collect.page import content_type, header_values
from so8t.data.collect.robots_policy import Answer
from so8t.data.collect.site_rules import Hop

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from so8t.data.collect.registry import Source
    from so8t.data.collect.spider import CollectSpider

PAGE, TERMS_PAGE, SITEMAP, SITE_FILE = "page", "terms", "sitemap", "site file"
"""What a request is for (`meta["role"]`): a page; a source's terms or its list of pages; robots.txt and its like, which
need no leave."""


class RulesMiddleware:
    """Asks for every rule before a request, in the order: terms, stopped, private, robots.txt, reservation, budget.

    Args:
        crawler: its engine sends the requests for a site's own files.
        collection: the state.
    """

    def __init__(self, crawler: Crawler, collection: Collection) -> None:
        self._crawler = crawler
        self._collection = collection
        self._pauses: dict[str, float] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RulesMiddleware:
        """Made by the engine; the spider brings the collection."""
        return cls(crawler, cast("CollectSpider", crawler.spider).collection)

    async def process_request(self, request: Request) -> None:
        """Let a request pass or not.

        Raises:
            Refused: a rule forbids it.
            OverBudget: enough of its source was asked for.
            Ended: the collection comes to its end.
        """
        collection, source, role = self._collection, request.meta["source"], request.meta["role"]
        if role in (PAGE, SITEMAP):
            collection.check_terms(source)
        collection.may_go(request.url)
        await asyncio.to_thread(collection.addresses.pin, origin_of(request.url).host)
        self._pace(request, source.seconds_between_requests)
        if role == SITE_FILE:
            return
        rules = await collection.rules.of(request.url, partial(self._ask, source))
        request.meta["robots"] = rules.robots.check(request.url)
        self._pace(request, rules.robots.file.crawl_delay_seconds or 0.0)
        if role == PAGE:
            if rules.tdm is not None:
                rules.tdm.check(request.url)
            collection.may_go(request.url)
            if not request.meta.get("retry_times"):
                collection.count_request(source)

    def process_response(self, request: Request, response: Response) -> Response:
        """Give a slow host time: the pause before the next request is at least as long as its answer took."""
        latency = min(request.meta.get("download_latency", 0.0), self._collection.limits.timeout_seconds)
        self._set_pause(origin_of(request.url).host, latency)
        return response

    def _pace(self, request: Request, seconds: float) -> None:
        """Take in how long to pause between requests to a host; the longest that anybody asked for counts."""
        limits, host = self._collection.limits, origin_of(request.url).host
        if seconds > limits.longest_crawl_delay_seconds and request.meta["role"] != SITE_FILE:
            raise Refused(Reason.CRAWL_DELAY, f"{seconds:g} s")
        self._pauses[host] = max(self._pauses.get(host, 0.0), seconds, limits.least_seconds_between_requests)
        self._set_pause(host)

    def _set_pause(self, host: str, at_least: float = 0.0) -> None:
        pause = max(self._pauses.get(host, 0.0), at_least)
        downloader = self._crawler.engine.downloader
        downloader.per_slot_settings[host] = {"concurrency": 1, "delay": pause, "jitter": 0.0}
        if host in downloader.slots and not self._collection.ending:
            downloader.slots[host].delay = pause

    async def _ask(self, source: Source, url: str) -> Hop:
        """Ask for one of a site's own files."""
        limits = self._collection.limits
        request = Request(
            url,
            priority=1_000_000,
            dont_filter=True,
            meta={"role": SITE_FILE, "source": source, "download_maxsize": limits.robots_bytes},
        )
        try:
            response = await self._crawler.engine.download_async(request)
        except Exception as error:
            reason = reason_of(error)
            if reason is None:
                raise
            return Hop(Answer(error=reason.value))
        location = next(iter(header_values(response, "Location")), None)
        return Hop(Answer(response.status, response.body, content_type(response)), location)
