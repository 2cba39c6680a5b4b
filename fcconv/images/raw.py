"""Arrays that are stored as they are, and arrays seen turned: both read where they are sliced."""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Raw:
    """Entries of a file that is not compressed, in C order.

    They are read, not mapped: where a mapped file becomes shorter, the process dies.

    Attributes
    ----------
    dtype : dtype
        What the file holds.
    shape : tuple of int
        Entries along each axis, the last of which is the fastest.
    offset : int
        Byte at which they begin.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    _file: BufferedReader
    _lock: threading.Lock = field(default_factory=threading.Lock)  # the file has one position

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
                self._file.seek(self.offset + self._place(place) * self.dtype.itemsize)
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


def open_raw(path: Path, dtype: Any, shape: Sequence[int], offset: int) -> Raw:
    """Open a file; it is closed when nothing refers to its entries any more.

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
    file = path.open("rb")
    raw = Raw(np.dtype(dtype), tuple(map(int, shape)), offset, file)
    weakref.finalize(raw, file.close)
    return raw


@dataclass(frozen=True, eq=False)
class Turned:
    """An array with its axes in another order, some of them reversed.

    Attributes
    ----------
    array : array
        What is read.
    order : sequence of int
        The axis of `array` that becomes each axis.
    flipped : sequence of int
        Axes of `array` that are reversed.
    """

    array: Any
    order: Sequence[int]
    flipped: Sequence[int] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Entries along each axis."""
        return tuple(int(self.array.shape[axis]) for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the entries."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Entries that are read as a whole along each axis, if there are chunks."""
        chunks = getattr(self.array, "chunks", None)
        return None if chunks is None else tuple(chunks[axis] for axis in self.order)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part."""
        parts = dict(zip(self.order, index, strict=True))
        for axis in self.flipped:
            parts[axis] = _mirrored(parts[axis], int(self.array.shape[axis]))
        pixels = np.asarray(self.array[tuple(parts[axis] for axis in range(len(parts)))])
        return np.flip(pixels, tuple(self.flipped)).transpose(self.order)


def _mirrored(part: slice, length: int) -> slice:
    """Return the entries, counted from the other end, of an axis; the last comes first."""
    taken = range(*part.indices(length))
    if not taken:
        return slice(0, 0)
    return slice(length - 1 - taken[-1], length - taken[0], taken.step)
