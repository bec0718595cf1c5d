"""Goes through the sources by tier: terms first, then pages; turns every answer into one decision."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response
from twisted.python.failure import Failure

from so8t.data.collect.collection import Candidate, Collection, Ended, OverBudget
from so8t.data.collect.decisions import Reason, Refused
from so8t.data.collect.failures import reason_of
from so8t.data.collect.frontier import Found, frontier
from so8t.data.collect.judge import Verdict, judge
from so8t.data.collect.middleware import PAGE, SITE_FILE, SITEMAP, TERMS_PAGE
from so8t.data.collect.page import PAGE_TYPES, content_type, read_page
from so8t.data.collect.registry import Source
from so8t.data.collect.sitemap import Sitemap, read_sitemap
from so8t.data.collect.store import PAGES

_PER_TIER = 1_000_000_000
_PER_DAY = 100
_TERMS_PRIORITY = 500_000_000


class CollectSpider(Spider):
    """The crawl of one collection.

    Args:
        collection: its state.
        before: what earlier runs into the same folder found.

    Attributes:
        ended: why the crawl ended, as the engine says: `finished`, or `shutdown` when interrupted.
    """

    name = "collect"

    def __init__(self, collection: Collection, before: Sequence[Found], **more: Any) -> None:
        super().__init__(**more)
        self.collection = collection
        self.ended = ""
        self._before = before
        self._waiting: defaultdict[str, list[Candidate]] = defaultdict(list)

    def may_go(self, url: str) -> None:
        """The gate: whether a request whose turn has come may still go out."""
        self.collection.may_go(url)

    def saw(self, request: Request, response: Response) -> None:
        """The gate: judge an answer at once, so that a host is stopped before the next request to it."""
        if request.meta["role"] == SITE_FILE:
            return
        verdict = judge(response, self.collection.product_token, self.collection.now())
        request.meta["verdict"] = verdict
        if verdict.stops_host:
            self.collection.stop_host(response.url, verdict.reason)
        self.collection.count_outcome(response.url, verdict.reason)

    def missed(self, request: Request, error: Exception) -> None:
        """The gate: count a failure."""
        reason = reason_of(error)
        if reason is not None:
            self.collection.count_outcome(request.url, reason)

    def end(self) -> None:
        """Let nothing more go out; requests that wait for their turn get it at once, and the gate turns them back."""
        self.collection.ending = True
        for slot in self.crawler.engine.downloader.slots.values():
            slot.delay = 0.0

    def closed(self, reason: str) -> None:
        """Called by the engine at the end."""
        self.ended = reason

    async def start(self) -> AsyncIterator[Any]:
        """Begin with every source's terms; a source that nobody has reviewed is not asked at all."""
        for source in self.collection.registry.in_order():
            if source.reviewed:
                yield self._terms_request(source, source.terms_url, 0)
            else:
                for request in self._refuse_source(source, Reason.NOT_REVIEWED):
                    yield request

    # -- terms ---------------------------------------------------------------------------------------------------

    def _terms_request(self, source: Source, url: str, redirects: int) -> Request:
        return Request(
            url,
            callback=self.read_terms,
            errback=self.miss_terms,
            dont_filter=True,
            priority=self._priority(source) + _TERMS_PRIORITY,
            meta={"role": TERMS_PAGE, "source": source, "redirects": redirects},
        )

    def read_terms(self, response: Response) -> Iterator[Request]:
        """Digest the terms' text; ask for pages only where it is what was reviewed."""
        source: Source = response.meta["source"]
        verdict: Verdict = response.meta["verdict"]
        redirects = response.meta["redirects"] + 1
        if verdict.reason is Reason.REDIRECTED and verdict.redirect and redirects <= self.collection.limits.redirects:
            yield self._terms_request(source, verdict.redirect, redirects)
            return
        # a page of terms may ask not to be indexed: it is read, not collected
        is_text = response.status == 200 and content_type(response) in PAGE_TYPES and not verdict.stops_host
        text = (verdict.page or read_page(response)).text if is_text else ""
        if not text or verdict.reason is Reason.SOFT_404:
            yield from self._refuse_terms(source, response.status, None, Reason.TERMS_UNREADABLE)
        elif source.terms_sha256 not in (None, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()):
            yield from self._refuse_terms(source, response.status, text, Reason.TERMS_CHANGED)
        else:
            self.collection.note_terms(source, response.status, text, None)
            yield from self._begin_pages(source, [(url, 0) for url in source.sitemaps])

    def miss_terms(self, failure: Failure) -> Iterator[Request]:
        """Terms that cannot be had permit nothing."""
        source, reason = self._request(failure).meta["source"], self._reason(failure)
        if reason is not None:
            yield from self._refuse_terms(source, None, None, Reason.TERMS_UNREADABLE, reason.value)

    def _refuse_terms(
        self, source: Source, status: int | None, text: str | None, reason: Reason, detail: str | None = None
    ) -> Iterator[Request]:
        self.collection.note_terms(source, status, text, reason)
        yield from self._refuse_source(source, reason, detail)

    def _refuse_source(self, source: Source, reason: Reason, detail: str | None = None) -> Iterator[Request]:
        """Its addresses all the same go as far as the rules, which refuse each of them, and so each has its line."""
        self.collection.refuse(source, reason, detail)
        yield from self._begin_pages(source, [])

    # -- sitemaps, then pages ------------------------------------------------------------------------------------

    def _begin_pages(self, source: Source, sitemaps: Sequence[tuple[str, int]]) -> Iterator[Request]:
        """Read one list after the other, with the number of indexes that led to each; then ask for pages."""
        if not sitemaps:
            yield from self._ask_for(self._waiting.pop(source.id, []))
            yield from self._ask_for(frontier(self.collection, source, self._before))
            return
        (url, indexes), *left = sitemaps
        yield Request(
            url,
            callback=self.read_sitemap,
            errback=self.miss_sitemap,
            dont_filter=True,
            priority=self._priority(source) + _TERMS_PRIORITY,
            meta={"role": SITEMAP, "source": source, "indexes": indexes, "left": left},
        )

    def read_sitemap(self, response: Response) -> Iterator[Request]:
        """Take in what a source lists; an index leads to further files of the same hosts, but not to more indexes."""
        source, indexes = response.meta["source"], response.meta["indexes"]
        listed = read_sitemap(response.body) if response.status == 200 else Sitemap((), ())
        offered = (self.collection.offer(page.url, 1, changed=page.changed) for page in listed.pages)
        yield from self._ask_for(one for one in offered if isinstance(one, Candidate))
        further = [(url, 1) for url in listed.sitemaps if self.collection.scope.is_on_its_host(source, url)]
        yield from self._begin_pages(source, [*(further if not indexes else []), *response.meta["left"]])

    def miss_sitemap(self, failure: Failure) -> Iterator[Request]:
        """A list that cannot be had is done without."""
        if self._reason(failure) is not None:
            meta = self._request(failure).meta
            yield from self._begin_pages(meta["source"], meta["left"])

    def _ask_for(self, candidates: Iterable[Candidate]) -> Iterator[Request]:
        """Ask for pages; those of a source whose terms are still to be read wait for them."""
        for candidate in candidates:
            if self.collection.is_settled(candidate.source):
                yield self._page_request(candidate)
            else:
                self._waiting[candidate.source.id].append(candidate)

    def _page_request(self, candidate: Candidate) -> Request:
        return Request(
            candidate.url,
            callback=self.read,
            errback=self.miss,
            dont_filter=True,
            priority=self._priority(candidate.source, candidate.changed) - candidate.depth,
            meta={
                "role": PAGE,
                "source": candidate.source,
                "depth": candidate.depth,
                "redirects": candidate.redirects,
            },
        )

    def read(self, response: Response) -> Iterator[Request]:
        """Decide what becomes of an answer, and follow where it leads."""
        meta = response.meta
        verdict: Verdict = meta["verdict"]
        sha256 = hashlib.sha256(response.body).hexdigest()
        if verdict.reason is Reason.KEPT and not self.collection.is_new_content(sha256):
            verdict = Verdict(Reason.DUPLICATE_CONTENT)
        candidates, found = self._follow(verdict, meta["depth"])
        file = None
        if verdict.reason is Reason.KEPT:
            file = self.collection.keep(PAGES, response.body, PAGE_TYPES[content_type(response)])
            if file is None:
                return
        onward = self._redirected(verdict, meta)
        self.collection.decide(
            response.url,
            onward if isinstance(onward, Reason) else verdict.reason,
            source=meta["source"],
            depth=meta["depth"],
            robots=meta.get("robots"),
            detail=verdict.detail,
            status=response.status,
            bytes=len(response.body),
            content_type=_stated_type(response),
            sha256=sha256 if response.body else None,
            language=verdict.page.language if verdict.page else None,
            file=file,
            redirect=verdict.redirect,
            found=found,
        )
        if isinstance(onward, Candidate):
            candidates.append(onward)
        yield from self._ask_for(candidates)

    def miss(self, failure: Failure) -> None:
        """Write down why there is no answer."""
        reason = self._reason(failure)
        if reason is None:
            return
        request, error = self._request(failure), _exception(failure)
        refused = error if isinstance(error, Refused) else None
        self.collection.decide(
            request.url,
            reason,
            source=request.meta["source"],
            depth=request.meta["depth"],
            robots=refused.robots if refused else request.meta.get("robots"),
            detail=refused.detail if refused else type(error).__name__,
        )
        if refused is not None:
            self.collection.count_outcome(request.url, reason)

    def _redirected(self, verdict: Verdict, meta: dict[str, Any]) -> Candidate | Reason | None:
        """Where a redirect leads on; or why it does not; None for anything but a redirect."""
        if verdict.reason is not Reason.REDIRECTED or verdict.redirect is None:
            return None
        redirects = meta["redirects"] + 1
        if redirects > self.collection.limits.redirects:
            return Reason.REDIRECTS
        return self.collection.offer(verdict.redirect, meta["depth"], redirects) or Reason.DUPLICATE_URL

    def _follow(self, verdict: Verdict, depth: int) -> tuple[list[Candidate], dict[str, int]]:
        """The links worth asking for, and counts of all."""
        page = verdict.page
        if page is None:
            return [], {}
        candidates: list[Candidate] = []
        counts: Counter[str] = Counter(links=len(page.links))
        for link in page.links:
            if link.nofollow or not verdict.follow:
                counts["nofollow"] += 1
                continue
            offered = self.collection.offer(link.url, depth + 1)
            if isinstance(offered, Candidate):
                candidates.append(offered)
            counts["to_follow" if isinstance(offered, Candidate) else offered.value if offered else "known"] += 1
        return candidates, dict(counts)

    # -- both ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _priority(source: Source, changed: date | None = None) -> int:
        """Tier first, then what changed last."""
        return -source.tier * _PER_TIER + (changed.toordinal() * _PER_DAY if changed else 0)

    def _reason(self, failure: Failure) -> Reason | None:
        """Why a request failed; None where nothing is to be written down about it."""
        error = _exception(failure)
        if isinstance(error, OverBudget | Ended):
            return None
        reason = reason_of(error)
        if reason is None:
            self.collection.fail(error)
        return reason

    @staticmethod
    def _request(failure: Failure) -> Request:
        request: Request = failure.request  # type: ignore[attr-defined]  # the engine puts it there
        return request


def _exception(failure: Failure) -> Exception:
    return failure.value if isinstance(failure.value, Exception) else RuntimeError(repr(failure.value))


def _stated_type(response: Response) -> str | None:
    value = response.headers.get("Content-Type")
    return value.decode("latin-1")[:200] if value else None
