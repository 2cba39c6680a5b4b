"""What a value of the patch network is in the sliding one."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.graph.samples import Samples

Numbers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Constant:
    """A value that is the same for every window.

    Attributes
    ----------
    array : array
        The value.
    source : str, optional
        The initialiser of the patch network that holds it.
    """

    array: npt.NDArray[Any]
    source: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.array.shape


@dataclass(frozen=True)
class Whole:
    """How a value that is a whole map lies in its tensor.

    Attributes
    ----------
    order : tuple of int
        The tensor's spatial axis along which each spatial axis of the value runs.
    channel_axis : int
        Where the value has its channels, counted from the batch on.
    """

    order: tuple[int, ...]
    channel_axis: int = 1


@dataclass(frozen=True)
class Slid:
    """A value of every window, held in one tensor ``(N, C, *S)``.

    Attributes
    ----------
    tensor : onnx_ir.Value
        The tensor, channels first, its spatial axes in the order of the image's.
    channels : int
        Channels of the tensor.
    axes : tuple of Samples
        Where the samples of the windows lie, for each spatial axis.
    shape : tuple of int
        Shape of the value in the patch network, batch included.
    arrangement : Whole, or array of int, shape ``shape[1:]``
        Which entry of the block ``(C, *block)`` stands at each place, counted in row-major order.
    unshared : str, optional
        The node from which on windows have no map in common, and why.
    """

    tensor: ir.Value
    channels: int
    axes: tuple[Samples, ...]
    shape: tuple[int, ...]
    arrangement: Whole | Numbers
    unshared: str | None = None

    @property
    def numbers(self) -> Numbers:
        """Which entry of the block stands at each place."""
        lies = self.arrangement
        if not isinstance(lies, Whole):
            return lies
        block = np.arange(self.entries).reshape(self.channels, *self.block)
        ordered = block.transpose(0, *(1 + k for k in lies.order))
        return np.moveaxis(ordered, 0, lies.channel_axis - 1)

    def lies_like(self, other: Slid) -> bool:
        """Say whether the entries of two values lie alike."""
        mine, theirs = self.arrangement, other.arrangement
        if isinstance(mine, Whole) and isinstance(theirs, Whole):
            return mine == theirs
        return np.array_equal(self.numbers, other.numbers)

    @property
    def block(self) -> tuple[int, ...]:
        """Samples of one window, an axis."""
        return tuple(axis.block for axis in self.axes)

    @property
    def entries(self) -> int:
        """Entries of the block."""
        return self.channels * math.prod(self.block)


@dataclass(frozen=True)
class Layout:
    """A value that is a part of a map, channels first.

    Attributes
    ----------
    channels : array of int
        The tensor's channel at each place of the value's channel axis.
    order : tuple of int
        The tensor's spatial axis along which each spatial axis of the value runs.
    parts : tuple of (start, count, every)
        The samples that the value takes, for each spatial axis of the tensor.
    """

    channels: Numbers
    order: tuple[int, ...]
    parts: tuple[tuple[int, int, int], ...]


def find_layout(x: Slid, channel_axis: int) -> Layout | None:
    """Read off how a value lies in the block; None if it is no part of a map."""
    rank, channels, block = len(x.axes), x.channels, x.block
    if isinstance(x.arrangement, Whole) and x.arrangement.channel_axis == channel_axis:
        parts = tuple((0, n, 1) for n in block)
        return Layout(np.arange(channels), x.arrangement.order, parts)
    numbers = np.moveaxis(x.numbers, channel_axis - 1, 0)
    if numbers.ndim != rank + 1 or not numbers.size:
        return None
    channel, *places = np.unravel_index(numbers, (channels, *block))
    if not _varies_only_along(channel, 0):
        return None
    for order in itertools.permutations(range(rank)):
        found = [_progression(places[k], 1 + order.index(k)) for k in range(rank)]
        known = tuple(part for part in found if part is not None)
        if len(known) == rank:
            return Layout(channel.reshape(len(channel), -1)[:, 0], order, known)
    return None


def _varies_only_along(places: npt.NDArray[Any], axis: int) -> bool:
    first = tuple(slice(None) if a == axis else slice(1) for a in range(places.ndim))
    return bool(np.array_equal(places, np.broadcast_to(places[first], places.shape)))


def _progression(places: npt.NDArray[Any], axis: int) -> tuple[int, int, int] | None:
    """Describe places that go up in equal steps along one axis, and no other, as a slice."""
    if not _varies_only_along(places, axis):
        return None
    line = np.moveaxis(places, axis, 0).reshape(places.shape[axis], -1)[:, 0]
    every = int(line[1] - line[0]) if len(line) > 1 else 1
    if every < 1 or np.any(np.diff(line) != every):
        return None
    return int(line[0]), len(line), every


def flatten_order(numbers: Numbers, channels: int, block: tuple[int, ...]) -> str:
    """Name the order in which a block was flattened, "CHW" or "HWC" say, or "mixed"."""
    letters = "C" + {1: "W", 2: "HW", 3: "DHW"}[len(block)]
    whole = np.arange(channels * math.prod(block)).reshape(channels, *block)
    flat = numbers.ravel()
    for order in itertools.permutations(range(len(letters))):
        if np.array_equal(whole.transpose(order).ravel(), flat):
            return "".join(letters[axis] for axis in order)
    return "mixed"
