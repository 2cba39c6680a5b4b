"""Scores in a folder, of which each chunk is decompressed once, however they are read."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

KEPT = 2**28
"""Bytes of chunks that are kept, at most, unless one has more."""


class Cached:
    """An array in chunks that keeps those that were read last.

    Maps are looked at block by block, row by row, and blocks share chunks with those beside and
    below: as long as the chunks that a row of blocks touches fit, each is read once.

    Parameters
    ----------
    stored : zarr.Array
        An array that is read by region.
    """

    def __init__(self, stored: Any) -> None:
        self.shape: tuple[int, ...] = stored.shape
        self.dtype = np.dtype(stored.dtype)
        self._stored, self._chunks = stored, stored.chunks
        size = math.prod(self._chunks) * self.dtype.itemsize
        self._chunk = functools.lru_cache(max(KEPT // size, 1))(self._read)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        """Read a region: an integer or a slice without steps for each axis."""
        parts = [
            slice(part, part + 1) if isinstance(part, int) else slice(*part.indices(n))
            for part, n in zip(index, self.shape, strict=True)
        ]
        region = np.empty([part.stop - part.start for part in parts], self.dtype)
        for places in itertools.product(*map(_places, parts, self._chunks)):
            chunk, there, here = zip(*places, strict=True)
            region[there] = self._chunk(chunk)[here]
        return region[tuple(0 if isinstance(part, int) else slice(None) for part in index)]

    def _read(self, chunk: tuple[int, ...]) -> Array:
        place = (slice(k * n, (k + 1) * n) for k, n in zip(chunk, self._chunks, strict=True))
        return np.asarray(self._stored[tuple(place)])


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
    return Cached(scores) if getattr(scores, "chunks", None) else scores
