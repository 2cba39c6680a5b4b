"""A whole image in few pixels, of parts that are read one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

Region: TypeAlias = tuple[slice, ...]

MAX_RATIO = 25
"""Most times that an overview is as long as wide: of a strip less is left out across than along."""


def sampled(
    read: Callable[[Region], np.ndarray],
    parts: Iterable[Region],
    shape: Sequence[int],
    dtype: np.dtype[Any],
    most: int,
) -> np.ndarray:
    """Return every n-th pixel, with one n for all axes but those across a strip.

    Parameters
    ----------
    read : callable
        Returns a region ``(C, *region)``, whose slices may have steps.
    parts : iterable of tuple of slice
        The image, cut into regions.
    shape : sequence of int
        Channels, and pixels along each axis.
    dtype : dtype
        That of pixels.
    most : int
        Pixels along the longest axis, at most.
    """
    channels, *size = shape
    common = -(-max(size) // most)
    least = max(most // MAX_RATIO, 1)
    every = [min(common, max(n // least, 1)) for n in size]
    small = np.empty((channels, *(-(-n // k) for n, k in zip(size, every, strict=True))), dtype)
    for part in parts:
        kept = tuple(
            slice(-(-p.start // k), -(-p.stop // k)) for p, k in zip(part, every, strict=True)
        )
        if all(p.start < p.stop for p in kept):
            small[(slice(None), *kept)] = read(
                tuple(
                    slice(k.start * n, p.stop, n) for k, p, n in zip(kept, part, every, strict=True)
                )
            )
    return small


def envelope(
    read: Callable[[Region], np.ndarray],
    parts: Iterable[Region],
    shape: Sequence[int],
    dtype: np.dtype[Any],
    most: int,
) -> np.ndarray:
    """Return the lowest and the highest sample of equal parts, in turn, or all if they are few.

    Every n-th sample of a recording would miss what is short. The arguments are those of
    :func:`sampled`; two samples are the fewest there can be.
    """
    channels, size = shape
    if size <= most:
        return np.concatenate([read(part) for part in parts], axis=1)
    each = -(-size // max(most // 2, 1))
    ends: dict[Any, np.ndarray] = {}
    for (part,) in parts:
        samples = read((part,))
        first = part.start // each
        starts = np.arange(first * each, part.stop, each).clip(part.start) - part.start
        for function in (np.fmin, np.fmax):  # which leave out NaN
            found = function.reduceat(samples, starts, axis=1)
            if function not in ends:
                ends[function] = np.empty((channels, -(-size // each)), dtype)
            kept = ends[function][:, first : first + len(starts)]
            if part.start > first * each:  # a part that began in the samples read before
                found[:, 0] = function(found[:, 0], kept[:, 0])
            kept[:] = found
    return np.stack([ends[np.fmin], ends[np.fmax]], axis=-1).reshape(channels, -1)
