"""From the answer to a request for robots.txt to what may be fetched. Where the answer is unclear, nothing.

RFC 9309 lets a crawler do as it likes where the file cannot be had because of a client error. Here only "there is no
such file" (404 and its like) permits; a server that refuses (401, 403, 429), is out of order, redirects without end or
answers with something that is no robots.txt, permits nothing.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from urllib.parse import quote, unquote

from so8t.data.collect.decisions import Reason, Refused, RobotsEvidence
from so8t.data.collect.robots import RobotsFile

REFUSING_STATUSES = frozenset({401, 402, 403, 407, 408, 429, 451})
_HTML_BEGINS = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one of a site's own files.

    Attributes:
        status: HTTP status of the last answer; None where none came.
        body: its bytes, decompressed.
        content_type: as the server says, lower case.
        error: why there is no answer: `timeout`, `name`, `connection`, `too_large`, `redirects`; or empty.
    """

    status: int | None = None
    body: bytes = b""
    content_type: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """What a site's robots.txt permits.

    Attributes:
        url: where it was asked for.
        answer: what came back.
        forbidden: why nothing may be fetched; None where the file, or its absence, decides.
        file: its rules; without any where there is no file.
        sha256: digest of its bytes; None where there is no file.
    """

    url: str
    answer: Answer
    forbidden: Reason | None
    file: RobotsFile
    sha256: str | None

    @property
    def evidence(self) -> RobotsEvidence:
        """As the ledger names the file."""
        return RobotsEvidence(self.url, self.answer.status, self.sha256)

    def check(self, url: str) -> RobotsEvidence:
        """Say by which rule an address may be fetched.

        A server may read `%6C` as `l`, so both spellings must be allowed.

        Raises:
            Refused: it may not.
        """
        if self.forbidden is not None:
            raise Refused(self.forbidden, self.answer.error or None, self.evidence)
        decision = self.file.decide(url)
        plain = plain_spelling(url)
        if decision.allowed and plain != url:
            decision = min(decision, self.file.decide(plain), key=lambda one: one.allowed)
        evidence = self.evidence
        if decision.rule is not None:
            evidence = RobotsEvidence(self.url, self.answer.status, self.sha256, str(decision.rule), decision.rule.line)
        if not decision.allowed:
            raise Refused(Reason.ROBOTS_RULE, str(decision.rule), evidence)
        if self.file.no_training:
            raise Refused(Reason.TRAINING_RESERVED, "robots.txt", evidence)
        return evidence


def judge_robots(url: str, answer: Answer, product_token: str) -> RobotsRules:
    """Read an answer.

    Args:
        url: where robots.txt was asked for.
        answer: what came back.
        product_token: whose rules to read.

    Example:
        >>> judge_robots("https://a.example/robots.txt", Answer(404), "collector").check("https://a.example/x").status
        404
        >>> judge_robots("https://a.example/robots.txt", Answer(503), "collector").forbidden.value
        'robots_unreachable'
    """
    forbidden = _why_forbidden(answer)
    is_file = forbidden is None and answer.status is not None and 200 <= answer.status < 300
    body = answer.body if is_file else b""
    sha256 = hashlib.sha256(body).hexdigest() if is_file else None
    return RobotsRules(url, answer, forbidden, RobotsFile.read(body, product_token), sha256)


def _why_forbidden(answer: Answer) -> Reason | None:
    status = answer.status
    if answer.error in ("too_large", "redirects"):
        return Reason.ROBOTS_UNREADABLE
    if answer.error or status is None:
        return Reason.ROBOTS_UNREACHABLE
    if status in REFUSING_STATUSES:
        return Reason.ROBOTS_FORBIDDEN
    if 400 <= status < 500:
        return None
    if not 200 <= status < 300:
        return Reason.ROBOTS_UNREACHABLE
    return Reason.ROBOTS_UNREADABLE if _is_page(answer) or _is_utf16(answer.body) else None


def _is_page(answer: Answer) -> bool:
    start = answer.body.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower()
    return start.startswith(_HTML_BEGINS) or answer.content_type.startswith(("text/html", "application/xhtml"))


def _is_utf16(body: bytes) -> bool:
    """Whether no rule in it could be seen: the RFC knows UTF-8 only."""
    return body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:2]


def plain_spelling(url: str) -> str:
    """The address, or a path, with everything escaped that must be, and nothing that need not be.

    Example:
        >>> plain_spelling("https://a.example/%6Caw/道")
        'https://a.example/law/%E9%81%93'
    """
    return quote(unquote(url, errors="surrogateescape"), safe=":/?#[]@!$&'()*+,;=%", errors="surrogateescape")
