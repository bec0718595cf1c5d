"""Recognises what is not the page that was asked for: a challenge, a login, a paywall, an error dressed as a success.

The first three stop the host: somebody there does not want us, and we do not try to get past. A form that merely
stands on a page full of text is none of them; what counts is a page that has little else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from so8t.data.collect.decisions import Reason

_LITTLE_TEXT_CHARACTERS = 1500

_CHALLENGE_TITLE = re.compile(
    r"just a moment|attention required|are you (?:a )?human|robot check|captcha", re.IGNORECASE
)
_CHALLENGE_MARK = re.compile(r"/cdn-cgi/challenge-platform/|cf-challenge|cf_chl_|px-captcha|_Incapsula_Resource")
_CAPTCHA_WIDGET = re.compile(r"g-recaptcha|h-captcha|cf-turnstile|smart-captcha|geetest", re.IGNORECASE)
_LOGIN_PATH = re.compile(r"(?:^|[/_.-])(?:log-?in|sign-?in|sso|auth)(?:$|[/_.?-])", re.IGNORECASE)
_LOGIN_TITLE = re.compile(r"\b(?:log ?in|sign ?in)\b|ログイン|サインイン", re.IGNORECASE)
_PASSWORD = re.compile(r"<input\b[^>]*\btype\s*=\s*[\"']?password", re.IGNORECASE)
_NOT_FREE = re.compile(r"[\"']isAccessibleForFree[\"']\s*:\s*[\"']?false", re.IGNORECASE)
_LOCKED = re.compile(r"<meta\b[^>]*article:content_tier[^>]*\b(?:locked|metered)\b", re.IGNORECASE)
_NOT_FOUND_TITLE = re.compile(
    r"^404\b|\berror 404\b|\b404 (?:error|エラー)|\bnot found\b|page (?:does not|doesn.t) exist"
    r"|見つかりません|存在しません|ページがありません",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What of a page is looked at.

    Attributes:
        url: where it came from.
        title: its title.
        text_characters: how much text it shows.
        source: its HTML.
        mitigated: value of the header `cf-mitigated`.
    """

    url: str
    title: str
    text_characters: int
    source: str
    mitigated: str = ""


def wall_of_status(status: int, retry_after: bool) -> Reason | None:
    """Why a status means that a host is not asked again; None where it does not.

    Example:
        >>> wall_of_status(429, False), wall_of_status(503, True), wall_of_status(404, False)
        (<Reason.RATE_LIMITED: 'rate_limited'>, <Reason.RATE_LIMITED: 'rate_limited'>, None)
    """
    if status == 429 or (status == 503 and retry_after):
        return Reason.RATE_LIMITED
    if status == 402:
        return Reason.PAYWALL
    return Reason.ACCESS_DENIED if status in (401, 403, 407, 451) else None


def is_login_address(url: str) -> bool:
    """Whether an address is that of a login; a redirect there means that one is wanted.

    Example:
        >>> [is_login_address("https://a.example" + path) for path in ("/login?next=/a", "/blog/in", "/authors")]
        [True, False, False]
    """
    return _LOGIN_PATH.search(urlsplit(url).path) is not None


def find_wall(seen: Seen) -> Reason | None:
    """What a page served as a success really is.

    Returns:
        CAPTCHA, LOGIN or PAYWALL, which stop the host; SOFT_404; None for a page.

    Example:
        >>> find_wall(Seen("https://a.example/x", "ページが見つかりません", 40, "<p>..."))
        <Reason.SOFT_404: 'soft_404'>
    """
    little = seen.text_characters < _LITTLE_TEXT_CHARACTERS
    if seen.mitigated.strip().lower() == "challenge":
        return Reason.CAPTCHA
    challenged = _CHALLENGE_TITLE.search(seen.title) or _CHALLENGE_MARK.search(seen.source)
    if little and (challenged or _CAPTCHA_WIDGET.search(seen.source)):
        return Reason.CAPTCHA
    if little and _PASSWORD.search(seen.source) and (_LOGIN_TITLE.search(seen.title) or is_login_address(seen.url)):
        return Reason.LOGIN
    if _NOT_FREE.search(seen.source) or _LOCKED.search(seen.source):
        return Reason.PAYWALL
    return Reason.SOFT_404 if little and _NOT_FOUND_TITLE.search(seen.title) else None
