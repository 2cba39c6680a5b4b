"""How far operators see: the rules, one for each kind, that their records name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

from fcconv.graph.local import Local

if TYPE_CHECKING:
    from fcconv.graph.call import Call

Constant: TypeAlias = npt.NDArray[Any]
Spread: TypeAlias = "Callable[..., Local | None]"
"""``spread(node, *inputs)`` says how a result depends on its inputs; None if it is not local."""


def of_first(rule: Callable[..., Local | None]) -> Spread:
    """Make a rule for operators of one value of the image, with constants beside it."""

    @functools.wraps(rule)
    def spread(node: Call, x: Any, *constants: Any) -> Local | None:
        if not isinstance(x, Local) or any(isinstance(other, Local) for other in constants):
            return None
        return rule(node, x, *constants)

    return spread


def entrywise(_node: Call, *inputs: Local | Constant | None) -> Local | None:
    """Make each entry of the entries of its place; inputs broadcast."""
    given = [x for x in inputs if x is not None]
    rank = max(x.rank if isinstance(x, Local) else x.ndim for x in given)
    first, *others = (x.aligned(rank) for x in given if isinstance(x, Local))
    made: Local | None = first
    for x in others:
        made = None if made is None else made.merged(x)
    constants = [x for x in given if not isinstance(x, Local)]
    return made if made is not None and all(map(made.is_alike, constants)) else None


def join(node: Call, *inputs: Local | Constant | None) -> Local | None:
    """Put values side by side along an axis that is not of the image."""
    made = entrywise(node, *inputs)
    if made is None or not all(isinstance(x, Local) for x in inputs):
        return None
    return made if made.avoids(node.attribute("axis", 1)) else None


@of_first
def by_channel(_node: Call, x: Local, *_parameters: Constant | None) -> Local | None:
    """Make each entry of those at its place, and of constants of its channel."""
    return x if x.avoids(1) else None


@of_first
def by_image(_node: Call, x: Local, *_parameters: Constant | None) -> Local | None:
    """Make of each image in the batch something by itself, in whatever way."""
    return x if x.avoids(*range(1, x.rank)) else None


@of_first
def window(node: Call, x: Local, weight: Constant | None = None, *_rest: Any) -> Local | None:
    """Move the windows of a convolution or a pool along the axes from the third on."""
    if not x.avoids(1) or node.has_output(1):  # places of maxima are counted from the corner
        return None
    if x.avoids(*range(1, x.rank)):
        return x
    padding = node.attribute("auto_pad", "NOTSET")
    if padding not in ("NOTSET", "VALID") or node.attribute("ceil_mode", 0):
        return None  # its padding depends on the size of the image
    kernel = node.attribute("kernel_shape") or (() if weight is None else weight.shape[2:])
    rank = len(kernel)
    pads = node.attribute("pads", ()) if padding == "NOTSET" else ()
    before, after = pads[:rank] or (0,) * rank, pads[rank:] or (0,) * rank
    ones = (1,) * rank
    strides, dilations = node.attribute("strides", ones), node.attribute("dilations", ones)
    spec = zip(kernel, strides, dilations, before, after, strict=True)
    return x.windowed({2 + k: numbers for k, numbers in enumerate(spec)})


@of_first
def pad(
    node: Call,
    x: Local,
    pads: Constant | None = None,
    _value: Constant | None = None,
    axes: Constant | None = None,
) -> Local | None:
    """Read beyond the ends, as a window of one entry does."""
    numbers = node.ints("pads", pads)
    places = [x.place(axis) for axis in node.ints("axes", axes, tuple(range(x.rank)))]
    ends = zip(numbers[: len(places)], numbers[len(places) :], strict=True)
    return x.windowed({axis: (1, 1, 1, *pair) for axis, pair in zip(places, ends, strict=True)})


@of_first
def transpose(node: Call, x: Local) -> Local | None:
    """Put axes in another order."""
    perm = [x.place(axis) for axis in node.attribute("perm", tuple(range(x.rank))[::-1])]
    return x.moved(x.rank, perm.index)


@of_first
def squeeze(node: Call, x: Local, axes: Constant | None = None) -> Local | None:
    """Drop axes of length 1, which are named."""
    named = node.ints("axes", axes)
    return x.without(named) if named is not None and x.avoids(*named) else None


@of_first
def unsqueeze(node: Call, x: Local, axes: Constant | None = None) -> Local | None:
    """Add axes of length 1."""
    named = node.ints("axes", axes)
    rank = x.rank + len(named)
    new = {axis % rank for axis in named}
    kept = [axis for axis in range(rank) if axis not in new]
    return x.moved(rank, kept.__getitem__)


@of_first
def gather(node: Call, x: Local, indices: Constant) -> Local | None:
    """Pick entries along an axis that is not of the image."""
    axis, more = x.place(node.attribute("axis", 0)), indices.ndim - 1
    return x.moved(x.rank + more, lambda a: a + more * (a > axis)) if x.avoids(axis) else None


@of_first
def tile(_node: Call, x: Local, repeats: Constant) -> Local | None:
    """Repeat what is not of the image."""
    return x if all(repeats[axis] == 1 for axis in x.along) else None


def mixing(default: int) -> Spread:
    """Make the rule of what mixes the entries along ``axis``."""

    @of_first
    def spread(node: Call, x: Local, *_parameters: Constant | None) -> Local | None:
        return x if x.avoids(node.attribute("axis", default)) else None

    return spread


def mixing_from(default: int) -> Spread:
    """Make the rule of what mixes the entries along all axes from ``axis`` on."""

    @of_first
    def spread(node: Call, x: Local, *_parameters: Constant | None) -> Local | None:
        return x if x.avoids(*range(x.place(node.attribute("axis", default)), x.rank)) else None

    return spread


def softmax(node: Call, x: Local | Constant) -> Local | None:
    """Mix the entries along an axis, or, before opset 13, along all from there on."""
    rule = mixing(-1) if node.opset >= 13 else mixing_from(1)
    return rule(node, x)


@of_first
def along_axis(node: Call, x: Local, axis: Constant) -> Local | None:
    """Mix the entries along an axis that is an input."""
    return x if x.avoids(*node.ints("axis", axis)) else None


@of_first
def reduction(node: Call, x: Local, axes: Constant | None = None) -> Local | None:
    """Reduce axes that are not of the image."""
    named = node.ints("axes", axes)
    if not named:
        return x if node.attribute("noop_with_empty_axes", 0) else None
    return _reduced(node, x, named)


@of_first
def place_of_extreme(node: Call, x: Local) -> Local | None:
    """Find places along an axis that is not of the image."""
    return _reduced(node, x, [node.attribute("axis", 0)])


def _reduced(node: Call, x: Local, axes: Sequence[int]) -> Local | None:
    if not x.avoids(*axes):
        return None
    return x if node.attribute("keepdims", 1) else x.without(axes)


@of_first
def gemm(node: Call, a: Local, b: Constant, c: Constant | None = None) -> Local | None:
    """Mix the last of two axes by a weight, and add a constant to each row."""
    rows = not node.attribute("transA", 0) and a.avoids(1)
    return a if rows and b.ndim == 2 and (c is None or a.is_alike(c)) else None


def matmul(node: Call, a: Local | Constant, b: Local | Constant) -> Local | None:
    """Mix the last axis of the first by the last but one of the second; axes before broadcast."""
    if min(x.rank if isinstance(x, Local) else x.ndim for x in (a, b)) < 2:
        return None
    if (isinstance(a, Local) and not a.avoids(-1)) or (isinstance(b, Local) and not b.avoids(-2)):
        return None
    return entrywise(node, *(x if isinstance(x, Local) else x[..., :1, :1] for x in (a, b)))
