"""Operators that work entry by entry on large NumPy arrays: block by block, in place where it may.

A block stays in the cache from one step of a function to the next, and what is overwritten needs no
fresh memory, whose first touch costs more than the arithmetic. JAX compiles both away by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LARGE = 2**18
"""Entries from which blocks pay."""

BLOCK = 2**15
"""Entries of a block."""


def fits(arguments: Sequence[Any]) -> bool:
    """Say whether the arguments are one large array and, at most, single numbers beside it."""
    first, *others = arguments
    return (
        isinstance(first, np.ndarray)
        and first.size >= LARGE
        and first.flags.c_contiguous
        and all(o is None or (o.size == 1 and o.ndim <= first.ndim) for o in others)
    )


def in_blocks(
    function: Callable[..., Array], x: Array, others: Iterable[Any], overwrite: bool
) -> Array:
    """Apply a function of entries block by block.

    Parameters
    ----------
    function : callable
        Takes a block ``(n,)`` and single numbers, and returns a block.
    x : array
        What is cut into blocks, in C order.
    others : iterable of (array or None)
        The numbers beside it, of one entry each.
    overwrite : bool
        Whether the result may take the place of `x`; it does if it has the same dtype.
    """
    numbers = [None if other is None else np.reshape(other, ()) for other in others]
    flat = x.reshape(-1)
    first = function(flat[:BLOCK], *numbers)
    y = flat if overwrite and first.dtype == x.dtype else np.empty(x.size, first.dtype)
    y[:BLOCK] = first
    for start in range(BLOCK, x.size, BLOCK):
        block = slice(start, start + BLOCK)
        y[block] = function(flat[block], *numbers)
    return y.reshape(x.shape)


def is_unshared(x: Array, others: Iterable[Any]) -> bool:
    """Say whether an array may be overwritten: no other one may lie in its memory."""
    return x.flags.writeable and not any(np.may_share_memory(x, other) for other in others)
