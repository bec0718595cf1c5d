"""Reservations against text and data mining, by the TDM Reservation Protocol (W3C Community Group, tdmrep.json)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from so8t.data.collect.decisions import Reason, Refused
from so8t.data.collect.robots import RobotsFile
from so8t.data.collect.robots_policy import REFUSING_STATUSES, Answer

WELL_KNOWN = "/.well-known/tdmrep.json"


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
        if not self.reserved.decide(url).allowed:
            raise Refused(Reason.TDM_RESERVED, WELL_KNOWN)


def judge_tdm(answer: Answer) -> TdmRules:
    r"""Read what came back for `/.well-known/tdmrep.json`. Most sites have none; what is no JSON reserves nothing.

    Example:
        >>> body = b'[{"location": "/books/*", "tdm-reservation": 1}]'
        >>> judge_tdm(Answer(200, body)).reserved.decide("https://a.example/books/1").allowed
        False
    """
    status = answer.status
    unreachable = status is None or status >= 500 or status in REFUSING_STATUSES or bool(answer.error)
    entries = _entries(answer.body) if not unreachable and status == 200 else []
    lines = [f"Disallow: {entry.location}\n" for entry in entries if entry.reservation == 1 and _is_path(entry)]
    return TdmRules(unreachable, RobotsFile.read(("User-agent: *\n" + "".join(lines)).encode(), "*"))


def _entries(body: bytes) -> list[_Entry]:
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return []
    try:
        return msgspec.convert(content, list[_Entry], strict=False)
    except msgspec.ValidationError:
        return [_Entry("/", 1)]


def _is_path(entry: _Entry) -> bool:
    return entry.location.isprintable() and entry.location.startswith(("/", "*"))
