"""What recorder and companion say to each other: one word a line in, one JSON object a line out."""

import msgspec

REFRESH = b"refresh"


class Reply(msgspec.Struct):
    """The companion's answer once everything is up to date, or was tried.

    Attributes:
        journal_bytes: length of the journal that all views show; 0 when that failed.
        failures: how often something failed since the companion started.
        last_failure: what failed last, in words; empty when nothing did.
    """

    journal_bytes: int = 0
    failures: int = 0
    last_failure: str = ""
