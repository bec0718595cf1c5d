"""From what a training loop hands over to the JSON object of one line.

What is kept of each value is written down here and in docs/format.md:

=====================  =========================================================
given                  recorded
=====================  =========================================================
finite float           shortest text that reads back as the same float64
NaN, +inf, -inf        the strings "NaN", "Infinity", "-Infinity"
int up to ±2**53       itself; beyond that its digits as a string
bool                   1 or 0
numpy scalar, 0-d      the Python number of the same value (float32 1.1 is
array or tensor,       1.100000023841858)
Decimal, Fraction
None                   nothing: a missing metric is an absent key
anything else          refused, counted, named in a note
=====================  =========================================================
"""

import math
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

import msgspec


class OneNumber(Protocol):
    """A numpy scalar, or an array or tensor of one element."""

    def item(self) -> Any:
        """Its Python number."""


Number = float | int | Decimal | Fraction | OneNumber | None
"""What may be recorded; None means that it was not measured."""

Recordable = float | int | str
LARGEST_STEP = _EXACT_INTEGER = 2**53
"""The largest integer that every JSON reader gives back unchanged."""

_encode = msgspec.json.Encoder().encode


class Refused(Exception):
    """A value that is no number; the message says why. Caught by the recorder, counted, never seen by training."""


def plain(value: object) -> float | int:
    """The Python number of anything that is one.

    Raises:
        Refused: it is none, or it holds more than one.

    Example:
        >>> plain(True), plain(Decimal("0.5"))
        (1, 0.5)
    """
    kind = type(value)
    if kind is float or kind is int:
        return value  # type: ignore[return-value]
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (float, int)):
        return float(value) if isinstance(value, float) else int(value)
    if isinstance(value, (Decimal, Fraction)):
        return _float(value)
    item = getattr(value, "item", None)
    if callable(item):
        try:
            inner = item()
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise Refused(f"{kind.__name__} is not one number: {error}") from None
        return _float(inner) if type(inner) is kind else plain(inner)  # numpy's longdouble is its own item
    raise Refused(f"{type(value).__name__} is not a number")


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(f"{type(value).__name__} has no float64: {error}") from None


class _FixedRow(msgspec.Struct, omit_defaults=True):
    """A row of the specification's own keys, in their order. Encoding a struct costs a third of building a dict."""

    step: int
    epoch: float
    timestamp: str
    elapsed_time_seconds: float
    loss: float
    learning_rate: float
    attempt: int
    pet_loss: float | None = None
    so8t_loss: float | None = None
    accuracy: float | None = None
    perplexity: float | None = None
    grad_norm: float | None = None


def encode_fixed_row(
    step: object,
    epoch: object,
    timestamp: str,
    elapsed_time_seconds: float,
    loss: object,
    learning_rate: object,
    attempt: int,
    pet_loss: object,
    so8t_loss: object,
    accuracy: object,
    perplexity: object,
    grad_norm: object,
) -> bytes | None:
    """The JSON object of a row that is what nearly every row is: floats, and nothing but the specification's keys.

    Returns:
        None when something is of another kind; the row then goes through `admit` and `encode_row`, which give the same
        bytes for the same values.

    Example:
        >>> encode_fixed_row(1, 0.1, "2026-11-23T05:00:00Z", 2.5, 0.5, 0.01, 1, None, None, None, None, None)
        b'{"step":1,"epoch":0.1,"timestamp":"2026-11-23T05:00:00Z","elapsed_time_seconds":2.5,"loss":0.5,\
"learning_rate":0.01,"attempt":1}'
    """
    if (
        type(step) is int
        and type(epoch) is float
        and type(loss) is float
        and type(learning_rate) is float
        and (pet_loss is None or type(pet_loss) is float)
        and (so8t_loss is None or type(so8t_loss) is float)
        and (accuracy is None or type(accuracy) is float)
        and (perplexity is None or type(perplexity) is float)
        and (grad_norm is None or type(grad_norm) is float)
        and 0 <= step <= LARGEST_STEP
    ):
        payload = _encode(
            _FixedRow(
                step, epoch, timestamp, elapsed_time_seconds, loss, learning_rate, attempt,
                pet_loss, so8t_loss, accuracy, perplexity, grad_norm,
            )
        )  # fmt: skip
        if b":null" not in payload:  # what msgspec writes for NaN and infinities
            return payload
    return None


