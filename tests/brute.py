"""The operations as their definitions read: loops over Python numbers, one output at a time.

Shares nothing with the package: it resolves padding and counts windows by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A NumPy array; indexing by computed tuples is beyond its types."""
Index: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """How windows of `kernel` samples move along one axis of `size` pixels."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    ceil_mode: bool = False

    def windows(self) -> int:
        """Count the windows: step on while the next one is allowed."""
        padded, extent = self.before + self.size + self.after, (self.kernel - 1) * self.dilation + 1

        def allowed(cell: int) -> bool:
            start = cell * self.stride
            if start + extent <= padded:
                return True
            previous_end = start - self.stride + extent
            return self.ceil_mode and previous_end < padded and start < self.before + self.size

        return next(cell for cell in itertools.count() if not allowed(cell))

    def position(self, cell: int, tap: int) -> int:
        """Say which input pixel a sample of a window reads; padding lies outside the input."""
        return cell * self.stride + tap * self.dilation - self.before

    def counted(self, position: int) -> bool:
        """Say whether a position lies in the input or the padding that was asked for."""
        return -self.before <= position < self.size + self.after


def axes(
    size: Sequence[int],
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool = False,
) -> list[Axis]:
    """Resolve the forms of the arguments."""

    def entry(value: Any, axis: int) -> Any:
        return value if isinstance(value, int) else value[axis]

    result = []
    for axis, n in enumerate(size):
        k, r, e = entry(kernel, axis), entry(stride, axis), entry(dilation, axis)
        if padding == "valid":
            before = after = 0
        elif padding == "same":
            before = after = 0
            while Axis(n, k, r, e, before, after).windows() < (n + r - 1) // r:
                before, after = (before, after + 1) if before == after else (before + 1, after)
        else:
            pad = entry(padding, axis)
            before, after = (pad, pad) if isinstance(pad, int) else pad
        result.append(Axis(n, k, r, e, before, after, ceil_mode))
    return result


def cells(along: Sequence[Axis]) -> Iterator[Index]:
    """Walk over the windows, row by row."""
    return np.ndindex(*(axis.windows() for axis in along))


def taps(along: Sequence[Axis]) -> Iterator[Index]:
    """Walk over the samples of a window."""
    return np.ndindex(*(axis.kernel for axis in along))


def positions(along: Sequence[Axis], cell: Index, tap: Index) -> Index:
    """Say which input pixel a sample of a window reads."""
    return tuple(axis.position(c, t) for axis, c, t in zip(along, cell, tap, strict=True))


def inside(along: Sequence[Axis], position: Index) -> bool:
    """Say whether a position lies in the input."""
    return all(0 <= p < axis.size for axis, p in zip(along, position, strict=True))


def conv(x: Array, weight: Array, bias: Array | None, along: Sequence[Axis], groups: int) -> Array:
    """``y[n, o, cell] = bias[o] + sum over c, tap of weight[o, c, tap] * x[n, c, position]``."""
    x, weight = x.astype(object), weight.astype(object)
    outputs, per_group = weight.shape[:2]
    y = np.zeros((len(x), outputs, *(axis.windows() for axis in along)), object)
    for n, o, cell in itertools.product(range(len(x)), range(outputs), cells(along)):
        first = o // (outputs // groups) * per_group
        total = 0 if bias is None else bias.astype(object)[o]
        for tap in taps(along):
            position = positions(along, cell, tap)
            if inside(along, position):
                for c in range(per_group):
                    total += weight[(o, c, *tap)] * x[(n, first + c, *position)]
        y[(n, o, *cell)] = total
    return y


def im2col(x: Array, along: Sequence[Axis]) -> Array:
    """Write down each sample of each window: a row a channel and tap, a column a window."""
    columns = []
    for cell in cells(along):
        column = []
        for c, tap in itertools.product(range(x.shape[1]), taps(along)):
            position = positions(along, cell, tap)
            blank = np.zeros(len(x), x.dtype)
            column.append(x[(slice(None), c, *position)] if inside(along, position) else blank)
        columns.append(np.stack(column, axis=1))
    return np.stack(columns, axis=2)


def max_pool(x: Array, along: Sequence[Axis]) -> Array:
    """Take the largest of the samples that lie in the input."""
    y: Array = np.empty((*x.shape[:2], *(axis.windows() for axis in along)), x.dtype)
    for cell in cells(along):
        read = [positions(along, cell, tap) for tap in taps(along)]
        samples = [x[(..., *p)] for p in read if inside(along, p)]
        y[(..., *cell)] = np.max(samples, axis=0)
    return y


def avg_pool(x: Array, along: Sequence[Axis], count_include_pad: bool) -> Array:
    """Divide the sum of the samples that lie in the input by the number of those that count."""
    y: Array = np.empty((*x.shape[:2], *(axis.windows() for axis in along)), x.dtype)
    for cell in cells(along):
        read = [positions(along, cell, tap) for tap in taps(along)]
        samples = [x[(..., *p)] for p in read if inside(along, p)]
        padded = [p for p in read if all(a.counted(i) for a, i in zip(along, p, strict=True))]
        count = len(padded if count_include_pad else samples)
        y[(..., *cell)] = np.sum(samples, axis=0) / count
    return y
