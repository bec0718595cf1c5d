"""The words of the evidence: what can become of a web address, and why."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What became of an address."""

    KEPT = "kept"
    REDIRECTED = "redirected"
    DROPPED = "dropped"
    REFUSED_BY_ROBOTS = "refused_by_robots"
    REFUSED_BY_TERMS = "refused_by_terms"
    REFUSED_BY_SCOPE = "refused_by_scope"
    STOPPED = "stopped"
    FAILED = "failed"


class Reason(StrEnum):
    """Why. `OUTCOME_OF` says what follows from each."""

    KEPT = "kept"
    REDIRECTED = "redirected"

    CONTENT_TYPE = "content_type"
    DUPLICATE_CONTENT = "duplicate_content"
    DUPLICATE_URL = "duplicate_url"
    EMPTY = "empty"
    GONE = "gone"
    SOFT_404 = "soft_404"
    TOO_LARGE = "too_large"

    ROBOTS_RULE = "robots_rule"
    ROBOTS_FORBIDDEN = "robots_forbidden"
    ROBOTS_UNREACHABLE = "robots_unreachable"
    ROBOTS_UNREADABLE = "robots_unreadable"
    CRAWL_DELAY = "crawl_delay"
    NOINDEX = "noindex"
    NOARCHIVE = "noarchive"

    NOT_REVIEWED = "not_reviewed"
    TERMS_CHANGED = "terms_changed"
    TERMS_UNREADABLE = "terms_unreadable"
    NOAI = "noai"
    TDM_RESERVED = "tdm_reserved"
    TDM_UNREACHABLE = "tdm_unreachable"
    TRAINING_RESERVED = "training_reserved"

    OUTSIDE_SOURCES = "outside_sources"
    NOT_THE_WEB = "not_the_web"
    PRIVATE_ADDRESS = "private_address"
    REDIRECTS = "redirects"
    TOO_DEEP = "too_deep"
    TRAP = "trap"

    ACCESS_DENIED = "access_denied"
    RATE_LIMITED = "rate_limited"
    CAPTCHA = "captcha"
    LOGIN = "login"
    PAYWALL = "paywall"
    UNRESPONSIVE = "unresponsive"
    HOST_STOPPED = "host_stopped"

    CONNECTION = "connection"
    NAME = "name"
    STATUS = "status"
    TIMEOUT = "timeout"


_REASONS_BY_OUTCOME = {
    Outcome.KEPT: (Reason.KEPT,),
    Outcome.REDIRECTED: (Reason.REDIRECTED,),
    Outcome.DROPPED: (
        Reason.CONTENT_TYPE,
        Reason.DUPLICATE_CONTENT,
        Reason.DUPLICATE_URL,
        Reason.EMPTY,
        Reason.GONE,
        Reason.SOFT_404,
        Reason.TOO_LARGE,
    ),
    Outcome.REFUSED_BY_ROBOTS: (
        Reason.ROBOTS_RULE,
        Reason.ROBOTS_FORBIDDEN,
        Reason.ROBOTS_UNREACHABLE,
        Reason.ROBOTS_UNREADABLE,
        Reason.CRAWL_DELAY,
        Reason.NOINDEX,
        Reason.NOARCHIVE,
    ),
    Outcome.REFUSED_BY_TERMS: (
        Reason.NOT_REVIEWED,
        Reason.TERMS_CHANGED,
        Reason.TERMS_UNREADABLE,
        Reason.NOAI,
        Reason.TDM_RESERVED,
        Reason.TDM_UNREACHABLE,
        Reason.TRAINING_RESERVED,
    ),
    Outcome.REFUSED_BY_SCOPE: (
        Reason.OUTSIDE_SOURCES,
        Reason.NOT_THE_WEB,
        Reason.PRIVATE_ADDRESS,
        Reason.REDIRECTS,
        Reason.TOO_DEEP,
        Reason.TRAP,
    ),
    Outcome.STOPPED: (
        Reason.ACCESS_DENIED,
        Reason.RATE_LIMITED,
        Reason.CAPTCHA,
        Reason.LOGIN,
        Reason.PAYWALL,
        Reason.UNRESPONSIVE,
        Reason.HOST_STOPPED,
    ),
    Outcome.FAILED: (Reason.CONNECTION, Reason.NAME, Reason.STATUS, Reason.TIMEOUT),
}
OUTCOME_OF = {reason: outcome for outcome, reasons in _REASONS_BY_OUTCOME.items() for reason in reasons}

MAY_PASS = frozenset(
    {
        *_REASONS_BY_OUTCOME[Outcome.FAILED],
        Reason.ROBOTS_UNREACHABLE,
        Reason.TDM_UNREACHABLE,
        Reason.NOT_REVIEWED,
        Reason.TERMS_CHANGED,
        Reason.TERMS_UNREADABLE,
    }
)
"""Reasons that another run looks at again; every other decision is final for its folder."""


class RobotsEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """The robots.txt file that an address was judged by.

    Attributes:
        url: where it was asked for.
        status: HTTP status of the answer; None without one.
        sha256: digest of its bytes.
        rule: the rule that decided.
        line: that rule's line in the file.
    """

    url: str
    status: int | None = None
    sha256: str | None = None
    rule: str | None = None
    line: int | None = None


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One line of evidence: what became of one address.

    Attributes:
        timestamp: UTC.
        url: the address.
        source: id of its source; None outside all of them.
        tier: the source's.
        licence: the source's.
        depth: links away from a base URL.
        outcome: what became of it.
        reason: why.
        detail: what exactly, where the reason leaves it open: a directive, an error's name.
        robots: the file that allowed or forbade it.
        terms_sha256: digest of the terms under which it was asked for.
        status: HTTP status.
        bytes: length of the body, decompressed.
        content_type: as the server says.
        sha256: digest of the body, also of one that was dropped.
        language: as the page declares it.
        file: where the body stands, relative to the collection; only of a page that was kept.
        redirect: where the server sent us.
        found: counts of what the page holds: links, links to follow, links outside.
    """

    timestamp: str
    url: str
    outcome: Outcome
    reason: Reason
    source: str | None = None
    tier: int | None = None
    licence: str | None = None
    depth: int = 0
    detail: str | None = None
    robots: RobotsEvidence | None = None
    terms_sha256: str | None = None
    status: int | None = None
    bytes: int | None = None
    content_type: str | None = None
    sha256: str | None = None
    language: str | None = None
    file: str | None = None
    redirect: str | None = None
    found: dict[str, int] = {}


class Refused(Exception):
    """A request that must not go out.

    Args:
        reason: why.
        detail: what exactly.
        robots: the robots.txt file that forbids it.
    """

    def __init__(self, reason: Reason, detail: str | None = None, robots: RobotsEvidence | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail
        self.robots = robots
