"""What becomes of a response: kept, dropped, refused, or the end of asking its host. Decides, and does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scrapy.http import Response

from so8t.data.collect.decisions import OUTCOME_OF, Outcome, Reason
from so8t.data.collect.page import PAGE_TYPES, Page, content_type, header_values, read_page
from so8t.data.collect.scope import led_to
from so8t.data.collect.signals import read_signals
from so8t.data.collect.site_rules import REDIRECT_STATUSES
from so8t.data.collect.walls import Seen, find_wall, is_login_address, wall_of_status


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a response.

    Attributes:
        reason: why; its outcome follows from `OUTCOME_OF`.
        detail: what exactly, where the reason leaves it open.
        page: what was read, where it is a page.
        follow: whether its links may be followed.
        redirect: where the server sends us.
    """

    reason: Reason
    detail: str | None = None
    page: Page | None = None
    follow: bool = False
    redirect: str | None = None

    @property
    def stops_host(self) -> bool:
        """Whether the host must not be asked again."""
        return OUTCOME_OF[self.reason] is Outcome.STOPPED


def judge(response: Response, product_token: str, now: datetime) -> Verdict:
    """Judge a response by status, type, content and what it says about being kept.

    Args:
        response: its body decompressed.
        product_token: the crawler's name in robots directives.
        now: the time.
    """
    return _judge_status(response) or _judge_content(response, product_token, now)


def _judge_status(response: Response) -> Verdict | None:
    status = response.status
    if status in REDIRECT_STATUSES:
        return _redirect(response)
    wall = wall_of_status(status, retry_after="Retry-After" in response.headers)
    if wall is not None:
        return Verdict(wall, f"status {status}")
    if 400 <= status < 500:
        return Verdict(Reason.GONE)
    return None if status == 200 else Verdict(Reason.STATUS)


def _redirect(response: Response) -> Verdict:
    location = next(iter(header_values(response, "Location")), "")
    target = led_to(response.url, location) if location else None
    if target is None:
        return Verdict(Reason.NOT_THE_WEB, "redirect")
    if is_login_address(target) and not is_login_address(response.url):
        return Verdict(Reason.LOGIN, redirect=target)
    return Verdict(Reason.REDIRECTED, redirect=target)


def _judge_content(response: Response, product_token: str, now: datetime) -> Verdict:
    kind = content_type(response)
    if kind not in PAGE_TYPES:
        return Verdict(Reason.CONTENT_TYPE, kind[:100] or "none")
    page = read_page(response)
    mitigated = next(iter(header_values(response, "cf-mitigated")), "")
    wall = find_wall(Seen(response.url, page.title, len(page.text), page.source, mitigated))
    if wall is not None:
        return Verdict(wall)
    signals = read_signals(
        product_token,
        now,
        robots_tags=header_values(response, "X-Robots-Tag"),
        metas=page.metas,
        tdm_headers=header_values(response, "TDM-Reservation"),
    )
    if signals.refusal is not None:
        return Verdict(signals.refusal, signals.detail)
    if not page.text:
        return Verdict(Reason.EMPTY)
    return Verdict(Reason.KEPT, page=page, follow=signals.follow)
