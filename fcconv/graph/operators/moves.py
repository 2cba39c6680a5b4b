"""Operators that only move entries: reshape, transpose, slice, join and their kin.

They slide without writing a node: the operator is run on arrays of indices, which say where each
entry of a window lies, and the moved indices are kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.errors import ShapeError
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.reshaping import cut, expand, flatten, reshape
from fcconv.graph.rules.align import joined
from fcconv.graph.rules.features import move_entries
from fcconv.graph.rules.values import Constant, SlidingValue

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T

LARGEST = 2**28
"""Most entries that an operator may make out of few: a guard against absurd constants."""

NUMBERS: dict[str, type[np.generic] | None] = {
    "value": None,
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}
"""Where a constant may have its numbers, and of which type they are."""

OF_TRAINING = ("ratio", "seed")
"""Attributes of Dropout that matter while a network is trained."""


def slide(
    context: Context[T], node: Call, x: SlidingValue[T], *options: Constant | None
) -> tuple[SlidingValue[T], ...]:
    """Move the numbers of the entries of one window."""
    return move_entries(context, node, OPERATORS[node.op].compute, x, options)


def _identity(_backend: Backend[Any], _node: Call, x: Any) -> Any:
    return x


def _dropout(backend: Backend[Any], node: Call, x: Any, *options: Any) -> Any:
    training = options[1] if len(options) > 1 else None
    if training is not None and bool(np.any(training)):
        raise node.unsupported("it is in training mode: export the network for inference")
    if node.has_output(1):
        return x, backend.asarray(np.ones(x.shape, bool))
    return x


def _slide_dropout(
    context: Context[T], node: Call, x: SlidingValue[T], *options: Constant | None
) -> Any:
    made = slide(context, node, x, *options)
    return made[0], Constant(np.ones(x.shape, bool))


def _reshape(backend: Backend[Any], node: Call, x: Any, shape: Any = None) -> Any:
    wanted = node.ints("shape", shape)
    if not node.attribute("allowzero", 0):
        if any(n == 0 and axis >= x.ndim for axis, n in enumerate(wanted)):
            raise ShapeError(f"the shape {wanted} copies an axis that {x.shape} has not")
        wanted = tuple(x.shape[axis] if n == 0 else n for axis, n in enumerate(wanted))
    known = math.prod(n for n in wanted if n != -1)
    size = math.prod(x.shape)
    if known < 0 or (size != known if -1 not in wanted else size % max(known, 1)):
        raise ShapeError(f"an array of shape {x.shape} can't take the shape {wanted}")
    return backend.namespace.reshape(x, wanted)


def _flatten(backend: Backend[Any], node: Call, x: Any) -> Any:
    axis = node.attribute("axis", 1)
    if axis != x.ndim:  # of all operators this one alone may end behind the last axis
        (axis,) = node.axes([axis], x.ndim)
    rows = math.prod(x.shape[:axis])
    return backend.namespace.reshape(x, (rows, math.prod(x.shape[axis:])))


def _transpose(backend: Backend[Any], node: Call, x: Any) -> Any:
    axes = node.axes(node.attribute("perm", range(x.ndim)[::-1]), x.ndim)
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"perm needs each of the {x.ndim} axes once, got {axes}")
    return backend.namespace.transpose(x, axes)


def _squeeze(backend: Backend[Any], node: Call, x: Any, axes: Any = None) -> Any:
    named = node.ints("axes", axes)
    ones = [axis for axis, n in enumerate(x.shape) if n == 1]
    given = node.axes(ones if named is None else named, x.ndim)
    if any(x.shape[axis] != 1 for axis in given):
        raise ShapeError(f"the axes {given} of shape {x.shape} have not length 1")
    return backend.namespace.squeeze(x, given)


def _unsqueeze(backend: Backend[Any], node: Call, x: Any, axes: Any = None) -> Any:
    new = node.ints("axes", axes)
    return backend.namespace.expand_dims(x, node.axes(new, x.ndim + len(new)))


def _slice(
    backend: Backend[Any],
    node: Call,
    x: Any,
    starts: Any = None,
    ends: Any = None,
    axes: Any = None,
    steps: Any = None,
) -> Any:
    first, last = node.ints("starts", starts), node.ints("ends", ends)
    along = node.axes(node.ints("axes", axes, tuple(range(len(first)))), x.ndim)
    every = node.ints("steps", steps, (1,) * len(first))
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(first, last, along, every, strict=True):
        if step > 0:
            index[axis] = slice(start, end, step)
            continue
        # ONNX: from the end past the beginning; PyTorch has no slice that runs backwards
        stop = None if end < -x.shape[axis] else end
        places = np.arange(x.shape[axis])[start:stop:step]
        x = backend.namespace.take(x, places, axis=axis)
    return x[tuple(index)]


def _split(backend: Backend[Any], node: Call, x: Any, split: Any = None) -> Any:
    (axis,) = node.axes([node.attribute("axis", 0)], x.ndim)
    parts, sizes = len(node.asked), node.ints("split", split)
    if node.attribute("num_outputs", parts) != parts:
        raise ShapeError(f"num_outputs is {node.attribute('num_outputs')}, it has {parts} outputs")
    if sizes is None:
        each = -(-x.shape[axis] // parts)
        sizes = [*[each] * (parts - 1), x.shape[axis] - each * (parts - 1)]
    if len(sizes) != parts:
        raise ShapeError(f"it has {parts} outputs, but parts of {tuple(sizes)}")
    ends = np.cumsum(sizes).tolist()
    if ends[-1] != x.shape[axis] or min(sizes) < 0:
        raise ShapeError(f"parts of {tuple(sizes)} do not make up {x.shape[axis]} entries")
    return tuple(backend.namespace.split(x, ends[:-1], axis=axis))


def _concat(backend: Backend[Any], node: Call, *xs: Any) -> Any:
    (axis,) = node.axes([node.attribute("axis", 1)], xs[0].ndim)
    return backend.namespace.concatenate(xs, axis=axis)


def _slide_concat(
    context: Context[T], node: Call, *inputs: SlidingValue[T] | Constant
) -> SlidingValue[T]:
    (axis,) = node.axes([node.attribute("axis", 1)], len(inputs[0].shape))
    return joined(context, node, inputs, axis)


def _gather(backend: Backend[Any], node: Call, x: Any, indices: Any) -> Any:
    (axis,) = node.axes([node.attribute("axis", 0)], x.ndim)
    size = x.shape[axis]
    if np.any(indices < -size) or np.any(indices >= size):
        raise ShapeError(f"an index is outside of the {size} entries of axis {axis}")
    return backend.namespace.take(x, np.where(indices < 0, indices + size, indices), axis=axis)


def _gather_nd(backend: Backend[Any], node: Call, x: Any, indices: Any) -> Any:
    depth, kept = indices.shape[-1] if indices.ndim else 0, node.attribute("batch_dims", 0)
    alike = x.shape[:kept] == indices.shape[:kept]
    if not depth or not 0 <= kept < indices.ndim or kept + depth > x.ndim or not alike:
        raise ShapeError(f"indices of shape {indices.shape} do not fit an input of {x.shape}")
    sizes = x.shape[: kept + depth]
    named = np.where(indices < 0, indices + np.array(sizes[kept:]), indices)
    if np.any(named < 0) or np.any(named >= np.array(sizes[kept:])):
        raise ShapeError(f"an index is outside of the first {depth} axes of {sizes[kept:]} entries")
    # the axes of the batch index themselves, the others are indexed by the rows of `named`
    places = [*np.indices(indices.shape[:-1])[:kept], *np.moveaxis(named, -1, 0)]
    rows = backend.namespace.reshape(x, (math.prod(sizes), *x.shape[kept + depth :]))
    return backend.namespace.take(rows, np.ravel_multi_index(places, sizes), axis=0)


def _expand(backend: Backend[Any], node: Call, x: Any, shape: Any) -> Any:
    target = np.broadcast_shapes(x.shape, affordable(node, shape))
    return backend.namespace.broadcast_to(x, target)


def _tile(backend: Backend[Any], node: Call, x: Any, repeats: Any) -> Any:
    affordable(node, np.multiply(x.shape, repeats))
    return backend.namespace.tile(x, tuple(int(n) for n in repeats))


def affordable(node: Call, shape: Any) -> tuple[int, ...]:
    """Check a shape that a constant asks for, before memory is asked for."""
    wanted = tuple(int(n) for n in np.ravel(shape))
    if math.prod(wanted) > LARGEST or min(wanted, default=0) < 0:
        raise ShapeError(f"{node.op} to the shape {wanted} is absurd: at most {LARGEST} entries")
    return wanted


def _is_depth_first(node: Call) -> bool:
    """Say whether the places of a block are the slowest part of the channels."""
    mode = node.attribute("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise node.unsupported(f"its mode is {mode!r}, neither DCR nor CRD")
    return bool(mode == "DCR")


def _space_to_depth(backend: Backend[Any], node: Call, x: Any) -> Any:
    xp, size = backend.namespace, node.attribute("blocksize")
    n, c, h, w = x.shape
    cut = xp.reshape(x, (n, c, h // size, size, w // size, size))
    # axes 3 and 5 are the place in a block, 1 the channels
    deep = (3, 5, 1) if _is_depth_first(node) else (1, 3, 5)
    return xp.reshape(
        xp.transpose(cut, (0, *deep, 2, 4)), (n, c * size * size, h // size, w // size)
    )


def _depth_to_space(backend: Backend[Any], node: Call, x: Any) -> Any:
    xp, size = backend.namespace, node.attribute("blocksize")
    n, c, h, w = x.shape
    deep = c // (size * size)
    if _is_depth_first(node):
        cut = xp.transpose(xp.reshape(x, (n, size, size, deep, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        cut = xp.transpose(xp.reshape(x, (n, deep, size, size, h, w)), (0, 1, 4, 2, 5, 3))
    return xp.reshape(cut, (n, deep, h * size, w * size))


def _shape(_backend: Backend[Any], node: Call, x: Any) -> Any:
    return np.array(x.shape[node.attribute("start", 0) : node.attribute("end")], np.int64)


def _size(_backend: Backend[Any], _node: Call, x: Any) -> Any:
    return np.array(math.prod(x.shape), np.int64)


def _constant(backend: Backend[Any], node: Call) -> Any:
    for name, dtype in NUMBERS.items():
        value = node.attribute(name)
        if value is not None:
            return backend.asarray(value.numpy() if dtype is None else np.array(value, dtype))
    raise node.unsupported("a constant needs a dense tensor or numbers")


def _constant_of_shape(backend: Backend[Any], node: Call, shape: Any) -> Any:
    value = node.attribute("value")
    fill = np.zeros(1, np.float32) if value is None else value.numpy()
    return backend.asarray(np.full(affordable(node, shape), fill.ravel()[0], fill.dtype))


def _range(backend: Backend[Any], node: Call, start: Any, limit: Any, delta: Any) -> Any:
    affordable(node, [max(np.ceil((limit - start) / delta), 0)])
    return backend.asarray(np.arange(start, limit, delta, dtype=start.dtype))


def _refuse_dynamic(_context: Context[T], node: Call, *_inputs: Any) -> SlidingValue[T]:
    raise node.unsupported("its arguments depend on the pixels, not on shapes and constants")


def _slide_shape(_context: Context[T], node: Call, *_inputs: Any) -> SlidingValue[T]:
    raise AssertionError(f"{node} is static")


def _structural(*positions: int) -> frozenset[int]:
    return frozenset(positions)


OPERATORS = {
    "Identity": Operator(_identity, slide, spread=receptive.entrywise),
    "Dropout": Operator(
        _dropout,
        _slide_dropout,
        _structural(1, 2),
        attributes=OF_TRAINING,
        spread=receptive.entrywise,
    ),
    "Reshape": Operator(_reshape, slide, _structural(1), attributes=("allowzero",), spread=reshape),
    "Flatten": Operator(_flatten, slide, attributes=("axis",), spread=flatten),
    "Transpose": Operator(_transpose, slide, attributes=("perm",), spread=receptive.transpose),
    "Squeeze": Operator(
        _squeeze, slide, _structural(1), attributes=("axes",), spread=receptive.squeeze
    ),
    "Unsqueeze": Operator(
        _unsqueeze, slide, _structural(1), attributes=("axes",), spread=receptive.unsqueeze
    ),
    "Slice": Operator(
        _slice,
        slide,
        _structural(1, 2, 3, 4),
        attributes=("starts", "ends", "axes"),
        spread=cut,
    ),
    "Split": Operator(
        _split,
        slide,
        _structural(1),
        attributes=("axis", "split", "num_outputs"),
        spread=receptive.mixing(0),
    ),
    "Concat": Operator(
        _concat, _slide_concat, attributes=("axis",), slides_by_any=True, spread=receptive.join
    ),
    "Gather": Operator(
        _gather, slide, _structural(1), attributes=("axis",), spread=receptive.gather
    ),
    "GatherND": Operator(_gather_nd, slide, _structural(1), attributes=("batch_dims",)),
    "Expand": Operator(_expand, slide, _structural(1), spread=expand),
    "Tile": Operator(_tile, slide, _structural(1), spread=receptive.tile),
    "SpaceToDepth": Operator(
        _space_to_depth, slide, attributes=("blocksize", "mode"), spread=receptive.by_image
    ),
    "DepthToSpace": Operator(
        _depth_to_space, slide, attributes=("blocksize", "mode"), spread=receptive.by_image
    ),
    "Shape": Operator(_shape, _slide_shape, static=True, attributes=("start", "end")),
    "Size": Operator(_size, _slide_shape, static=True),
    "Constant": Operator(_constant, _refuse_dynamic, attributes=tuple(NUMBERS)),
    "ConstantOfShape": Operator(
        _constant_of_shape, _refuse_dynamic, _structural(0), attributes=("value",)
    ),
    "Range": Operator(_range, _refuse_dynamic, _structural(0, 1, 2)),
}
