"""One collection while it runs: what is known of sources, hosts and addresses, and the evidence of every decision."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from kiseki.record.clock import Clock
from so8t.data.collect.addresses import AddressBook
from so8t.data.collect.decisions import OUTCOME_OF, Decision, Outcome, Reason, Refused, RobotsEvidence
from so8t.data.collect.ledger import DECISION, ROBOTS, STOP, TERMS, CannotWrite, Content, Ledger, Stop, is_final
from so8t.data.collect.limits import Limits
from so8t.data.collect.origin import origin_of
from so8t.data.collect.registry import Registry, Source
from so8t.data.collect.robots_policy import RobotsRules
from so8t.data.collect.scope import Scope, is_trap, same_page
from so8t.data.collect.site_rules import SiteRulesCache
from so8t.data.collect.store import ROBOTS_FILES, TERMS_FILES, Store


class OverBudget(Exception):
    """As many of a source's pages as the registry permits were asked for."""


class Ended(Exception):
    """The collection is coming to its end: nothing more goes out, and nothing is to be said about it."""


class Candidate(msgspec.Struct, frozen=True):
    """An address that is to be asked for.

    Attributes:
        url: the address.
        source: whose it is.
        depth: links away from a base URL.
        redirects: how many led here.
        changed: the day it changed last, where the site says so.
    """

    url: str
    source: Source
    depth: int
    redirects: int = 0
    changed: date | None = None


