"""How a value of the patch network lies in the tensors of the sliding one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from fcconv.errors import UnsupportedError
from fcconv.graph.rules.samples import Samples

Numbers: TypeAlias = npt.NDArray[np.int64]

FIRST_ENTRY = 2.0**40
"""Numbers that stand for entries of weights start here, where rules are to tell which go where:
float64 holds them exactly, and no rule makes such a value."""

T = TypeVar("T")
"""What a target knows a tensor by."""


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


@dataclass(frozen=True, eq=False)
class SlidingValue(Generic[T]):
    """A value of every window, held in one tensor ``(N, C, *S)``.

    Attributes
    ----------
    tensor : handle of the target
        The tensor, channels first, its spatial axes in the order of the image's.
    channels : int
        Channels of the tensor.
    axes : tuple of Samples
        Where the samples of the windows lie, for each spatial axis.
    shape : tuple of int
        Shape of the value in the patch network, whatever its axes are: those of a map, some of them
        reduced or merged, the batch among them or not.
    where : tuple of arrays of int
        Which entry stands at each place of the value: its image, its channel of the tensor, and its
        sample along each spatial axis. Each array broadcasts to `shape`, and has length 1 along
        every axis along which it does not vary, so that a map takes no memory.
    unshared : str, optional
        The node from which on windows have no map in common, and why.
    mixed : UnsupportedError, optional
        What to say of the node that put the batch elsewhere, should the images be needed apart.
    """

    tensor: T
    channels: int
    axes: tuple[Samples, ...]
    shape: tuple[int, ...]
    where: tuple[Numbers, ...]
    unshared: str | None = None
    mixed: UnsupportedError | None = None

    @property
    def block(self) -> tuple[int, ...]:
        """Samples of one window, per axis."""
        return tuple(axis.block for axis in self.axes)

    @property
    def entries(self) -> int:
        """Entries of the block ``(C, *block)``."""
        return self.channels * math.prod(self.block)

    @property
    def numbers(self) -> Numbers:
        """Which entry of the block stands at each place, counted in row-major order."""
        places = np.broadcast_arrays(*self.where[1:])
        numbers = np.ravel_multi_index(tuple(places), (self.channels, *self.block))
        return np.broadcast_to(numbers, self.shape)

    @property
    def places(self) -> tuple[Numbers, ...]:
        """The sample along each spatial axis that stands at each place."""
        return self.where[2:]

    def lies_like(self, other: SlidingValue[T]) -> bool:
        """Say whether the entries of two values lie alike."""
        return self.shape == other.shape and all(map(np.array_equal, self.where, other.where))

    def spread(self, shape: tuple[int, ...]) -> SlidingValue[T]:
        """Broadcast a value."""
        more = (1,) * (len(shape) - len(self.shape))
        return replace(
            self, shape=shape, where=tuple(w.reshape(more + w.shape) for w in self.where)
        )

    def reshaped(self, shape: tuple[int, ...]) -> SlidingValue[T]:
        """Give a value another shape."""
        if shape == self.shape:
            return self
        where = [np.broadcast_to(w, self.shape).reshape(shape) for w in self.where]
        return self.varying(shape, where)

    def varying(self, shape: tuple[int, ...], where: Sequence[Numbers]) -> SlidingValue[T]:
        """Put entries elsewhere."""
        return replace(self, shape=shape, where=tuple(map(opened, where)))


def opened(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Keep one of the entries that are the same all along an axis.

    Examples
    --------
    >>> opened(np.array([[1, 2], [1, 2]])).tolist()
    [[1, 2]]
    """
    # axes that are broadcast have a stride of 0 bytes, so that no entries need be compared
    array = first(array, [axis for axis, step in enumerate(array.strides) if step == 0])
    for axis, n in enumerate(array.shape):
        one = first(array, [axis])
        if n > 1 and _equal(array, one):
            array = one
    return array


def _equal(array: npt.NDArray[Any], one: npt.NDArray[Any]) -> bool:
    """Say whether all entries along an axis are like the first one."""
    return np.array_equal(
        array, np.broadcast_to(one, array.shape), equal_nan=array.dtype.kind == "f"
    )


