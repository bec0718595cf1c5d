"""What is left of a text that nobody may keep: its hash."""

import hashlib

from so8t.data.safety.classifier import Verdict
from so8t.data.safety.taxonomy import DISCARDED

__all__ = ["discard_digest", "must_be_discarded"]


def must_be_discarded(verdict: Verdict) -> bool:
    """Whether the text of a verdict is to be hashed and discarded: not stored, not shown, not queued for review."""
    return verdict.label in DISCARDED


def discard_digest(text: str) -> str:
    """What a ledger may hold instead of the text: SHA-256 of its UTF-8 bytes, hexadecimal.

    Example:
        >>> discard_digest("text")[:16]
        '982d9e3eb996f559'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
