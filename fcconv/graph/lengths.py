"""How long axes are, at every size of an image, and what reshaping by such lengths does.

A length is an integer times numbers of entries along axes of the image
(:class:`fcconv.graph.receptive.Along`). What a network computes of shapes are such lengths as long
as it multiplies them, or makes of the length of one axis ``(n + a) // r``. Two are the same if they
are made of the same numbers of entries, so that a reshape is known for images of all sizes: the
axes of a value, in order, are dealt out to those that are wanted, and one of the image is split
only into runs of as many entries as divide it at every size.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fcconv.graph.receptive import Along, Constant, Local, Together, of_first

if TYPE_CHECKING:
    from fcconv.graph.node import Node

TO_THE_END = 2**31 - 1
"""Ends of slices from here on mean all that is left."""

Parts = tuple[Along | int, ...]


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
    parts = _parts(x, axis)
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


@of_first
def cut(
    node: Node,
    x: Local,
    starts: Constant | None = None,
    ends: Constant | None = None,
    axes: Constant | None = None,
    steps: Constant | None = None,
) -> Local | None:
    """Cut off ends, as a window of one entry does; an absolute end is not local, lengths are."""
    begin = node.ints("starts", starts)
    until = lengths(node.attribute("ends") if ends is None else ends)
    places = [x.place(axis) for axis in node.ints("axes", axes, tuple(range(len(begin))))]
    every = node.ints("steps", steps, (1,) * len(begin))
    spec, along = {}, dict(x.along)
    for axis, a, end, step in zip(places, begin, until, every, strict=True):
        if axis not in along:
            if end is None or not end.fixed:
                return None
            if axis in x.runs:
                at, jump = x.runs[axis]
                along[at] = _within_runs(x, axis, range(a, end.times, step), along[at], jump)
            continue
        if end is None or a < 0 or step < 1:
            return None
        if end.fixed and 0 <= end.times < TO_THE_END:
            return None
        if not end.fixed:
            shorter = _shortened(along[axis], end)
            if shorter is None:
                return None
            along[axis] = shorter
        spec[axis] = (1, step, 1, -a, min(end.times, 0) if end.fixed else 0)
    return Local(x.rank, along).windowed(spec)


def _shortened(entries: Along | Together, end: Length) -> Along | None:
    """Keep as many entries as a length says; None if that might be more than there are."""
    kept = end.alone
    if kept is None or isinstance(entries, Together) or (kept.counts > entries.counts).any():
        return None
    shorter = replace(entries, counts=kept.counts)
    return shorter if shorter.lies_like(kept) else None


def _within_runs(
    x: Local, axis: int, kept: range, entries: Along | Together, jump: int
) -> Along | Together:
    """Let an axis see no more than what is kept of the runs beside it."""
    number = 0 if x.sizes is None else x.sizes[axis]
    left = range(number)[kept.start : kept.stop : kept.step]
    if isinstance(entries, Together) or not left:
        return entries
    return entries.seeing(min(left) * jump, (max(left) + 1 - number) * jump)


@of_first
def reshape(node: Node, x: Local, shape: Constant | None = None) -> Local | None:
    """Deal out the axes of a value to those that are wanted."""
    wanted = lengths(node.attribute("shape") if shape is None else shape)
    empty = node.attribute("allowzero", 0) and any(map(_is_zero, wanted))
    return None if empty else reshaped(x, wanted)


@of_first
def flatten(node: Node, x: Local) -> Local | None:
    """Put the axes before ``axis`` into one, and the others into another."""
    axis = node.attribute("axis", 1)
    rows = [length_of(x, k) for k in range(axis + x.rank if axis < 0 else axis)]
    made: Length | None = Length(1)
    for row in rows:
        made = multiplied(made, row)
    return reshaped(x, [made, Length(-1)])


def reshaped(x: Local, wanted: Sequence[Length | None]) -> Local | None:
    """Reshape a value; None if that mixes entries of the image at some size.

    Parameters
    ----------
    x : Local
        The value.
    wanted : sequence of (Length or None)
        The lengths; as in ONNX 0 copies one, and -1 is whatever is left.
    """
    copied = 0
    while copied < min(x.rank, len(wanted)) and _is_copied(x, copied, wanted[copied]):
        copied += 1
    made = {axis: along for axis, along in x.along.items() if axis < copied}
    if len(made) == len(x.along):  # what is left is each entry's own
        own = all(n is not None and n.fixed for n in wanted[copied:])
        return Local(len(wanted), made) if own else None
    parts = [_parts(x, axis) for axis in range(copied, x.rank)]
    dims = _resolved(x, wanted, copied)
    if dims is None or any(part is None for part in parts):
        return None
    given = [part for several in parts for part in several or ()]
    dealt = _dealt(given, dims)
    if dealt is None:
        return None
    for axis, several in enumerate(dealt, copied):
        if any(isinstance(part, Along) for part in several):
            made[axis] = _together(several)
    return Local(len(wanted), made, runs=dict(_runs_in(dealt, given, copied)))


def _runs_in(
    dealt: Sequence[Parts], given: Parts | list[Along | int], copied: int
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Find the axes that hold what one of the image had between the entries that are left."""
    for axis, (outer, inner) in enumerate(itertools.pairwise(dealt), copied):
        if len(outer) == len(inner) == 1 and isinstance(outer[0], Along):
            for part in given:
                if isinstance(part, Along) and inner == (_runs_of(part, outer[0]),):
                    yield axis + 1, (axis, part.jump)


