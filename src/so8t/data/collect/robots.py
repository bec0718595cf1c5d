"""What a robots.txt file says about a URL, by RFC 9309.

The longest matching path wins and `Allow` wins a tie (section 2.2.2); groups that name the same product token count as
one, and `*` counts only where no group names it (2.2.1). Where the RFC is silent or a file is broken, this reads it as
the parser of google/robotstxt does, whose questions the tests ask: a forgotten colon, common misspellings of
`Disallow`, lines longer than 16,663 bytes, `/index.html` meaning its folder.

Paths are compared octet by octet, as they are written: `%62` is not `b`. Whoever asks about a URL that a server may
read in two ways asks about both (`so8t.data.collect.robots_policy` does).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_MAX_LINE_BYTES = 2083 * 8 - 1
"""Longer lines are cut here: eight times the longest URL that browsers took."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_PRODUCT_TOKEN = re.compile(rb"[A-Za-z_-]*")
_PATH_BEGINS = re.compile(r"[/?;]")
_TO_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}|[\x80-\xff]")

_USER_AGENT = (b"user-agent", b"useragent", b"user agent")
_DISALLOW = (b"disallow", b"dissallow", b"dissalow", b"disalow", b"diasllow", b"disallaw")
_ALLOW = (b"allow",)
_CRAWL_DELAY = (b"crawl-delay", b"crawldelay")
_USAGE = (b"content-signal", b"content-usage")

_NO_TRAINING = re.compile(rb"(?:^|[\s,;])(?:ai-train\s*=\s*no|train-ai\s*=\s*n)(?:$|[\s,;])", re.IGNORECASE)


class Rule(NamedTuple):
    """One `Allow` or `Disallow` line.

    Attributes:
        allow: whether it allows.
        path: its pattern, percent-encoded; `*` and a last `$` are wildcards.
        line: its line number in the file, from 1.
    """

    allow: bool
    path: bytes
    line: int

    def __str__(self) -> str:
        return f"{'Allow' if self.allow else 'Disallow'}: {self.path.decode('ascii', 'replace')}"


class Decision(NamedTuple):
    """What a file says about one URL.

    Attributes:
        allowed: whether it may be fetched.
        rule: the rule that decided; None where none matched, which allows.
    """

    allowed: bool
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class RobotsFile:
    """The rules of a robots.txt file that are meant for one crawler.

    Attributes:
        rules: in file order; those of every group that names the crawler, or those for `*` where none does.
        crawl_delay_seconds: the longest `Crawl-delay` among them; None without one. Not in the RFC.
        no_training: whether they say that content is not for training models (`Content-Signal: ai-train=no`,
            `Content-Usage: train-ai=n`). Not in the RFC. Said before any group, it is said to every crawler.
    """

    rules: tuple[Rule, ...]
    crawl_delay_seconds: float | None = None
    no_training: bool = False

    @classmethod
    def read(cls, body: bytes, product_token: str) -> RobotsFile:
        r"""Read a file for one crawler.

        Args:
            body: the file's bytes.
            product_token: the crawler's name, letters, hyphens and underscores (RFC 9309, 2.2.1).

        Example:
            >>> file = RobotsFile.read(b"User-agent: *\nDisallow: /\nAllow: /laws/\nCrawl-delay: 5\n", "collector")
            >>> file.decide("https://example.org/laws/1"), file.crawl_delay_seconds
            (Decision(allowed=True, rule=Rule(allow=True, path=b'/laws/', line=3)), 5.0)
            >>> file.decide("https://example.org/").allowed
            False
        """
        named, anyone, before_all = _Group(), _Group(), _Group()
        name_found = group_is_closed = in_groups = False
        current: set[str] = set()
        for number, key, value in _lines(body):
            if key.startswith(_USER_AGENT):
                in_groups = True
                if group_is_closed:
                    current, group_is_closed = set(), False
                if value[:1] == b"*" and (len(value) == 1 or value[1:2].isspace()):
                    current.add("anyone")
                elif product_token and _extract_token(value).lower() == product_token.lower().encode():
                    current.add("named")
                    name_found = True
                continue
            target = named if "named" in current else anyone if current else None
            if not in_groups:
                before_all.take(number, key, value)
            elif target is not None and target.take(number, key, value):
                group_is_closed = True
        chosen = named if name_found else anyone
        no_training = chosen.no_training or before_all.no_training
        return cls(tuple(chosen.rules), chosen.crawl_delay_seconds, no_training)

    def decide(self, url: str) -> Decision:
        """Say whether a URL may be fetched. Its non-ASCII characters should be percent-encoded.

        Args:
            url: an absolute URL.
        """
        path = path_of(url).encode("utf-8", "surrogatepass")
        best: dict[bool, tuple[int, Rule] | None] = {True: None, False: None}
        for rule in self.rules:
            priority = _priority(path, rule)
            found = best[rule.allow]
            if priority > (found[0] if found else 0):
                best[rule.allow] = (priority, rule)
        allow, disallow = best[True], best[False]
        if disallow is not None and (allow is None or disallow[0] > allow[0]):
            return Decision(False, disallow[1])
        return Decision(True, allow[1] if allow else None)


