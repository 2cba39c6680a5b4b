"""How windows move over spatial axes: kernel, stride, padding, dilation. Integers only, no arrays.

The formulas of output sizes and of "same" padding are those of Dumoulin & Visin, *A guide to
convolution arithmetic for deep learning* (2016), section 2, and of the ONNX operator
specification (``SAME_UPPER``, ``ceil_mode``).
"""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeAlias

from fcconv.errors import ArgumentError, ShapeError

Ints: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
"""One integer for all axes, or one integer per axis."""

Padding: TypeAlias = str | SupportsIndex | Sequence[SupportsIndex | Sequence[SupportsIndex]]
"""An integer, one integer per axis, one ``(before, after)`` pair per axis, "valid" or "same"."""

MAX_PIXELS = 2**31 - 1
"""Most pixels that an argument may name; sums of a few stay within 64 bits."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window and its way over the spatial axes; each field has one entry per axis.

    Attributes
    ----------
    kernel : tuple of int
        Samples that the window reads.
    stride : tuple of int
        Input pixels from one window to the next.
    dilation : tuple of int
        Input pixels from one sample of a window to the next.
    padding : tuple of (int, int)
        Pixels added before and after the input.
    output : tuple of int
        Number of windows.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    output: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """Pixels from a window's first sample to its last, both included, per axis."""
        return tuple(map(extent, self.kernel, self.dilation))

    def covers(self, size: tuple[int, ...]) -> bool:
        """Say whether the kernel reads the whole of an input, each pixel once, and no padding."""
        return self.kernel == size and not any(map(any, self.padding))

    def span(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        """Pixels that the windows in ``range(start, stop)`` read along an axis.

        The first pixel, and one past the last; pixels of the padding lie below zero or beyond the
        input.
        """
        first = start * self.stride[axis] - self.padding[axis][0]
        return first, first + (stop - 1 - start) * self.stride[axis] + self.extent[axis]


def integer(value: Any, name: str, minimum: int, largest: int = MAX_PIXELS) -> int:
    """Return `value` as an int within bounds, or raise an ArgumentError that calls it `name`.

    Examples
    --------
    >>> integer(3, "groups", 1)
    3
    """
    try:
        number = operator.index(value)  # floats, strings and sequences have no index
    except TypeError:
        number = None
    if number is None or not minimum <= number <= largest or isinstance(value, bool):
        bounds = f"from {minimum} to {largest}"
        raise ArgumentError(f"{name} needs an integer {bounds}, got {reprlib.repr(value)}")
    return number


def per_axis(value: Ints, rank: int, name: str) -> tuple[int, ...]:
    """Spread an integer, or one integer per axis, over `rank` axes.

    Examples
    --------
    >>> per_axis(2, 3, "stride")
    (2, 2, 2)
    >>> per_axis((1, 2), 2, "stride")
    (1, 2)
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if len(value) != rank:
            raise ArgumentError(
                f"{name} needs one integer or {rank}, one per axis, got {reprlib.repr(value)}"
            )
        return tuple(integer(entry, name, 1) for entry in value)
    return (integer(value, name, 1),) * rank


def extent(kernel: int, dilation: int) -> int:
    """Pixels from the first sample of a dilated kernel to its last, both included.

    Examples
    --------
    >>> extent(kernel=3, dilation=2)
    5
    """
    return dilation * (kernel - 1) + 1


def resolve_padding(
    padding: Padding,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """Turn any form of padding into one ``(before, after)`` pair per axis.

    "same" gives ``ceil(size / stride)`` windows; an odd pixel goes after the input.

    Examples
    --------
    >>> resolve_padding("same", size=[5], kernel=[2], stride=[1], dilation=[1])
    ((0, 1),)
    >>> resolve_padding([1, 2], size=[5, 5], kernel=[3, 3], stride=[1, 1], dilation=[1, 1])
    ((1, 1), (2, 2))
    """
    rank = len(size)
    if isinstance(padding, str) and padding == "valid":
        return ((0, 0),) * rank
    if isinstance(padding, str) and padding == "same":
        missing = [
            max((-(-n // r) - 1) * r + extent(k, e) - n, 0)
            for n, k, r, e in zip(size, kernel, stride, dilation, strict=True)
        ]
        return tuple((pixels // 2, pixels - pixels // 2) for pixels in missing)
    forms = (
        f"padding needs an integer, {rank} integers or (before, after) pairs, "
        f'one a spatial axis, "valid" or "same", got {reprlib.repr(padding)}'
    )
    if isinstance(padding, str | bytes):
        raise ArgumentError(forms)
    if not isinstance(padding, Sequence):
        pixels = integer(padding, "padding", 0)
        return ((pixels, pixels),) * rank
    if len(padding) != rank:
        raise ArgumentError(forms)
    pairs = []
    for entry in padding:
        before_after = entry if isinstance(entry, Sequence) else (entry, entry)
        if isinstance(entry, str | bytes) or len(before_after) != 2:
            raise ArgumentError(forms)
        before, after = (integer(pixels, "padding", 0) for pixels in before_after)
        pairs.append((before, after))
    return tuple(pairs)


def window(
    size: Sequence[int],
    kernel: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    *,
    ceil_mode: bool = False,
) -> Window:
    """Work out how a kernel moves over an input of `size`.

    With `ceil_mode` a last window may overhang the padded input, as long as it starts inside the
    input or the padding before it; the overhang becomes padding after the input.

    Examples
    --------
    >>> window((5, 6), 3, stride=2).output
    (2, 2)
    >>> window((5, 6), 3, stride=2, ceil_mode=True).padding
    ((0, 0), (0, 1))
    """
    rank = len(size)
    kernel = per_axis(kernel, rank, "kernel")
    stride = per_axis(stride, rank, "stride")
    dilation = per_axis(dilation, rank, "dilation")
    pads = resolve_padding(padding, size, kernel, stride, dilation)
    extents = tuple(map(extent, kernel, dilation))
    padded = tuple(n + sum(pad) for n, pad in zip(size, pads, strict=True))
    if any(e > n for e, n in zip(extents, padded, strict=True)):
        raise ShapeError(
            f"the kernel {kernel} with dilation {dilation} covers {extents} pixels, more than "
            f"the padded input {padded}: pad more, or take a smaller kernel or dilation"
        )
    output = [(n - e) // r + 1 for n, e, r in zip(padded, extents, stride, strict=True)]
    if ceil_mode:
        for axis, (n, (before, _), r) in enumerate(zip(size, pads, stride, strict=True)):
            overhangs = (padded[axis] - extents[axis]) % r > 0
            if overhangs and output[axis] * r < n + before:
                output[axis] += 1
        needed = [(m - 1) * r + e for m, r, e in zip(output, stride, extents, strict=True)]
        pads = tuple(
            (before, after + max(need - n, 0))
            for (before, after), need, n in zip(pads, needed, padded, strict=True)
        )
    return Window(kernel, stride, dilation, pads, tuple(output))


def tap_counts(window: Window, axis: int, start: int, stop: int) -> list[int]:
    """Count the samples of each window that lie in ``range(start, stop)`` along one axis.

    Examples
    --------
    >>> tap_counts(window((4,), 3, padding=1, stride=2), axis=0, start=0, stop=4)
    [2, 3]
    """
    kernel, stride, dilation = window.kernel[axis], window.stride[axis], window.dilation[axis]
    firsts = (cell * stride - window.padding[axis][0] for cell in range(window.output[axis]))

    def below(limit: int, first: int) -> int:
        return min(max(-(-(limit - first) // dilation), 0), kernel)

    return [below(stop, first) - below(start, first) for first in firsts]