class Collection:
    """The state of one collection, and the only writer of its evidence.

    Once evidence cannot be written, `fault` says why, nothing may go out any more, and `halt` is called.

    Args:
        root: the collection's folder.
        registry: what may be asked.
        ledger: the evidence.
        addresses: where connections may go.
        limits: bounds.
        clock: for times.
        product_token: the collector's name in robots.txt.
        on_decision: told of every decision.

    Attributes:
        fault: what ended the collection before its time; None while all is well.
        halt: called once when there is a fault; whoever drives the engine sets it.
        ending: whether nothing more may go out.
        over_budget: by source, addresses left out because its `max_pages` were asked for.
    """

    def __init__(
        self,
        root: Path,
        registry: Registry,
        ledger: Ledger,
        *,
        addresses: AddressBook,
        limits: Limits,
        clock: Clock,
        product_token: str,
        on_decision: Callable[[Decision], None] = lambda decision: None,
    ) -> None:
        self.root = root
        self.registry = registry
        self.addresses = addresses
        self.limits = limits
        self.product_token = product_token
        self.scope = Scope(registry)
        self.store = Store(root)
        self.rules = SiteRulesCache(product_token, clock, limits, self._note_robots)
        self.fault: Exception | None = None
        self.halt: Callable[[], None] = lambda: None
        self.ending = False
        self.over_budget: Counter[str] = Counter()
        self._clock = clock
        self._ledger = ledger
        self._on_decision = on_decision
        earlier = ledger.earlier
        self._seen = {page for page, decision in earlier.decisions.items() if is_final(decision)}
        self._digests = {decision.sha256 for decision in earlier.decisions.values() if decision.file is not None}
        self._stopped = {host: stop.reason for host, stop in earlier.stops.items() if stop.reason != "unresponsive"}
        self._asked = Counter(
            decision.source for decision in earlier.decisions.values() if decision.source and decision.status
        )
        self._failures_in_a_row: Counter[str] = Counter()
        self._terms: dict[str, str] = {}
        self._refused: dict[str, tuple[Reason, str | None]] = {}

    @property
    def earlier(self) -> Content:
        """What earlier runs into the same folder left."""
        return self._ledger.earlier

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._clock.wall_nanoseconds() / 1e9, UTC)

    # -- what may be asked ---------------------------------------------------------------------------------------

    def offer(self, url: str, depth: int, redirects: int = 0, changed: date | None = None) -> Candidate | Reason | None:
        """Take an address that was found.

        Returns:
            The candidate; or why it is not followed, for counting; None for one that was taken before.
        """
        source = self.scope.source_of(url)
        if source is None:
            return Reason.OUTSIDE_SOURCES
        if depth > source.max_depth:
            return Reason.TOO_DEEP
        if is_trap(url, self.limits):
            return Reason.TRAP
        page = same_page(url)
        if page in self._seen:
            return None
        self._seen.add(page)
        return Candidate(url, source, depth, redirects, changed)

    def refuse(self, source: Source, reason: Reason, detail: str | None = None) -> None:
        """Ask for no page of a source in this run."""
        self._refused[source.id] = (reason, detail)

    def is_settled(self, source: Source) -> bool:
        """Whether it is known by now if pages of a source may be asked for in this run."""
        return source.id in self._terms or source.id in self._refused

    def check_terms(self, source: Source) -> None:
        """Let a source pass whose terms were accepted in this run.

        Raises:
            Refused: they were not.
        """
        if source.id not in self._terms:
            raise Refused(*self._refused[source.id])

    def may_go(self, url: str) -> None:
        """Let a request pass whose host is still to be asked.

        Raises:
            Refused: the host was stopped.
            Ended: the collection comes to its end.
        """
        if self.ending:
            raise Ended
        reason = self._stopped.get(origin_of(url).host)
        if reason is not None:
            raise Refused(Reason.HOST_STOPPED, reason.value)

    def count_request(self, source: Source) -> None:
        """Count a page that is about to be asked for.

        Raises:
            OverBudget: the source's share is used up.
        """
        if self._asked[source.id] >= source.max_pages:
            self.over_budget[source.id] += 1
            raise OverBudget(source.id)
        self._asked[source.id] += 1

    def is_new_content(self, sha256: str) -> bool:
        """Whether no page with this digest was kept before; from now on one was."""
        is_new = sha256 not in self._digests
        self._digests.add(sha256)
        return is_new

    # -- evidence ------------------------------------------------------------------------------------------------

    def decide(
        self,
        url: str,
        reason: Reason,
        *,
        source: Source | None,
        depth: int = 0,
        robots: RobotsEvidence | None = None,
        **more: Any,
    ) -> None:
        """Write down what became of an address; `more` are further fields of `Decision`."""
        decision = Decision(
            timestamp=self._ledger.now(),
            url=url,
            outcome=OUTCOME_OF[reason],
            reason=reason,
            source=source.id if source else None,
            tier=source.tier if source else None,
            licence=source.licence if source else None,
            depth=depth,
            robots=robots,
            terms_sha256=self._terms.get(source.id) if source else None,
            **more,
        )
        if self._write(DECISION, decision):
            self._on_decision(decision)

    def count_outcome(self, url: str, reason: Reason) -> None:
        """Stop a host that failed too often in a row."""
        host = origin_of(url).host
        if OUTCOME_OF[reason] is not Outcome.FAILED:
            self._failures_in_a_row[host] = 0
            return
        self._failures_in_a_row[host] += 1
        if self._failures_in_a_row[host] >= self.limits.failures_in_a_row:
            self.stop_host(url, Reason.UNRESPONSIVE)

    def stop_host(self, url: str, reason: Reason) -> None:
        """Never ask the host of this address again in this collection."""
        host = origin_of(url).host
        if host not in self._stopped:
            self._stopped[host] = reason
            self._write(STOP, Stop(self._ledger.now(), host, reason, url))

    def note_terms(self, source: Source, status: int | None, text: str | None, refused: Reason | None) -> None:
        """Write down under which terms a source is asked, and keep their text."""
        raw = text.encode("utf-8", "replace") if text is not None else None
        digest = hashlib.sha256(raw).hexdigest() if raw is not None else None
        if digest is not None and refused is None:
            self._terms[source.id] = digest
        self._write(
            TERMS,
            {
                "source": source.id,
                "timestamp": self._ledger.now(),
                "url": source.terms_url,
                "status": status,
                "sha256": digest,
                "file": self.keep(TERMS_FILES, raw, ".txt") if raw is not None else None,
                "refused": refused,
            },
        )

    def _note_robots(self, rules: RobotsRules) -> None:
        body = rules.answer.body if rules.sha256 is not None else b""
        self._write(
            ROBOTS,
            {
                "timestamp": self._ledger.now(),
                "url": rules.url,
                "status": rules.answer.status,
                "error": rules.answer.error or None,
                "sha256": rules.sha256,
                "file": self.keep(ROBOTS_FILES, body, ".txt") if body else None,
                "refused": rules.forbidden,
            },
        )

    def keep(self, kind: str, content: bytes, suffix: str) -> str | None:
        """Store content; its path, or None where it could not be written and the collection ends."""
        try:
            return self.store.keep(kind, content, suffix)
        except CannotWrite as error:
            self.fail(error)
            return None

    def _write(self, kind: str, content: Any) -> bool:
        if self.fault is not None:
            return False
        try:
            self._ledger.write(kind, content)
        except CannotWrite as error:
            self.fail(error)
            return False
        return True

    def fail(self, error: Exception) -> None:
        """End the collection."""
        if self.fault is None:
            self.fault = error
            self.ending = True
            self.halt()
