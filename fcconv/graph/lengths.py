"""How long axes are, at every size of an image.

A length is an integer times numbers of entries along axes of the image
(:class:`fcconv.graph.local.Along`). What a network computes of shapes are such lengths as long
as it multiplies them, or makes of the length of one axis ``(n + a) // r``. Two are the same if they
are made of the same numbers of entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.graph.local import Along, Local, Together

Parts = tuple[Along | int, ...]
"""The axes that one is made of; a number is the length of one that is not of the image."""


@dataclass(frozen=True, eq=False)
class Length:
    """The length of an axis.

    Attributes
    ----------
    times : int
        A factor.
    along : tuple of Along
        Axes of the image, whose numbers of entries are the other ones.
    """

    times: int
    along: tuple[Along, ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether it is the same in all images."""
        return not self.along

    @property
    def first(self) -> int:
        """What it is in the first of the images that are looked at."""
        return self.times * math.prod(int(a.counts[0]) for a in self.along)

    @property
    def is_positive(self) -> bool:
        """Whether it is above 0 at every size."""
        return self.times > 0 and all((axis.counts > 0).all() for axis in self.along)

    def over(self, others: Iterable[Length]) -> Length | None:
        """Divide by other lengths; None if there is a rest, or might be."""
        number, along = 1, list(self.along)
        for other in others:
            number *= other.times
            for taken in other.along:
                same = next((a for a in along if a.lies_like(taken)), None)
                if same is None:
                    return None
                along.remove(same)
        if number < 1:
            return None
        common = math.gcd(self.times, number)
        for k, axis in enumerate(along):
            runs = axis.in_runs(number // common)
            if number > common and runs is not None:
                along[k], number = runs, common
        return Length(self.times // common, tuple(along)) if number == common else None

    @property
    def alone(self) -> Along | None:
        """The entries of one axis that it counts; None if it is made of several, or of none."""
        axis = self.along[0] if len(self.along) == 1 else None
        if axis is None or axis.of == 0 or self.times < 1 or axis.jump % self.times:
            return None
        return replace(axis, counts=axis.counts * self.times, jump=axis.jump // self.times)

    def plus(self, number: int) -> Length | None:
        """Add a number; None if what comes is not known for every size."""
        if self.fixed:
            return Length(self.times + number)
        axis = self.alone
        return None if axis is None else Length(1, (replace(axis, counts=axis.counts + number),))

    def divided(self, number: int) -> Length | None:
        """Divide by a number, and round down; None if what comes is not known for every size."""
        if number < 1 or self.first < 0:
            return None
        if self.fixed or self.times % number == 0:
            return replace(self, times=self.times // number)
        axis = self.alone
        if axis is None or (axis.counts < 0).any():
            return None
        return Length(1, (replace(axis, counts=axis.counts // number, jump=axis.jump * number),))


def added(a: Length | None, b: Length | None) -> Length | None:
    """Add two lengths."""
    if a is None or b is None:
        return None
    return a.plus(b.times) if b.fixed else b.plus(a.times) if a.fixed else None


def subtracted(a: Length | None, b: Length | None) -> Length | None:
    """Subtract a fixed length."""
    return a.plus(-b.times) if a is not None and b is not None and b.fixed else None


def multiplied(a: Length | None, b: Length | None) -> Length | None:
    """Multiply two lengths."""
    return None if a is None or b is None else Length(a.times * b.times, a.along + b.along)


def divided(a: Length | None, b: Length | None) -> Length | None:
    """Divide by a fixed length, and round down."""
    return a.divided(b.times) if a is not None and b is not None and b.fixed else None


def equal(a: Length | None, b: Length | None) -> bool | None:
    """Say whether two lengths are the same; None if that is not known for every size."""
    if a is None or b is None:
        return None
    if a.fixed and b.fixed:
        return a.times == b.times
    below = min((n.times for n in (a, b) if n.fixed), default=0) < 0
    return False if below and all(n.fixed or n.is_positive for n in (a, b)) else None


ARITHMETIC: dict[str, Callable[[Length | None, Length | None], Length | bool | None]] = {
    "Add": added,
    "Div": divided,
    "Equal": equal,
    "Mul": multiplied,
    "Sub": subtracted,
}
"""What a network may compute of lengths."""

MOVES = ("Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze")
"""What moves lengths, and changes none."""


def length_of(x: Local, axis: int) -> Length | None:
    """Return the length of an axis of a value; None if it is not known."""
    parts = parts_of(x, axis)
    if parts is None:
        return None
    numbers = math.prod(part for part in parts if isinstance(part, int))
    return Length(numbers, tuple(part for part in parts if isinstance(part, Along)))


def lengths(shape: npt.ArrayLike) -> list[Length | None]:
    """Read lengths that a shape holds."""
    return [Length(int(n)) if isinstance(n, int | np.integer) else n for n in np.ravel(shape)]


def as_lengths(array: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    """Let every entry of an array be a length."""
    made = np.empty(array.size, object)
    made[:] = lengths(array)
    return made.reshape(array.shape)


def copies(x: Local, axis: int, length: Length | None) -> bool:
    """Say whether a length is that of an axis of the image, or of the batch."""
    mine = length_of(x, axis) if axis in x.along else None
    rest = None if mine is None or length is None else mine.over([length])
    return rest is not None and rest.fixed and rest.times == 1


def parts_of(x: Local, axis: int) -> Parts | None:
    """List the axes that one of a value is made of; None if its length is not known."""
    along = x.along.get(axis)
    if along is None:
        return None if x.sizes is None else (x.sizes[axis],)
    return along.parts if isinstance(along, Together) else (along,)
