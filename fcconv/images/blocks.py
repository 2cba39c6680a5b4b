"""What is too large to be looked at as a whole, cut into blocks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence


def blocks(size: Sequence[int], unit: Sequence[int], most: int) -> Iterator[tuple[slice, ...]]:
    """Cut an array into blocks of whole units, with as many of these along each axis.

    Parameters
    ----------
    size : sequence of int
        Entries of the array along each axis.
    unit : sequence of int
        Entries that stay together; at the ends of the array there may be fewer.
    most : int
        Entries of a block, at most, unless a unit has more.

    Examples
    --------
    >>> list(blocks((5, 3), (2, 3), most=12))
    [(slice(0, 4, None), slice(0, 3, None)), (slice(4, 5, None), slice(0, 3, None))]
    """
    units = [min(n, m) for n, m in zip(size, unit, strict=True)]
    cut = sum(n > m for n, m in zip(size, units, strict=True))
    side = max(1, int((most / math.prod(units)) ** (1 / max(cut, 1))))
    axes = [
        [slice(start, min(start + side * m, n)) for start in range(0, n, side * m)]
        for n, m in zip(size, units, strict=True)
    ]
    yield from itertools.product(*axes)


def in_words(region: Sequence[slice]) -> str:
    """Name a region, as errors do.

    Examples
    --------
    >>> in_words((slice(0, 5), slice(10, 90)))
    'region [0:5, 10:90]'
    """
    return f"region [{', '.join(f'{part.start}:{part.stop}' for part in region)}]"