def first(array: npt.NDArray[Any], axes: Collection[int]) -> npt.NDArray[Any]:
    """Take the first entry along some axes."""
    return array[(*(slice(1) if a in axes else slice(None) for a in range(array.ndim)), ...)]


def varies(array: npt.NDArray[Any], axes: Collection[int]) -> bool:
    """Say whether an array of `SlidingValue.where` varies along some axes."""
    return any(array.shape[axis] > 1 for axis in axes)


@dataclass(frozen=True)
class Layout:
    """A value that holds, along some of its axes, features of each pixel.

    Attributes
    ----------
    channels : array of int, shape (F,)
        The tensor's channel of each feature.
    starts : array of int, shape (F, rank)
        The first sample of each feature along each spatial axis: where a feature stands for a
        phase, as after SpaceToDepth, they differ.
    parts : tuple of (count, every)
        The samples from there on that each feature takes, along each spatial axis.
    places : tuple of arrays of int
        Which of those samples stands at each place of the value.
    """

    channels: Numbers
    starts: Numbers
    parts: tuple[tuple[int, int], ...]
    places: tuple[Numbers, ...]


def find_layout(x: SlidingValue[T], along: Sequence[int]) -> Layout | None:
    """Read off how a value lies in the block, with the features of a pixel along some axes.

    None if they are not features of one pixel: the place along `along` alone must give the channel
    and the phase of an entry, and the place along the other axes its pixel.
    """
    others = [axis for axis in range(len(x.shape)) if axis not in along]
    image, channel, *places = x.where
    if varies(image, along) or varies(channel, others):
        return None
    starts, parts, moved = [], [], []
    for place in places:
        # a place must be the sum of where its feature begins and of what its pixel adds to that
        start, rest = first(place, others), first(place, along)
        rest = rest - first(start, along)
        if not np.array_equal(place, start + rest):
            return None
        taken = np.unique(rest) if rest.size else np.zeros(1, int)  # of no entries the first sample
        low, every = int(taken[0]), int(np.gcd.reduce(np.diff(taken))) or 1
        starts.append(start + low)
        parts.append((int(taken[-1] - low) // every + 1, every))
        moved.append((rest - low) // every)
    flat = [_in_order(array, x.shape, along) for array in (channel, *starts)]
    return Layout(flat[0], np.stack(flat[1:], axis=1), tuple(parts), tuple(moved))


def _in_order(array: Numbers, shape: tuple[int, ...], along: Sequence[int]) -> Numbers:
    """Flatten what varies along some axes, in the order of these."""
    wide = np.broadcast_to(array, [n if a in along else 1 for a, n in enumerate(shape)])
    others = [axis for axis in range(len(shape)) if axis not in along]
    return wide.transpose([*others, *along]).ravel()


def feature_numbers(shape: tuple[int, ...], along: Sequence[int]) -> Numbers:
    """Count the features along some axes of a value, in the order of these.

    Examples
    --------
    >>> feature_numbers((2, 3, 2), [2, 1]).shape, feature_numbers((2, 3, 2), [2, 1])[0, 1].tolist()
    ((1, 3, 2), [1, 4])
    """
    others = [axis for axis in range(len(shape)) if axis not in along]
    lengths = [1] * len(others) + [shape[axis] for axis in along]
    numbers = np.arange(math.prod(lengths)).reshape(lengths)
    return numbers.transpose(np.argsort([*others, *along]))  # argsort inverts a permutation


def is_progression(places: Numbers, axis: int | None) -> bool:
    """Say whether places are 0, 1, 2, ... along one axis, or along none, and alike along others."""
    line = [-1 if a == axis else 1 for a in range(places.ndim)]
    count = 1 if axis is None else places.shape[axis]
    return np.array_equal(places, np.arange(count).reshape(line))


def flatten_order(numbers: Numbers, channels: int, block: tuple[int, ...]) -> str:
    """Name the order in which a block was flattened, "CHW" or "HWC" say, or "mixed"."""
    letters = "C" + {1: "W", 2: "HW", 3: "DHW"}[len(block)]
    whole = np.arange(channels * math.prod(block)).reshape(channels, *block)
    flat = numbers.ravel()
    for order in itertools.permutations(range(len(letters))):
        if np.array_equal(whole.transpose(order).ravel(), flat):
            return "".join(letters[axis] for axis in order)
    return "mixed"
