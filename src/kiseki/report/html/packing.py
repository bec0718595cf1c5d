"""Curves as short text for the page: so many decimal digits as a reader can see, in base64 digits.

A million steps are drawn from two thousand points; forty metrics of them must fit a page of 600 kB, so a point may take
five characters. Optimizer steps are differences in the variable-length quantities of JavaScript source maps; values are
fixed-width codes for decimal floating point numbers, so what a reader sees when pointing at a curve is exactly the
recorded value, rounded once. `packing.js` reads what this writes.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TypedDict

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

_MOST_DIGITS = 12  # with more, a code could pass 2**53, the integers that JavaScript holds
_LEVELS = 1_000  # a curve shall have so many heights to stand at, or be drawn in stairs
_SPECIAL = 2  # code 0 is a gap, code 1 is zero


class PackedValues(TypedDict):
    """Values of one curve.

    `codes` holds `width` characters for each value: 0 a gap, 1 zero, else
    2 + ((exponent - lowest) * 2 + negative) * 9 * 10**(digits - 1) + (mantissa - 10**(digits - 1)),
    for the value mantissa * 10**(exponent - digits + 1).
    """

    digits: int
    lowest: int
    width: int
    codes: str


def pack_steps(steps: Iterable[int]) -> str:
    """Ascending integers of any size as differences, each in base64 VLQ without a sign.

    Example:
        >>> pack_steps([1, 2, 34, 1_000])
        'BBgBme'
    """
    packed, last = [], 0
    for step in steps:
        difference, last = step - last, step
        while difference > 31:
            packed.append(ALPHABET[32 + (difference & 31)])
            difference >>= 5
        packed.append(ALPHABET[difference])
    return "".join(packed)


def pack_values(values: Sequence[float | None], least_digits: int) -> PackedValues:
    """Values, each rounded to the same number of significant decimal digits.

    Args:
        values: the curve; None and what is not finite become gaps.
        least_digits: significant digits at least; more where the curve is flat beside its size.

    Example:
        >>> pack_values([2.5, None, 0.0], least_digits=4)
        {'digits': 4, 'lowest': 0, 'width': 3, 'codes': 'AXeAAAAAB'}
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    digits = _digits(finite, least_digits)
    parts = [_scientific(value, digits) for value in finite]
    exponents = [exponent for mantissa, exponent in parts if mantissa]
    lowest = min(exponents, default=0)
    block = 9 * 10 ** (digits - 1)
    highest_code = _SPECIAL + ((max(exponents, default=0) - lowest) * 2 + 2) * block
    width = math.ceil(highest_code.bit_length() / 6)
    remaining = iter(parts)
    codes = (
        0 if value is None or not math.isfinite(value) else _code(*next(remaining), lowest, digits) for value in values
    )
    return PackedValues(
        digits=digits, lowest=lowest, width=width, codes="".join(_fixed_width(code, width) for code in codes)
    )


def _digits(finite: Sequence[float], least: int) -> int:
    if not finite:
        return least
    size = max(abs(value) for value in finite)
    extent = max(finite) / 2 - min(finite) / 2  # halved first: the difference of two doubles may be infinite
    if not extent:
        return least
    # Rounding moves a value by half a unit of its last digit at most, and the largest value's units are the coarsest.
    needed = math.ceil(1 + math.floor(math.log10(size)) - math.log10(extent) + math.log10(_LEVELS / 4))
    return min(max(least, needed), _MOST_DIGITS)


def _scientific(value: float, digits: int) -> tuple[int, int]:
    """Signed mantissa of so many digits, and the exponent of its first digit; mantissa 0 for zero."""
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return int(mantissa.replace(".", "")), int(exponent)


def _code(mantissa: int, exponent: int, lowest: int, digits: int) -> int:
    if not mantissa:
        return 1
    first: int = 10 ** (digits - 1)
    return _SPECIAL + ((exponent - lowest) * 2 + (mantissa < 0)) * 9 * first + abs(mantissa) - first


def _fixed_width(code: int, width: int) -> str:
    return "".join(ALPHABET[code >> 6 * place & 63] for place in reversed(range(width)))
