"""Runs a collection in this process: registry in, ledger, pages and statement out.

Once per process, for the engine's reactor cannot be started again. Signals end it in order: what is under way is
finished, nothing new begins, and the same call goes on later where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from scrapy import signals
from scrapy.crawler import CrawlerProcess
from scrapy.utils.asyncio import call_later
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kiseki.record.clock import Clock, SystemClock, TimestampWriter
from so8t.data.collect.addresses import AddressBook, Lookup, Network, system_lookup
from so8t.data.collect.collection import Collection
from so8t.data.collect.connecting import GatedHandler, PinnedResolver
from so8t.data.collect.decisions import Decision
from so8t.data.collect.frontier import Found, found_before
from so8t.data.collect.ledger import CannotWrite, Ledger
from so8t.data.collect.limits import Limits
from so8t.data.collect.middleware import RulesMiddleware
from so8t.data.collect.registry import Registry, load_registry
from so8t.data.collect.spider import CollectSpider
from so8t.data.collect.statement import write_statement

PRODUCT_TOKEN = "kiseki-collector"
"""The name by which a site's robots.txt can address this collector: letters and hyphens only (RFC 9309, 2.2.1)."""

_SCRAPY_DEFAULTS_LEFT_OUT = (
    "scrapy.downloadermiddlewares.cookies.CookiesMiddleware",
    "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware",
    "scrapy.downloadermiddlewares.httpcache.HttpCacheMiddleware",
    "scrapy.downloadermiddlewares.httpproxy.HttpProxyMiddleware",
    "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware",
    "scrapy.downloadermiddlewares.redirect.MetaRefreshMiddleware",
    "scrapy.downloadermiddlewares.redirect.RedirectMiddleware",
    "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware",
)


@dataclass(frozen=True, slots=True)
class Collected:
    """How a run ended.

    Attributes:
        statement: the data statement's part, over all runs into the folder.
        interrupted: whether a signal ended it.
        over_budget: by source, addresses left out because its `max_pages` were asked for.
    """

    statement: dict[str, Any]
    interrupted: bool
    over_budget: dict[str, int]


def user_agent(contact: str) -> str:
    """How the collector presents itself, everywhere the same.

    Example:
        >>> user_agent("https://example.org/crawler").partition("/")[0]
        'kiseki-collector'
    """
    return f"{PRODUCT_TOKEN}/{version('kiseki')} (+{contact})"


def run_collection(
    sources: Path,
    out: Path,
    *,
    allowed_networks: Sequence[Network] = (),
    lookup: Lookup = system_lookup,
    limits: Limits | None = None,
    clock: Clock | None = None,
    on_decision: Callable[[Decision], None] = lambda decision: None,
) -> Collected:
    """Collect what the registry permits, or go on with it.

    Args:
        sources: the registry.
        out: the collection's folder; made when missing.
        allowed_networks: not public, and yet connected to: for a site of one's own, such as a test's or a demo's.
        lookup: resolves names.
        limits: bounds; the usual ones when None.
        clock: for times; the system's when None.
        on_decision: told of every decision.

    Raises:
        RegistryError: the registry is wrong.
        RunFolderError: the folder cannot be written, or another process collects into it.
        JournalDamaged: the ledger is not what was written.
        PageChanged: a page is not what was kept.
        CannotWrite: evidence or a page could not be written; the collection ended there.
    """
    registry = load_registry(sources)
    clock, limits = clock or SystemClock(), limits or Limits()
    ledger = Ledger(out, clock, _opened(registry, sources))
    collection = Collection(
        out,
        registry,
        ledger,
        addresses=AddressBook(allowed_networks, lookup),
        limits=limits,
        clock=clock,
        product_token=PRODUCT_TOKEN,
        on_decision=on_decision,
    )
    ended = "fault"
    try:
        ended = _crawl(collection, found_before(collection))
    finally:
        ledger.close({"ended": "fault" if collection.fault else ended, "over_budget": dict(collection.over_budget)})
    if collection.fault is not None:
        raise collection.fault
    try:
        statement = write_statement(out, TimestampWriter()(clock.wall_nanoseconds()))
    except OSError as error:
        raise CannotWrite(
            f"{out}: the statement cannot be written: {error.strerror}; free the disk, then run the same command again"
        ) from error
    return Collected(statement, ended != "finished", dict(collection.over_budget))


class _Process(CrawlerProcess):
    """Ends soon where it is told to end, by a signal or by us: a host's long pauses are not waited for."""

    def stop(self) -> Deferred[Any]:
        for crawler in self.crawlers:
            if isinstance(crawler.spider, CollectSpider):
                crawler.spider.end()
        return super().stop()


def _opened(registry: Registry, sources: Path) -> dict[str, Any]:
    return {
        "collector": user_agent(registry.contact),
        "product_token": PRODUCT_TOKEN,
        "registry_sha256": hashlib.sha256(sources.read_bytes()).hexdigest(),
        "sources": msgspec.to_builtins(registry.in_order()),
    }


def _crawl(collection: Collection, before: Sequence[Found]) -> str:
    """Run the engine to its end; says how it ended."""
    process = _Process(_settings(collection))
    crawler = process.create_crawler(CollectSpider)

    def on_spider_error(failure: Failure, **_: Any) -> None:
        error = failure.value
        collection.fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def halt() -> None:
        call_later(0, process.stop)

    collection.halt = halt
    crawler.signals.connect(on_spider_error, signals.spider_error)
    process.crawl(crawler, collection=collection, before=before)
    process.start()
    spider = crawler.spider
    return spider.ended if isinstance(spider, CollectSpider) else "fault"


def _settings(collection: Collection) -> dict[str, Any]:
    limits, addresses = collection.limits, collection.addresses

    def resolver(reactor: Any) -> PinnedResolver:
        return PinnedResolver(addresses, reactor)

    return {
        "USER_AGENT": user_agent(collection.registry.contact),
        "DEFAULT_REQUEST_HEADERS": {"Accept": "text/html,application/xhtml+xml,text/plain;q=0.9"},
        # Rules, redirects and evidence are ours; what Scrapy would decide by itself is switched off.
        "DOWNLOADER_MIDDLEWARES": {RulesMiddleware: 100, **dict.fromkeys(_SCRAPY_DEFAULTS_LEFT_OUT)},
        "SPIDER_MIDDLEWARES": {
            "scrapy.spidermiddlewares.depth.DepthMiddleware": None,
            "scrapy.spidermiddlewares.urllength.UrlLengthMiddleware": None,
        },
        "HTTPERROR_ALLOW_ALL": True,
        "REFERER_ENABLED": False,
        "TWISTED_DNS_RESOLVER": resolver,
        "DOWNLOAD_HANDLERS": {
            "http": GatedHandler,
            "https": GatedHandler,
            **dict.fromkeys(("data", "file", "ftp", "s3")),
        },
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        "DOWNLOAD_MAXSIZE": limits.body_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_TIMEOUT": limits.timeout_seconds,
        "DOWNLOAD_DELAY": limits.least_seconds_between_requests,
        "DOWNLOAD_DELAY_JITTER": 0.0,
        "CONCURRENT_REQUESTS": 64,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "RETRY_TIMES": limits.retries,
        "RETRY_HTTP_CODES": [408, 500, 502, 504, 522, 524],
        "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
        "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue",
        "LOG_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "MEMUSAGE_ENABLED": False,
    }
