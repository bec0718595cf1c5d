"""E-mail addresses, written plainly or disguised, and IP addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from so8t.data.privacy.kinds import Finding, Kind

# Carriers gave out addresses with dots side by side, in front and before the @, which RFC 5321 forbids.
_LOCAL = (
    r"[A-Za-z0-9.](?<![A-Za-z0-9._%+@-][A-Za-z0-9.])(?:(?<=[A-Za-z0-9])|(?=[.]{0,2}[A-Za-z0-9_]))"
    r"[A-Za-z0-9._%+'/-]{0,63}+(?:(?<=[A-Za-z0-9_+-])|(?<=[.])(?=@))"
)
_AT = (
    r"(?:[ ]?(?:@|&#(?:64|x40);)[ ]?\n?[ ]{0,8}|[ ]?[\[({<【〔〈《「](?:at|アット(?:マーク)?|@)[\])}>】〕〉》」][ ]?"
    r"|\(a\)|\*at\*|[ ]?アット(?:マーク)?[ ]?)"
)
_DOT = (
    r"(?:\.\n?[ ]{0,8}|[ ]\.[ ]|[ ]?[\[({【〔〈《「](?:dot|ドット|\.)[\])}】〕〉》」][ ]?|[ ]dot[ ]|[ ]?ドット[ ]?"
    r"|。(?=[A-Za-z]))"
)
_TOP_LEVEL = r"(?:[A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,59}|みんな|コム|日本|世界)"
_ASCII_DOMAIN = rf"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?{_DOT}){{1,5}}{_TOP_LEVEL}(?![A-Za-z0-9-])"
_OTHER_DOMAIN = rf"(?:[^\W_][\w-]{{0,61}}\.){{1,5}}{_TOP_LEVEL}(?![A-Za-z0-9-])"
_EMAIL = re.compile(rf"{_LOCAL}{_AT}(?:{_ASCII_DOMAIN}|{_OTHER_DOMAIN})", re.IGNORECASE)
_SPOKEN = re.compile(
    rf"{_LOCAL} at (?:[A-Za-z0-9-]{{1,63}} dot ){{1,4}}[A-Za-z]{{2,24}}(?![A-Za-z0-9-])", re.IGNORECASE
)
_SIGN = "[★☆■□●○◆◇◎※#]"
_WITH_SIGN = re.compile(rf"{_LOCAL}{_SIGN}{_ASCII_DOMAIN}", re.IGNORECASE)
_SIGN_EXPLAINED = re.compile(rf"{_SIGN}[」』]?(?:を|は|→|=)[^\n]{{0,8}}?(?:@|アット)")
_FILE = re.compile(r"\.(?:png|jpe?g|gif|webp|svg|css|js|mjs|html?|pdf|zip|gz|py|ts|json)$", re.IGNORECASE)
_REPOSITORY = re.compile(r"git@[^:/\s]+[:/]")

_URL_USER = re.compile(r"://[^\s/@]*:[^\s/@]*$")  # a password stands there, which is found as one

_IPV4 = re.compile(
    r"[0-9](?<![0-9A-Za-z.-][0-9])[0-9]{0,2}\.(?:[0-9]{1,3}\.){2}[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9]|-[0-9A-Za-z])"
)
_IPV6 = re.compile(
    r"[0-9A-Fa-f:](?<![0-9A-Za-z:.][0-9A-Fa-f:])(?:(?<=:)|[0-9A-Fa-f]{0,3}:)(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![0-9A-Za-z:])"
)
_NUMBERED = re.compile(
    r"(?:ver(?:sion)?s?\.?|バージョン|release|リリース|第|section|節|§|==|>=|<=|~=|build|ビルド)[ :]*$", re.IGNORECASE
)
_GLOBAL_IPV6 = re.compile(r"[23fF][0-9A-Fa-f]{3}:")


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    yield from _emails(text)
    yield from _ip_addresses(text)


def _emails(text: str) -> Iterator[Finding]:
    for match in _EMAIL.finditer(text):
        in_url = _URL_USER.search(text, max(0, match.start() - 120), match.start())
        if not in_url and not _FILE.search(match[0]) and not _REPOSITORY.match(text, match.start()):
            yield Finding(Kind.EMAIL, *match.span())
    for match in _SPOKEN.finditer(text):
        yield Finding(Kind.EMAIL, *match.span())
    if _SIGN_EXPLAINED.search(text):
        yield from (Finding(Kind.EMAIL, *match.span()) for match in _WITH_SIGN.finditer(text))


def _ip_addresses(text: str) -> Iterator[Finding]:
    for match in _IPV4.finditer(text):
        if _identifies_a_machine(match[0]) and not _NUMBERED.search(text, max(0, match.start() - 16), match.start()):
            yield Finding(Kind.IP_ADDRESS, *match.span())
    for match in _IPV6.finditer(text):
        # `dead::beef` is code as often as an address
        told = match[0].count(":") >= 4 or _GLOBAL_IPV6.match(match[0])
        if told and _identifies_a_machine(match[0]):
            yield Finding(Kind.IP_ADDRESS, *match.span())


def _identifies_a_machine(address: str) -> bool:
    """Whether it is an address other than loopback, everyone's, nobody's or a net mask."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (
        parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast or address.startswith(("0.", "255."))
    )
