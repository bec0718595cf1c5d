"""JSON that every parser reads: what JSON cannot hold stands as strings, the way the journal writes it. UTF-8."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

_LARGEST_EXACT_INTEGER = 2**53


def strict_json(value: Any, indent: int | None = 2) -> bytes:
    """The value as strict JSON.

    Args:
        value: numbers, texts, mappings, sequences, None. Non-finite numbers become "NaN", "Infinity", "-Infinity";
            integers beyond 2**53, which other languages round, their digits as text.
        indent: spaces for each level; None for one line.

    Example:
        >>> strict_json({"loss": float("nan"), "n": 2**60}, indent=None)
        b'{"loss": "NaN", "n": "1152921504606846976"}'
    """
    text = json.dumps(_strict(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace")


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_EXACT_INTEGER:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strict(item) for item in value]
    return value