def copies(x: Local, axis: int, length: Length | None) -> bool:
    """Say whether a length is that of an axis of the image, or of the batch."""
    mine = length_of(x, axis) if axis in x.along else None
    rest = None if mine is None or length is None else mine.over([length])
    return rest is not None and rest.fixed and rest.times == 1


def _is_copied(x: Local, axis: int, wanted: Length | None) -> bool:
    return _is_zero(wanted) or copies(x, axis, wanted)


def _is_zero(length: Length | None) -> bool:
    return length is not None and length.fixed and length.times == 0


def _parts(x: Local, axis: int) -> Parts | None:
    """List the axes that one of a value is made of; None if its length is not known."""
    along = x.along.get(axis)
    if along is None:
        return None if x.sizes is None else (x.sizes[axis],)
    return along.parts if isinstance(along, Together) else (along,)


def _together(parts: Parts) -> Along | Together:
    first = parts[0]
    return first if isinstance(first, Along) and len(parts) == 1 else Together(parts)


def _resolved(x: Local, wanted: Sequence[Length | None], copied: int) -> list[Length] | None:
    """Say what 0 and -1 stand for, among the axes from `copied` on."""
    dims: list[Length] = []
    left = -1
    for axis, n in enumerate(wanted[copied:], copied):
        if _is_zero(n):
            n = length_of(x, axis) if axis < x.rank else None
        if n is None or (n.fixed and n.times < 0 and left >= 0):
            return None
        if n.fixed and n.times < 0:
            left, n = len(dims), Length(1)
        dims.append(n)
    total: Length | None = Length(1)
    for axis in range(copied, x.rank):
        total = multiplied(total, length_of(x, axis))
    rest = None if total is None else total.over(dims)
    if rest is None or (left < 0 and not (rest.fixed and rest.times == 1)):
        return None
    if left >= 0:
        dims[left] = rest
    return dims


def _dealt(parts: Sequence[Along | int], dims: Sequence[Length]) -> list[Parts] | None:
    """Deal out axes, in order, to those that are wanted; None if one of the image would be split.

    Examples
    --------
    >>> _dealt([12, 5], [Length(4), Length(15)])
    [(4,), (15,)]
    >>> _dealt([6], [Length(4)]) is None
    True
    """
    left, dealt = deque(parts), []
    for dim in dims:
        taken: list[Along | int] = []
        times, along = dim.times, list(dim.along)
        while along or times > 1:
            if not left:
                return None
            part = left.popleft()
            if isinstance(part, Along):
                found = next(((a, n) for a in along if (n := _runs_of(part, a))), None)
                if found is None:
                    return None
                along.remove(found[0])
                taken.append(part if found[1] == 1 else found[0])
                left.extendleft([found[1]] if found[1] > 1 else [])
                continue
            number = math.gcd(part, times)
            if number not in (part, times) or number == 1 != part:
                return None
            if number < part:
                left.appendleft(part // number)
            times //= number
            last = taken[-1] if taken else None
            if isinstance(last, int):
                taken[-1] = last * number
            elif number > 1:
                taken.append(number)
        dealt.append(tuple(taken))
    return dealt if all(part == 1 for part in left) else None


def _runs_of(part: Along, wanted: Along) -> int:
    """Say how many entries of an axis are together one of another; 0 if none are."""
    number = wanted.jump // part.jump
    runs = part.in_runs(number)
    return number if runs is not None and runs.lies_like(wanted) else 0


def expand(node: Node, x: Local | Constant, shape: Constant) -> Local | None:
    """Repeat entries; an axis of length 1 may become one of the image, all along which it is."""
    if not isinstance(x, Local):
        x = Local(x.ndim, {}, x.shape)
    wanted = lengths(shape)
    rank = max(x.rank, len(wanted))
    sizes = None if x.sizes is None else (1,) * (rank - x.rank) + x.sizes
    made = dict(x.aligned(rank).along)
    for axis, n in enumerate(wanted, rank - len(wanted)):
        if n is None:
            return None
        if axis in made:
            if not (n.fixed and n.times == 1) and not copies(Local(rank, made), axis, n):
                return None
        elif not n.fixed:
            if sizes is None or sizes[axis] != 1:
                return None
            made[axis] = _together(n.along if n.times == 1 else (*n.along, n.times))
    return Local(rank, made)
