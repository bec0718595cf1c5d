"""Shows that a given text is the one whose digest stands in a row, if the row is the one that the server wrote."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from so8t.serve.audit.digests import SINGLE_TEXTS, THINKING, USER_ID, digest
from so8t.serve.audit.errors import AuditInputError, AuditKeyError, AuditRowChanged
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.rows import Row
from so8t.serve.audit.verify import wrong_in_itself

__all__ = ["PROVABLE", "prove"]

PROVABLE = ("user", *SINGLE_TEXTS)
"""Names of the texts that can be given."""


def prove(row: Row, keys: Mapping[str, AuditKey], texts: Mapping[str, str]) -> dict[str, bool]:
    """Compare texts with the digests of a row.

    Args:
        row: the row.
        keys: the keys by their ids; that of the row among them.
        texts: exact texts by their names (`PROVABLE`).

    Returns:
        For each name whether it is the text. Where task, safety and policy are all given, "thinking" tells whether
        they are so together.

    Raises:
        AuditKeyError: the key of the row is not there.
        AuditRowChanged: the row is not as the server wrote it: its digests say nothing about this audit id.
        AuditInputError: the row has no digest of such a text, or there is no such name.
    """
    key = keys.get(str(row["key_id"]))
    if key is None:
        raise AuditKeyError(f"the row was written under the key {row['key_id']}: give its file with --key")
    wrong = next(wrong_in_itself(row, keys), None)
    if wrong is not None:
        raise AuditRowChanged(
            f"chain {row['writer']}, row {row['seq']}: {wrong}, so it proves nothing: check all rows with "
            "so8t audit verify"
        )
    scope = str(row["request_id"])
    found = {}
    for name, text in texts.items():
        if name not in PROVABLE:
            raise AuditInputError(f"there is no text {name!r} in a row: choose from {', '.join(PROVABLE)}")
        column = SINGLE_TEXTS.get(name, USER_ID)
        found[name] = _matches(row, column, digest(key, column, "" if column == USER_ID else scope, text))
    if {"task", "safety", "policy"} <= texts.keys():
        together = digest(key, THINKING, scope, texts["task"], texts["safety"], texts["policy"])
        found["thinking"] = _matches(row, THINKING, together)
    return found


def _matches(row: Row, column: str, expected: str) -> bool:
    stored = row[column]
    if stored is None:
        raise AuditInputError(
            f"the row has no {column}: nothing was generated, or its parts could not be told apart (try raw)"
        )
    return hmac.compare_digest(str(stored).encode(), expected.encode())
