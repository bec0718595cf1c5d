"""Numbers as logs have them: also those that somebody wrote as text."""

import re

from kiseki.record.row import LARGEST_STEP, Refused, whole_step

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NON_FINITE = frozenset(("nan", "inf", "infinity"))


def number(value: object) -> object:
    """Numbers that somebody wrote as text are numbers; all else is left to be judged.

    Example:
        >>> number("1e-4"), number("33.3%"), number([1])
        (0.0001, '33.3%', [1])
    """
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return int(value) if value.lstrip("+-").isdigit() and len(value) < 4000 else float(value)
        if value.lower().lstrip("+-") in _NON_FINITE:
            return float(value)
    return value


def whole(value: object) -> int | None:
    """A whole number from 0 to 2**53, None when it is none."""
    if type(value) is int:
        return value if 0 <= value <= LARGEST_STEP else None
    if value is None or isinstance(value, bool):
        return None
    try:
        return whole_step(value)
    except Refused:
        return None


def step_of_record(record: object) -> int | None:
    """The optimizer step of a record, None when it has none.

    Example:
        >>> step_of_record({"step": 10, "loss": 1.0}), step_of_record({"step": "x"}), step_of_record([])
        (10, None, None)
    """
    return whole(number(record.get("step"))) if isinstance(record, dict) else None
