"""Hashes of runs of codes: polynomials modulo 2^64, for all runs of a length in a few passes over the codes.

The hash of codes c0, c1, ... is c0 + c1 b + c2 b^2 + ... (Karp and Rabin 1987, "Efficient randomized pattern-matching
algorithms"), with an odd b, so that sums over a beginning can be divided by powers of it. Whoever knows b can make two
runs of equal hash: equal runs are never missed, and others may be taken for equal.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Codes", "among", "blocks", "runs", "stretches"]

Codes = NDArray[np.uint64]
"""Code points, or hashes of words, in the order of the text."""

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_ORDINARY = 1 << 14  # codes; the powers for longer texts are put together from those for this many


def runs(codes: Codes, length: int) -> Codes:
    """Hash every run of `length` codes.

    Args:
        codes: any number of them.
        length: from 1.

    Returns:
        The hashes in the order of the runs; none where there are fewer codes.

    Example:
        >>> first, _, third = runs(np.array([7, 8, 7, 8], dtype=np.uint64), 2).tolist()
        >>> first == third
        True
    """
    count = max(len(codes) - length + 1, 0)
    prefix = _prefix(codes)
    return (prefix[length : length + count] - prefix[:count]) * _powers(_INVERSE, count)


def blocks(codes: Codes, length: int) -> Codes:
    """Hash the runs of `length` codes that stand side by side: every `length`-th of `runs`.

    Args:
        codes: any number of them; a rest that fills no block is left out.
        length: from 1.
    """
    count = len(codes) // length
    hashes: Codes = codes[: count * length].reshape(count, length) @ _powers(_BASE, length)
    return hashes


def stretches(codes: Codes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Codes:
    """Hash stretches of any length.

    Args:
        codes: any number of them.
        starts: where each stretch begins.
        ends: the place after its last code.
    """
    prefix = _prefix(codes)
    return (prefix[ends] - prefix[starts]) * _powers(_INVERSE, len(codes))[starts]


def among(hashes: Codes, wanted: Codes) -> NDArray[np.bool_]:
    """Tell of each hash whether it is wanted.

    A table holds one wanted hash under its first bits; only where several share a place there is more to look at.

    Args:
        hashes: any number of them.
        wanted: any number of them, in any order.

    Returns:
        One truth value for each of `hashes`.
    """
    if not len(wanted):
        return np.zeros(len(hashes), dtype=bool)
    bits = max(12, len(wanted).bit_length() + 2)
    places, own_places = _first_bits(hashes, bits), _first_bits(wanted, bits)
    table = np.full(1 << bits, wanted[0])
    table[own_places] = wanted
    found: NDArray[np.bool_] = table.take(places) == hashes
    is_other = table.take(own_places) != wanted
    if is_other.any():
        is_shared = np.zeros(1 << bits, dtype=bool)
        is_shared[own_places[is_other]] = True
        unclear = np.flatnonzero(is_shared.take(places) & ~found)
        found[unclear] = np.isin(hashes[unclear], wanted[is_other])
    return found


def _first_bits(hashes: Codes, bits: int) -> NDArray[np.int64]:
    return (hashes >> np.uint64(64 - bits)).view(np.int64)


def _prefix(codes: Codes) -> Codes:
    """Sums whose differences, times a power of the inverse, are polynomial hashes modulo 2^64."""
    prefix = np.empty(len(codes) + 1, dtype=np.uint64)
    prefix[0] = 0
    np.cumsum(codes * _powers(_BASE, len(codes)), out=prefix[1:])
    return prefix


def _powers(base: int, count: int) -> Codes:
    """The powers of a base modulo 2^64, from 0; those for an ordinary text are computed once."""
    ordinary = _ordinary_powers(base)
    if count <= _ORDINARY:
        return ordinary[:count]
    leaps = _computed_powers(pow(base, _ORDINARY, 2**64), -(-count // _ORDINARY))
    return np.multiply.outer(leaps, ordinary).ravel()[:count]


@cache
def _ordinary_powers(base: int) -> Codes:
    return _computed_powers(base, _ORDINARY)


def _computed_powers(base: int, count: int) -> Codes:
    powers = np.full(count, base, dtype=np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)