class _Group:
    """The rules meant for one kind of crawler, collected over all its groups."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.crawl_delay_seconds: float | None = None
        self.no_training = False

    def take(self, number: int, key: bytes, value: bytes) -> bool:
        """Take in a line; True where it is an access rule, which closes the list of names above it."""
        if key.startswith(_DISALLOW) or key.startswith(_ALLOW):
            self.rules.append(Rule(key.startswith(_ALLOW), _escaped(value), number))
            return True
        if key.startswith(_CRAWL_DELAY):
            seconds = _seconds(value)
            if seconds is not None:
                self.crawl_delay_seconds = max(seconds, self.crawl_delay_seconds or 0.0)
        elif key.startswith(_USAGE):
            self.no_training = self.no_training or _NO_TRAINING.search(value) is not None
        return False


def path_of(url: str) -> str:
    """Path and query of a URL as robots.txt rules see them: from the first slash, without the fragment.

    Example:
        >>> [path_of(url) for url in ("http://a.example", "http://a.example?q", "//a.example/b;c?d#e")]
        ['/', '/?q', '/b;c?d']
    """
    start = 2 if url.startswith("//") else 0
    early = _PATH_BEGINS.search(url, start)
    protocol_end = url.find("://", start)
    has_protocol = protocol_end >= 0 and not (early and early.start() < protocol_end)
    path = _PATH_BEGINS.search(url, protocol_end + len("://") if has_protocol else start)
    fragment = url.find("#", start)
    if path is None or 0 <= fragment < path.start():
        return "/"
    found = url[path.start() : fragment if fragment >= 0 else len(url)]
    return found if found.startswith("/") else "/" + found


def _lines(body: bytes) -> list[tuple[int, bytes, bytes]]:
    """Line number, lower-case key and value of every line that has both."""
    for length in (3, 2, 1):  # a byte-order mark may be cut short
        if body.startswith(_BYTE_ORDER_MARK[:length]):
            body = body[length:]
            break
    found = []
    for number, raw in enumerate(_LINE_END.split(body), start=1):
        pair = _key_and_value(raw[:_MAX_LINE_BYTES])
        if pair is not None:
            found.append((number, pair[0].lower(), pair[1]))
    return found


def _key_and_value(line: bytes) -> tuple[bytes, bytes] | None:
    line = line.partition(b"\0")[0].partition(b"#")[0].strip()
    key, colon, value = line.partition(b":")
    if not colon:
        # people forget the colon; that is taken for one where the line is two words
        words = line.split()
        if len(words) != 2:
            return None
        key, value = words
    key = key.strip()
    return (key, value.strip()) if key else None


def _extract_token(value: bytes) -> bytes:
    match = _PRODUCT_TOKEN.match(value)
    return match[0] if match else b""


def _escaped(path: bytes) -> bytes:
    """The pattern with octets beyond ASCII percent-encoded, and hexadecimal digits in capitals."""
    return _TO_ESCAPE.sub(lambda found: found[0].upper() if len(found[0]) == 3 else b"%%%02X" % found[0][0], path)


def _priority(path: bytes, rule: Rule) -> int:
    """The length of the pattern where it matches, else 0; an empty pattern never counts."""
    if _matches(path, rule.path):
        return len(rule.path)
    folder, slash, name = rule.path.rpartition(b"/")
    if rule.allow and slash and name.startswith(b"index.htm"):
        as_folder = folder + b"/$"
        return len(as_folder) if _matches(path, as_folder) else 0
    return 0


def _matches(path: bytes, pattern: bytes) -> bool:
    """Whether the pattern matches from the beginning; each literal part is taken where it comes first."""
    anchored = pattern.endswith(b"$")
    first, *others = (pattern[:-1] if anchored else pattern).split(b"*")
    if not path.startswith(first):
        return False
    if not others:
        return not anchored or len(path) == len(first)
    position = len(first)
    for part in others[:-1]:
        found = path.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    last = others[-1]
    if anchored:
        return len(path) - len(last) >= position and path.endswith(last)
    return path.find(last, position) >= 0


def _seconds(value: bytes) -> float | None:
    match = re.match(rb"\d{1,9}(?:\.\d{1,9})?", value)
    return float(match[0]) if match else None
