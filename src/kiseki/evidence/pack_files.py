"""The files of a pack that are not in its statement, because they hold it, sign it, or came after it."""

import re

STATEMENT = "statement.json"
"""The statement of a pack that nobody signed."""
ENVELOPE, PAE, SIGNATURE, SIGNER = "statement.dsse.json", "statement.pae", "statement.sig", "signer.pub"
"""Of a signed pack: the DSSE envelope, and what is in it for `openssl`: signed bytes, raw signature, public key."""
SIGNED = (ENVELOPE, PAE, SIGNATURE, SIGNER)
JOURNAL = "metrics/journal.jsonl"

_TOKEN = re.compile(r"timestamps/[0-9a-f]{16}\.tsr")
MOST_TOKENS = 16


def token_name(sha256: str) -> str:
    """Where a time-stamp token stands in a pack; `sha256` is of the token's file."""
    return f"timestamps/{sha256[:16]}.tsr"


def is_token(name: str) -> bool:
    """Whether a file in a pack is a time-stamp token."""
    return _TOKEN.fullmatch(name) is not None
