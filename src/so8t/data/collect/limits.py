"""How much is asked of a site at most, and of ourselves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a collection. The defaults are those of the command; tests of timeouts pass shorter ones.

    Attributes:
        least_seconds_between_requests: to one host, whatever the registry says.
        longest_crawl_delay_seconds: a host that asks for longer pauses is left alone.
        timeout_seconds: for one request, its whole body included.
        body_bytes: of a page, before and after decompression.
        robots_bytes: of a robots.txt file (RFC 9309, 2.5: at least 500 KiB).
        robots_age_seconds: how long its rules are taken for current (RFC 9309, 2.4: 24 hours at most).
        retries: after a failure that may pass.
        redirects: followed from one address.
        failures_in_a_row: after so many a host is left alone.
        url_characters: longer addresses are not followed.
        path_segments: addresses with more parts are not followed.
        segment_repeats: nor those in which one part stands more often than this: `/a/b/a/b/a/b` is a trap.
    """

    least_seconds_between_requests: float = 1.0
    longest_crawl_delay_seconds: float = 120.0
    timeout_seconds: float = 30.0
    body_bytes: int = 10 * 1024 * 1024
    robots_bytes: int = 500 * 1024
    robots_age_seconds: float = 24 * 3600.0
    retries: int = 2
    redirects: int = 5
    failures_in_a_row: int = 5
    url_characters: int = 2083
    path_segments: int = 24
    segment_repeats: int = 2
