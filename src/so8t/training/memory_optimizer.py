"""The bytes of an optimizer's state."""

import math
from collections.abc import Iterable

from so8t.training.memory_widths import SINGLE

__all__ = ["optimizer_bytes"]

_BLOCK_8BIT_OPTIMIZER = 256
_SMALLEST_8BIT_STATE = 4096
"""bitsandbytes keeps the optimizer state of smaller parameters in 32 bits (`min_8bit_size`)."""


def optimizer_bytes(name: str, shapes: Iterable[tuple[int, ...]], width: int = SINGLE) -> int:
    """Bytes of an optimizer's state.

    Args:
        name: as in `training.optim`, after fallbacks.
        shapes: of the trained parameters.
        width: bytes per number of these parameters.

    Returns:
        AdamW: two moments in the parameter's type, and its step count in float32. 8-bit AdamW: two moments in 8 bits
        and a float32 per 256 of each (Dettmers et al. 2021, arXiv:2110.02861); small parameters in 32 bits. Adafactor:
        a row, a column and the root mean square of a matrix (Shazeer and Stern 2018, arXiv:1804.04235). SGD without
        momentum: nothing.

    Example:
        >>> optimizer_bytes("adamw_torch", [(100, 10)])
        8004
        >>> optimizer_bytes("adafactor", [(100, 10)])
        444
    """
    return sum(_state_bytes(name, shape, width) for shape in shapes)


def _state_bytes(name: str, shape: tuple[int, ...], width: int) -> int:
    numbers = math.prod(shape)
    if name in ("adamw_torch", "adamw_torch_fused"):
        return 2 * width * numbers + SINGLE
    if name == "paged_adamw_32bit" or (name.endswith("8bit") and numbers < _SMALLEST_8BIT_STATE):
        return 2 * SINGLE * numbers
    if name.endswith("8bit"):
        return 2 * (numbers + SINGLE * math.ceil(numbers / _BLOCK_8BIT_OPTIMIZER))
    if name == "adafactor":
        return SINGLE * ((sum(shape) if len(shape) == 2 else numbers) + 1)
    return 0
