"""How far each entry of a network's values sees, integers only, from what its operators say.

An operator is *local* where it makes every entry from entries in fixed places beside it, by the
same rule for each entry: a convolution, a pool, whatever works entry by entry. A network of local
operators is equivariant: an image moved by as many pixels as lie between two of its cells has its
cells moved by one. Away from padding every cell is therefore the same function of the pixels that
it sees, in an image of any size, and one cell tells about all of them. How many cells there are is
a composition of ``floor((n + a) / r)``, thus ``floor((n + A) / R)`` with the product ``R`` of the
strides: images of ``R`` sizes in a row tell the number for every other size. If an axis is cut to
so many entries as another has, times a number, then it still has ``P / R`` more of them in an image
that is ``P`` pixels longer, for the least common multiple ``P`` of all strides: that many sizes are
looked at.

Windows may stand in the batch: then one axis of a value is made of several, of images and of
windows along an axis of the image, and every operator keeps them apart that works image by image.

The arithmetic of the fields is that of A. Araujo, W. Norris & J. Sim, *Computing receptive fields
of convolutional neural networks* (2019), section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Along:
    """The entries of a value along one axis of the image.

    Attributes
    ----------
    counts : array of int
        How many there are, for each size of the image that is looked at.
    jump : int
        Pixels from one entry to the next.
    first, last : int
        The pixels that entry 0 depends on, both included.
    before, after : int
        Pixels at each end of the image within which entries are affected by padding.
    of : int
        Which axis of the images this is, counted as the input's are; 0 is the batch.
    """

    counts: Counts
    jump: int = 1
    first: int = 0
    last: int = 0
    before: int = 0
    after: int = 0
    of: int = 0

    def windowed(
        self, kernel: int, stride: int = 1, dilation: int = 1, before: int = 0, after: int = 0
    ) -> Along:
        """Move a window over the entries; padding below zero cuts entries off.

        Examples
        --------
        >>> along = Along(np.array([8, 9])).windowed(kernel=3, stride=2, before=1)
        >>> along.counts.tolist(), along.jump, along.first, along.last, along.before
        ([4, 4], 2, -1, 1, 1)
        """
        extent = dilation * (kernel - 1)
        return Along(
            counts=(self.counts + (before + after - extent - 1)) // stride + 1,
            jump=self.jump * stride,
            first=self.first - before * self.jump,
            last=self.last + (extent - before) * self.jump,
            before=max(self.before + before * self.jump, 0),
            after=max(self.after + after * self.jump, 0),
            of=self.of,
        )

    def lies_like(self, other: Along) -> bool:
        """Say whether entries lie in the same places as others, at every size."""
        same = self.of == other.of and self.jump == other.jump
        return same and np.array_equal(self.counts, other.counts)

    def is_still(self, other: Along) -> bool:
        """Say whether each entry is made of that one of others which lies in its place."""
        sees = self.first, self.last, self.before, self.after
        return self.lies_like(other) and sees == (other.first, other.last, 0, 0)

    def in_runs(self, number: int) -> Along | None:
        """Take so many entries together; None if that leaves a rest at some size."""
        if number == 1:
            return self
        if number < 1 or self.of == 0 or (self.counts % number).any():
            return None
        runs = replace(self, counts=self.counts // number, jump=self.jump * number)
        return runs.seeing(0, (number - 1) * self.jump)

    def seeing(self, first: int, last: int) -> Along:
        """Let entries depend on pixels from so many further on, and up to so many further on."""
        return replace(
            self,
            first=self.first + first,
            last=self.last + last,
            before=max(self.before - first, 0),
            after=max(self.after + last, 0) if last < 0 else self.after,
        )

    def merged(self, other: Along | Together) -> Along | None:
        """Join the entries of the same places of another value; None if places differ."""
        if isinstance(other, Together) or not self.lies_like(other):
            return None
        return replace(
            self,
            first=min(self.first, other.first),
            last=max(self.last, other.last),
            before=max(self.before, other.before),
            after=max(self.after, other.after),
        )


@dataclass(frozen=True, eq=False)
class Together:
    """The entries of several axes along one, those of the last side by side: windows in the batch.

    Attributes
    ----------
    parts : tuple of (Along or int)
        The axes; a number is the length of one that is not of the image.
    """

    parts: tuple[Along | int, ...]

    def windowed(self, *moves: int) -> Together | None:
        """Move a window that reads beside nothing; no other one keeps the axes apart."""
        return self if moves == BESIDE_NOTHING else None

    def merged(self, other: Along | Together) -> Together | None:
        """Join the entries of the same places of another value; None if places differ."""
        if isinstance(other, Along) or len(self.parts) != len(other.parts):
            return None
        pairs = list(zip(self.parts, other.parts, strict=True))
        joined = [a.merged(b) if isinstance(a, Along) and isinstance(b, Along) else a
                  for a, b in pairs if isinstance(a, Along) or a == b]  # fmt: skip
        parts = tuple(part for part in joined if part is not None)
        return Together(parts) if len(parts) == len(pairs) else None


BESIDE_NOTHING = (1, 1, 1, 0, 0)
"""Kernel, stride, dilation and padding of a window of one entry."""


@dataclass(frozen=True)
class Local:
    """A value all of whose entries are made alike.

    Attributes
    ----------
    rank : int
        Its axes.
    along : mapping of int to (Along or Together)
        The axes that are the batch and the image's, in the image's order, and the entries along
        each. The batch is an axis along which nothing may see beyond itself.
    sizes : tuple of int, optional
        How long all axes are in the first of the images that are looked at, where that is known:
        those that are not of the image are as long in any other.
    runs : mapping of int to (int, int)
        The axes that hold runs of entries, just split off: the axis before the split, and pixels
        from one entry of a run to the next.
    """

    rank: int
    along: Mapping[int, Along | Together]
    sizes: tuple[int, ...] | None = None
    runs: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def avoids(self, *axes: int) -> bool:
        """Say whether none of some axes is one of the image."""
        return not any(self.place(axis) in self.along for axis in axes)

    def is_alike(self, constant: npt.NDArray[Any]) -> bool:
        """Say whether a constant beside it is the same everywhere along the image's axes."""
        shift = self.rank - constant.ndim
        return all(axis < shift or constant.shape[axis - shift] == 1 for axis in self.along)

    def aligned(self, rank: int) -> Local:
        """Put axes of length 1 before its own, as broadcasting does."""
        return self.moved(rank, lambda axis: axis + rank - self.rank)

    def merged(self, other: Local) -> Local | None:
        """Join it with another value, entry by entry; None if their places differ."""
        if list(self.along) != list(other.along):
            return None
        return self._with({a: along.merged(other.along[a]) for a, along in self.along.items()})

    def moved(self, rank: int, places: Callable[[int], int]) -> Local:
        """Give axes other places."""
        return Local(rank, {places(axis): along for axis, along in self.along.items()})

    def windowed(self, spec: Mapping[int, Sequence[int]]) -> Local | None:
        """Move windows of (kernel, stride, dilation, before, after) along some of the axes."""
        return self._with(
            {a: along.windowed(*spec[a]) if a in spec else along for a, along in self.along.items()}
        )

    def _with(self, along: Mapping[int, Along | Together | None]) -> Local | None:
        known = {axis: entries for axis, entries in along.items() if entries is not None}
        return Local(self.rank, known) if len(known) == len(along) else None

    def without(self, axes: Sequence[int]) -> Local:
        """Drop axes that are not of the image."""
        gone = {self.place(axis) for axis in axes}
        return self.moved(self.rank - len(gone), lambda axis: axis - sum(a < axis for a in gone))

    def place(self, axis: int) -> int:
        """Count an axis from 0 on."""
        return axis % self.rank
