"""Personal data out of text, title and address, before anything is written anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from datatrove.data import Document

from so8t.data.clean.block import Block
from so8t.data.privacy import Action, Kind, Redacted, redact

FOUND = "found "
"""Name of the count of values of a kind, which follows."""


class Privacy(Block):
    """Redacts personal data, or leaves the document out, as the actions say. Counts values and never shows one.

    Args:
        actions: by kind.
    """

    name = "privacy"

    def __init__(self, actions: Mapping[Kind, Action]) -> None:
        super().__init__()
        self._actions = dict(actions)

    def judge(self, document: Document) -> str | None:
        """Redact text and title; shorten an address that holds personal data to its host."""
        for field in ("title", "url", "text"):
            value = document.text if field == "text" else document.metadata.get(field)
            if not value:
                continue
            cleaned = redact(value, self._actions)
            self._count(cleaned)
            if field == "url":
                # a page is not dropped for its address, which is no part of what is trained on
                document.metadata[field] = value if not cleaned.counts else _host_only(value)
            elif cleaned.text is None:
                return self._reason(cleaned)
            elif field == "text":
                document.text = cleaned.text
            else:
                document.metadata[field] = cleaned.text
        return None

    def _count(self, cleaned: Redacted) -> None:
        for kind, count in cleaned.counts.items():
            self.stat_update(f"{FOUND}{kind}", value=count)

    def _reason(self, cleaned: Redacted) -> str:
        dropping = (kind for kind in Kind if kind in cleaned.counts and self._actions.get(kind) is Action.DROP)
        return str(next(dropping, "unsettled"))


def _host_only(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    shortened = f"{parts.scheme}://{host}/" if host else None
    return None if shortened is None or redact(shortened).counts else shortened
