"""Arrays that are stored as they are, and arrays seen turned: both read where they are sliced."""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Raw:
    """Entries of a file that is not compressed, in C order.

    They are read, not mapped: where a mapped file becomes shorter, the process dies.

    Parameters
    ----------
    path : Path
        The file.
    dtype : dtype
        What it holds.
    shape : sequence of int
        Entries along each axis, the last of which is the fastest.
    offset : int
        Byte at which they begin.
    """

    def __init__(self, path: Path, dtype: Any, shape: Sequence[int], offset: int) -> None:
        self.shape, self.dtype = tuple(map(int, shape)), np.dtype(dtype)
        self._offset = offset
        self._lock = threading.Lock()  # there is one position in the file
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part.

        Raises
        ------
        EOFError
            If the file has become shorter.
        """
        ranges = [range(*part.indices(n)) for part, n in zip(index, self.shape, strict=True)]
        if not all(ranges):
            return np.empty([len(taken) for taken in ranges], self.dtype)
        axis = self._run(ranges)
        outer, run = ranges[:axis], ranges[axis]
        span = slice(run[0], run[-1] + 1)
        lengths = (*map(len, outer), span.stop - span.start, *self.shape[axis + 1 :])
        entries = np.empty(lengths, self.dtype)
        rows = entries.reshape(math.prod(lengths[:axis]), -1)
        with self._lock:
            for row, place in zip(rows, itertools.product(*outer, [span.start]), strict=True):
                self._file.seek(self._offset + self._place(place) * self.dtype.itemsize)
                if self._file.readinto(row.view(np.uint8).data) != row.nbytes:
                    raise EOFError("the file has become shorter")
        return entries[(*(slice(None) for _ in outer), slice(None, None, run.step))]

    def _run(self, ranges: Sequence[range]) -> int:
        """Return the first of the axes whose entries are read together."""
        axis = len(ranges)
        while axis and ranges[axis - 1] == range(self.shape[axis - 1]):
            axis -= 1
        # entries between those of an axis with a step are read with them only if they are single
        if axis and (ranges[axis - 1].step == 1 or axis == len(ranges)):
            axis -= 1
        return axis

    def _place(self, index: Sequence[int]) -> int:
        """Return how many entries come before one; axes that are left out begin at 0."""
        return sum(i * math.prod(self.shape[axis + 1 :]) for axis, i in enumerate(index))


class Turned:
    """An array with its axes in another order, some of them reversed.

    Parameters
    ----------
    array : array
        What is read.
    order : sequence of int
        The axis of `array` that becomes each axis.
    flipped : collection of int
        Axes of `array` that are reversed.
    """

    def __init__(self, array: Any, order: Sequence[int], flipped: Sequence[int] = ()) -> None:
        self._array, self._order, self._flipped = array, tuple(order), tuple(flipped)
        self.shape = tuple(int(array.shape[axis]) for axis in order)
        self.dtype = array.dtype
        chunks = getattr(array, "chunks", None)
        self.chunks = None if chunks is None else tuple(chunks[axis] for axis in order)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part."""
        parts = dict(zip(self._order, index, strict=True))
        for axis in self._flipped:
            parts[axis] = _mirrored(parts[axis], int(self._array.shape[axis]))
        pixels = np.asarray(self._array[tuple(parts[axis] for axis in range(len(parts)))])
        return np.flip(pixels, self._flipped).transpose(self._order)


def _mirrored(part: slice, length: int) -> slice:
    """Return the entries, counted from the other end, of an axis; the last comes first."""
    taken = range(*part.indices(length))
    if not taken:
        return slice(0, 0)
    return slice(length - 1 - taken[-1], length - taken[0], taken.step)
