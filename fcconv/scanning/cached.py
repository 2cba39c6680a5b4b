"""Scores in a folder, of which each chunk is decompressed once, however they are read."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

MAX_CACHED_BYTES = 2**28
"""Bytes of chunks that are kept, at most, unless one has more."""


@dataclass(frozen=True, eq=False)
class Cached:
    """An array in chunks that keeps those that were read last; :func:`cached` makes it.

    Maps are looked at block by block, row by row, and blocks share chunks with those beside and
    below: as long as the chunks that a row of blocks touches fit, each is read once.

    Attributes
    ----------
    shape : tuple of int
        Entries along each axis.
    dtype : dtype
        Data type of the entries.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _lengths: tuple[int, ...]  # of a chunk along each axis
    _chunk: Callable[[tuple[int, ...]], Array]

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        """Read a region: an integer or a slice without steps for each axis."""
        parts = [
            slice(part, part + 1) if isinstance(part, int) else slice(*part.indices(n))
            for part, n in zip(index, self.shape, strict=True)
        ]
        region = np.empty([part.stop - part.start for part in parts], self.dtype)
        for places in itertools.product(*map(_places, parts, self._lengths)):
            chunk, there, here = zip(*places, strict=True)
            region[there] = self._chunk(chunk)[here]
        return region[tuple(0 if isinstance(part, int) else slice(None) for part in index)]


def _places(part: slice, length: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield which chunks a part of an axis touches, and where each lies in the part and in it."""
    for chunk in range(part.start // length, -(-part.stop // length)):
        first = chunk * length
        start, stop = max(part.start, first), min(part.stop, first + length)
        yield (
            chunk,
            slice(start - part.start, stop - part.start),
            slice(start - first, stop - first),
        )


def cached(scores: Any) -> Any:
    """Return scores whose chunks are kept for a while after they were read, if they have chunks."""
    if not getattr(scores, "chunks", None):
        return scores
    chunks, dtype = scores.chunks, np.dtype(scores.dtype)

    def read(chunk: tuple[int, ...]) -> Array:
        place = (slice(k * n, (k + 1) * n) for k, n in zip(chunk, chunks, strict=True))
        return np.asarray(scores[tuple(place)])

    most = max(MAX_CACHED_BYTES // (math.prod(chunks) * dtype.itemsize), 1)
    return Cached(scores.shape, dtype, chunks, functools.lru_cache(most)(read))
