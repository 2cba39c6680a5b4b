"""How far one sees across reshapes, slices and repetitions: the rules that go by lengths.

The axes of a value, in order, are dealt out to those that are wanted, and one of the image is split
only into runs of as many entries as divide it at every size.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fcconv.graph.lengths import (
    Length,
    Parts,
    copies,
    length_of,
    lengths,
    multiplied,
    parts_of,
)
from fcconv.graph.local import Along, Local, Together
from fcconv.graph.receptive import Constant, of_first

if TYPE_CHECKING:
    from fcconv.graph.call import Call

TO_THE_END = 2**31 - 1
"""Ends of slices from here on mean all that is left."""


@of_first
def cut(
    node: Call,
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
def reshape(node: Call, x: Local, shape: Constant | None = None) -> Local | None:
    """Deal out the axes of a value to those that are wanted."""
    wanted = lengths(node.attribute("shape") if shape is None else shape)
    empty = node.attribute("allowzero", 0) and any(map(_is_zero, wanted))
    return None if empty else reshaped(x, wanted)


@of_first
def flatten(node: Call, x: Local) -> Local | None:
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
    parts = [parts_of(x, axis) for axis in range(copied, x.rank)]
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


def _is_copied(x: Local, axis: int, wanted: Length | None) -> bool:
    return _is_zero(wanted) or copies(x, axis, wanted)


def _is_zero(length: Length | None) -> bool:
    return length is not None and length.fixed and length.times == 0


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


def expand(node: Call, x: Local | Constant, shape: Constant) -> Local | None:
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
