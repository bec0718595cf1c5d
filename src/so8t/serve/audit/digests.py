r"""Keyed digests of texts: who holds the key can prove a text, who does not cannot even guess one.

::

    digest(name, scope, text...) = HMAC-SHA-256(key, field(name) field(scope) field(text)...)
    field(x)                     = length of x in bytes as 8 bytes, big-endian, then x in UTF-8

`name` is the column, `scope` the request id: the same text in another request or another column has another digest.
Otherwise whoever reads the database and may also ask questions could ask until a digest of somebody else's row comes
up. Only the digest of the user id has no scope, so that the rows of one user can be found.

The lengths keep ("ab", "c") apart from ("a", "bc"). Half characters (lone surrogates), which a broken generation can
hold, are written as three bytes as UTF-8 would write them.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from so8t.serve.audit.keys import AuditKey

if TYPE_CHECKING:
    from so8t.serve.audit.event import AuditEvent

__all__ = ["SINGLE_TEXTS", "THINKING", "USER_ID", "digest", "event_digests"]

USER_ID = "user_id_hmac"
THINKING = "thinking_hmac"
SINGLE_TEXTS = {
    "query": "query_hmac",
    "answer": "answer_hmac",
    "task": "thinking_task_hmac",
    "safety": "thinking_safety_hmac",
    "policy": "thinking_policy_hmac",
    "final": "final_hmac",
    "raw": "raw_output_hmac",
}
"""Column by the name of the one text that it is the digest of."""


def digest(key: AuditKey, name: str, scope: str, *texts: str) -> str:
    """Give the keyed digest of one text, or of several that belong together.

    Args:
        key: the secret key.
        name: the column.
        scope: the request id; "" for the user id.
        texts: the texts, in order.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> key = AuditKey.of(bytes(32))
        >>> digest(key, THINKING, "r1", "ab", "c") == digest(key, THINKING, "r1", "a", "bc")
        False
    """
    fields = [text.encode("utf-8", "surrogatepass") for text in (name, scope, *texts)]
    message = b"".join(len(field).to_bytes(8, "big") + field for field in fields)
    return hmac.digest(key.secret, message, "sha256").hex()


def event_digests(key: AuditKey, event: AuditEvent) -> dict[str, str | None]:
    """Give all digests of one event, by column; None where there is no such text.

    The whole generated text always has one, also where its parts cannot be told apart.
    """
    parts = event.parts
    texts = {
        "query": event.query,
        "answer": event.answer,
        "task": parts.task if parts else None,
        "safety": parts.safety if parts else None,
        "policy": parts.policy if parts else None,
        "final": parts.final if parts else None,
        "raw": event.raw_output,
    }
    digests: dict[str, str | None] = {USER_ID: digest(key, USER_ID, "", event.user_id)}
    for name, column in SINGLE_TEXTS.items():
        text = texts[name]
        digests[column] = None if text is None else digest(key, column, event.request_id, text)
    digests[THINKING] = (
        digest(key, THINKING, event.request_id, parts.task, parts.safety, parts.policy) if parts else None
    )
    return digests
