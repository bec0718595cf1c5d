"""Reservations against text and data mining, by the TDM Reservation Protocol (W3C Community Group, tdmrep.json)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import msgspec

from so8t.data.collect.decisions import Reason, Refused
from so8t.data.collect.robots import RobotsFile, Rule, path_of
from so8t.data.collect.robots_policy import REFUSING_STATUSES, Answer, plain_spelling

WELL_KNOWN = "/.well-known/tdmrep.json"

_WITH_HOST = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_EVERYTHING = "/"


class _Entry(msgspec.Struct):
    location: str = "/"
    reservation: int = msgspec.field(name="tdm-reservation", default=0)


@dataclass(frozen=True, slots=True)
class TdmRules:
    """What a site reserves.

    Attributes:
        unreachable: nobody knows, for the site did not answer.
        reserved: the paths, as a robots.txt file would forbid them: the protocol's patterns are the same.
    """

    unreachable: bool
    reserved: RobotsFile

    def check(self, url: str) -> None:
        """Let an address pass that is not reserved.

        Where several entries match, one that reserves is enough: the protocol takes the first, and being wrong in that
        direction costs a page, in the other an owner's right.

        Raises:
            Refused: it is reserved, or nobody knows.
        """
        if self.unreachable:
            raise Refused(Reason.TDM_UNREACHABLE, WELL_KNOWN)
        if not self.reserved.decide(plain_spelling(url)).allowed:
            raise Refused(Reason.TDM_RESERVED, WELL_KNOWN)


def judge_tdm(answer: Answer) -> TdmRules:
    """Read what came back for `/.well-known/tdmrep.json`. Most sites have none; one that cannot be read reserves all.

    Example:
        >>> body = b'[{"location": "/books/*", "tdm-reservation": 1}]'
        >>> judge_tdm(Answer(200, body)).reserved.decide("https://a.example/books/1").allowed
        False
    """
    status = answer.status
    is_file = status is not None and 200 <= status < 300 and status != 204
    is_absent = status is not None and (status == 204 or 400 <= status < 500) and status not in REFUSING_STATUSES
    entries = _entries(answer.body) if is_file else []
    patterns = [_pattern(entry.location) for entry in entries if entry.reservation != 0]
    rules = tuple(Rule(False, pattern.encode(), number) for number, pattern in enumerate(patterns, start=1))
    return TdmRules(bool(answer.error) or not (is_file or is_absent), RobotsFile(rules))


def _entries(body: bytes) -> list[_Entry]:
    try:
        # unlike msgspec it takes a byte-order mark and every encoding that JSON has had
        return msgspec.convert(json.loads(body), list[_Entry], strict=False)
    except (ValueError, RecursionError):
        return [_Entry(_EVERYTHING, 1)]


def _pattern(location: str) -> str:
    """The path that a location means on this site; one that names a host counts here whatever host it names."""
    location = location.strip()
    if not location.isprintable():
        return _EVERYTHING
    path = path_of(location) if _WITH_HOST.match(location) else location
    return plain_spelling(path if path.startswith(("/", "*")) else "/" + path)
