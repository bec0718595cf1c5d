"""JSON from somebody else: a key that stands twice, or anything that is not of the expected form, is refused.

Parsers disagree on which of two equal keys counts, so a text that holds two can mean one thing to whoever signed it
and another to whoever checks it.
"""

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class NotStrict(ValueError):
    """The text is no JSON of the expected form; the message says why."""


def decode(content: bytes, kind: type[T]) -> T:
    """The object a JSON text holds.

    Args:
        content: UTF-8.
        kind: a msgspec struct or another type that msgspec checks.

    Raises:
        NotStrict: no strict JSON, a key that stands twice, nested too deeply, or not of that type.

    Example:
        >>> decode(b'{"a": 1}', dict[str, int])
        {'a': 1}
        >>> decode(b'{"a": 1, "a": 2}', dict[str, int])
        Traceback (most recent call last):
        kiseki.evidence.strict_json.NotStrict: the key 'a' stands twice
    """
    try:
        json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
        return msgspec.json.decode(content, type=kind)
    except NotStrict:
        raise
    except (ValueError, msgspec.DecodeError, RecursionError) as error:  # ValueError also for 5,000-digit numbers
        raise NotStrict(str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise NotStrict(f"the key {key[:80]!r} stands twice")
        seen.add(key)
    return dict(pairs)


def _refuse(token: str) -> None:
    raise NotStrict(f"{token} is not JSON")
