"""What a collection says of itself: the pages for cleaning, and the data statement's part about sources."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from kiseki.filesystem import replacing
from so8t.data.collect.decisions import Decision, Outcome
from so8t.data.collect.ledger import Content, read_ledger

PAGES_FILE = "pages.jsonl"
STATEMENT_FILE = "data_statement.json"
SCHEMA_VERSION = 1

_FETCHED = "fetched"
_COUNTED = tuple(outcome for outcome in Outcome if outcome is not Outcome.REDIRECTED)


def collection_statement(content: Content, generated_at: str) -> dict[str, Any]:
    """The data statement as far as the collection knows it; cleaning adds its part.

    A source that left the registry is stated too, for its pages have not left the data. Every address counts once, with
    the last decision on it. `fetched` counts the pages that a server answered for, redirects left out; what is neither
    kept nor named by another count was `dropped`.

    Args:
        content: the ledger.
        generated_at: UTC, RFC 3339.
    """
    counts = _counts(content.decisions.values())
    return {
        "schema_version": SCHEMA_VERSION,
        "sources": [
            {
                "id": source["id"],
                "tier": source["tier"],
                "licence": source["licence"],
                "terms_url": source["terms_url"],
                "terms_sha256": content.terms.get(source["id"], {}).get("sha256"),
                "reviewed_by": source.get("reviewed_by"),
                "reviewed_at": source.get("reviewed_at"),
                "purpose": source["purpose"],
                "pages": counts.get(source["id"], _no_pages()),
            }
            for source in content.sources.values()
        ],
        "ledger": {"bytes": content.bytes, "sha256": content.sha256, "lines": content.lines},
        "generated_at": generated_at,
    }


def write_statement(folder: Path, generated_at: str) -> dict[str, Any]:
    """Write `pages.jsonl` and `data_statement.json` from the ledger; both can be made again at any time.

    Args:
        folder: the collection's folder.
        generated_at: UTC, RFC 3339.

    Returns:
        The statement.

    Raises:
        RunFolderError: there is no ledger.
        OSError: a file could not be written.
    """
    content = read_ledger(folder)
    statement = collection_statement(content, generated_at)
    with replacing(folder / PAGES_FILE) as out:
        for decision in content.decisions.values():
            if decision.file is not None:
                out.write(msgspec.json.encode(_page(decision)) + b"\n")
    with replacing(folder / STATEMENT_FILE) as out:
        out.write(msgspec.json.format(msgspec.json.encode(statement)) + b"\n")
    return statement


def _page(decision: Decision) -> dict[str, Any]:
    return {
        "id": (decision.sha256 or "")[:16],
        "url": decision.url,
        "file": decision.file,
        "content_type": decision.content_type,
        "language": decision.language,
        "source_id": decision.source,
        "tier": decision.tier,
        "licence": decision.licence,
        "retrieved_at": decision.timestamp,
        "sha256": decision.sha256,
        "bytes": decision.bytes,
    }


def _no_pages() -> dict[str, int]:
    return {_FETCHED: 0, **{outcome.value: 0 for outcome in _COUNTED}}


def _counts(decisions: Any) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for decision in decisions:
        of_source = counts.setdefault(decision.source, Counter(_no_pages()))
        if decision.outcome is not Outcome.REDIRECTED:
            of_source[decision.outcome.value] += 1
            of_source[_FETCHED] += decision.status is not None
    return {source: dict(of_source) for source, of_source in counts.items()}
