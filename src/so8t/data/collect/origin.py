"""The site that an address is on."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """What robots.txt rules belong to: scheme, host and port together (RFC 9309, 2.3)."""

    scheme: str
    host: str
    port: int

    @property
    def root(self) -> str:
        """The site's address, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def origin_of(url: str) -> Origin:
    """Scheme, host and port of an absolute address.

    Raises:
        ValueError: it has no host, or its port is no number.

    Example:
        >>> origin_of("HTTPS://Example.org/a") == origin_of("https://example.org:443/b")
        True
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"{url} has no host")
    return Origin(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme, 0))