class _StepOnly(msgspec.Struct):
    step: int


def step_of(payload: bytes) -> int:
    """The optimizer step of a row or an evaluation; rows of ours begin with it.

    Raises:
        msgspec.DecodeError: it has none.

    Example:
        >>> step_of(b'{"step":7,"loss":0.5}'), step_of(b'{"loss":0.5,"step":7}')
        (7, 7)
    """
    if payload.startswith(b'{"step":'):
        digits = payload[8 : payload.find(b",", 8)]
        if digits.isdigit():
            return int(digits)
    return msgspec.json.decode(payload, type=_StepOnly).step


def whole_step(step: object) -> int:
    """The number of an optimizer step.

    Raises:
        Refused: it is no whole number from 0 to 2**53.

    Example:
        >>> whole_step(7.0)
        7
    """
    value = plain(step)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= LARGEST_STEP:
        raise Refused("a step is a whole number from 0 to 2**53; the row was left out")
    return value


def admit(fields: Mapping[str, Any], refuse: Callable[[str, Refused], None]) -> dict[str, Recordable]:
    """The fields that can be recorded, as plain numbers; `timestamp` is the recorder's own text.

    Args:
        fields: what was given; None means not measured.
        refuse: called with name and reason of what cannot be recorded.

    Example:
        >>> admit({"step": 1, "loss": None, "note": "x"}, lambda name, reason: print(name, reason))
        note str is not a number
        {'step': 1}
    """
    row: dict[str, Recordable] = {}
    for name, value in fields.items():
        if value is None:
            continue
        if type(value) is float or name == "timestamp":
            row[name] = value
            continue
        try:
            row[name] = exact(plain(value))
        except Refused as reason:
            refuse(name, reason)
    return row


def encode_row(fields: dict[str, float | int | str]) -> bytes:
    """The JSON object of a row; keys in the order given.

    Args:
        fields: numbers, and the timestamp's text. Floats may be NaN or infinite.

    Example:
        >>> encode_row({"step": 3, "loss": float("nan")})
        b'{"step":3,"loss":"NaN"}'
    """
    payload = _encode(fields)
    # msgspec writes null for what JSON has no number for, silently. None never gets here, so null means just that.
    if b":null" in payload:
        payload = _encode({name: _recordable(value) for name, value in fields.items()})
    return payload


def _recordable(value: Recordable) -> Recordable:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def exact(value: float | int) -> Recordable:
    """An integer that a float64 reader would change becomes a string of its digits; all else stays.

    Raises:
        Refused: an integer of more than 4,300 digits, which Python will not write.

    Example:
        >>> exact(2**53), exact(2**53 + 1)
        (9007199254740992, '9007199254740993')
    """
    if type(value) is int and not -_EXACT_INTEGER <= value <= _EXACT_INTEGER:
        try:
            return str(value)
        except ValueError:
            raise Refused("an integer of more than 4,300 digits") from None
    return value


def clean_name(name: str) -> str:
    """A metric's name as it is recorded: NFC.

    Raises:
        Refused: it is empty, or holds control characters or lone surrogates.

    Example:
        >>> clean_name("損失")
        '損失'
    """
    if name.isascii() and name.isprintable() and name:
        return name
    cleaned = unicodedata.normalize("NFC", name)
    if not cleaned or any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned):
        raise Refused("a metric's name must not be empty nor hold control characters or lone surrogates")
    return cleaned
