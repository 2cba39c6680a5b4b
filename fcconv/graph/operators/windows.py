"""Operators that move a window over the image: convolutions and pools.

They slide with their stride, dilation and padding rescaled, see :mod:`fcconv.graph.rules.samples`;
a global pool becomes a pool over the block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv import geometry, pools
from fcconv.errors import ShapeError
from fcconv.geometry import Window
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.operators.elementwise import rounded_once
from fcconv.graph.rules.features import ELSEWHERE, whole_map
from fcconv.graph.rules.maps import Map, as_map, move_windows, not_a_map
from fcconv.graph.rules.samples import AxisWindow
from fcconv.graph.rules.values import Constant, SlidingValue, first
from fcconv.graph.rules.writing import pad, window_attributes

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.target import Target
    from fcconv.graph.rules.values import T

MOVES = ("kernel_shape", "strides", "dilations", "pads", "auto_pad")
"""Attributes that say how a window moves."""

OF_PLACES = "storage_order"
"""The attribute of MaxPool that orders the places of the maxima, which are not computed here."""

DILATED_SINCE = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}
"""The operator set from which on a pool has dilations."""

STILL = (1, 1, 1, 0, 0)
"""Kernel, stride, dilation and padding of a window that does not move along an axis."""

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Moved:
    """How a node moves its window: the window, and the padding that was asked for."""

    window: Window
    asked: Pads

    @property
    def spec(self) -> list[tuple[int, int, int, int, int]]:
        """Kernel, stride, dilation, padding before and after, per axis."""
        w = self.window
        return [
            (k, r, e, before, after)
            for k, r, e, (before, after) in zip(
                w.kernel, w.stride, w.dilation, w.padding, strict=True
            )
        ]


def window_of(node: Call, size: Sequence[int], kernel: Sequence[int]) -> Moved:
    """Read the attributes of a convolution or a pool over an input of `size`."""
    rank = len(size)
    if not 1 <= rank <= 3:
        raise ShapeError(f"it has {rank} spatial axes; one to three can be computed")
    ones = (1,) * rank
    stride, dilation = node.attribute("strides", ones), node.attribute("dilations", ones)
    lengths = len(kernel), len(stride), len(dilation)
    if set(lengths) != {rank}:
        raise ShapeError(
            f"a window of {lengths[0]} axes, {lengths[1]} strides and {lengths[2]} dilations does "
            f"not fit the {rank} spatial axes of its input"
        )
    automatic = node.attribute("auto_pad", "NOTSET")
    padding: Any = "valid"
    if automatic == "NOTSET":
        pads = node.attribute("pads", (0,) * 2 * rank)
        if len(pads) != 2 * rank:
            raise ShapeError(f"{rank} spatial axes need {2 * rank} pads, got {len(pads)}")
        padding = tuple(zip(pads[:rank], pads[rank:], strict=True))
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        padding = geometry.resolve_padding("same", size, kernel, stride, dilation)
        if automatic == "SAME_LOWER":
            padding = tuple((after, before) for before, after in padding)
    ceil = bool(node.attribute("ceil_mode", 0)) and automatic == "NOTSET"
    asked = geometry.window(size, kernel, stride, padding, dilation).padding
    window = geometry.window(size, kernel, stride, padding, dilation, ceil_mode=ceil)
    return Moved(window, asked)


def _conv(backend: Backend[Any], node: Call, x: Any, weight: Any, bias: Any = None) -> Any:
    groups = node.attribute("group", 1)
    _check_weight(x.shape, weight.shape, None if bias is None else bias.shape, groups)
    moved = window_of(node, x.shape[2:], weight.shape[2:])
    return backend.conv(x, weight, bias, moved.window, groups)


def _check_weight(shape: Ints, weight: Ints, bias: Ints | None, groups: int) -> None:
    """Check the shapes of a convolution's input, weight and bias against each other."""
    if len(shape) != len(weight) or len(shape) < 3:
        raise ShapeError(f"an input of shape {shape} does not fit a weight of {weight}")
    if shape[1] != weight[1] * groups or weight[0] % groups:
        raise ShapeError(f"a weight of {weight} in {groups} groups can't read {shape[1]} channels")
    if bias is not None and bias != weight[:1]:
        raise ShapeError(f"its bias needs the shape {weight[:1]}, got {bias}")


def _max_pool(backend: Backend[Any], node: Call, x: Any) -> Any:
    if node.has_output(1):
        raise node.unsupported("the places of maxima are not computed")
    return backend.max_pool(x, window_of(node, x.shape[2:], node.attribute("kernel_shape")).window)


def _average_pool(backend: Backend[Any], node: Call, x: Any) -> Any:
    size = x.shape[2:]
    moved = window_of(node, size, node.attribute("kernel_shape"))
    counted = [(0, n) for n in size]
    if node.attribute("count_include_pad", 0):
        counted = [(-b, n + a) for n, (b, a) in zip(size, moved.asked, strict=True)]
    return backend.avg_pool(x, moved.window, pools.count_samples(moved.window, counted))


def _lp_pool(backend: Backend[Any], node: Call, x: Any) -> Any:
    window = window_of(node, x.shape[2:], node.attribute("kernel_shape")).window
    return _norm(backend, node.attribute("p", 2), x, window)


def _norm(backend: Backend[Any], p: int, x: Any, window: Window) -> Any:
    ones = np.ones(window.output, np.int64)  # an average over a count of 1 is a sum
    return root(backend, p, backend.avg_pool(power(backend, p, x), window, ones))


def power(backend: Backend[Any], p: int, x: Any) -> Any:
    """Raise absolute values to a power."""
    return backend.elementwise(f"power {p}", rounded_once(lambda xp, x: xp.abs(x) ** p), x)


def root(backend: Backend[Any], p: int, x: Any) -> Any:
    """Take the root of sums of powers, in their own type."""

    def function(xp: Any, x: Any) -> Any:
        return xp.astype(x ** (1 / p), x.dtype)

    return backend.elementwise(f"root {p}", rounded_once(function), x)


def _global_average(backend: Backend[Any], _node: Call, x: Any) -> Any:
    window = geometry.window(x.shape[2:], x.shape[2:])
    count = np.full(window.output, math.prod(x.shape[2:]), np.int64)
    return backend.avg_pool(x, window, count)


def _global_max(backend: Backend[Any], _node: Call, x: Any) -> Any:
    return backend.max_pool(x, geometry.window(x.shape[2:], x.shape[2:]))


def _global_lp(backend: Backend[Any], node: Call, x: Any) -> Any:
    window = geometry.window(x.shape[2:], x.shape[2:])
    return _norm(backend, node.attribute("p", 2), x, window)


def _slide_conv(
    context: Context[T],
    node: Call,
    x: SlidingValue[T],
    weight: Constant,
    bias: Constant | None = None,
) -> SlidingValue[T]:
    found = as_map(context, node, x)
    groups = node.attribute("group", 1)
    _check_weight(x.shape, weight.shape, None if bias is None else bias.shape, groups)
    moved = window_of(node, x.shape[2:], weight.shape[2:])
    if any(x.shape[axis] > 1 or moved.window.output[axis - 2] > 1 for axis in found.beside):
        raise not_a_map(node, x)
    spec = found.of_tensor(moved.spec, STILL)
    tensor, axes, slides = move_windows(context, node, found.whole, spec)
    inputs = [tensor, _kernel(context, node, weight, found, moved)]
    if bias is not None:
        inputs.append(context.target.keep(bias, node))
    attributes = {**window_attributes(slides), "group": groups}
    tensor = context.target.emit(node, "Conv", inputs, attributes)
    shape = found.shape(weight.shape[0], [axis.block for axis in axes])
    return whole_map(context, tensor, weight.shape[0], axes, found.along, shape)


def _kernel(context: Context[T], node: Call, weight: Constant, found: Map[T], moved: Moved) -> Any:
    """Put the kernel's axes in the order of the tensor's; keep what reads the one row beside."""
    running = [axis for axis in found.along if axis is not None]
    if len(running) == len(found.along) and running == list(range(2, weight.array.ndim)):
        return context.target.keep(weight, node)
    array = weight.array
    for axis in found.beside:
        kernel, _, dilation, before, _ = moved.spec[axis - 2]
        # along an axis with one row, one tap at most reads it, all others padding
        row = [t for t in range(kernel) if t * dilation == before]
        one = np.take(array, row, axis)
        array = one if row else np.zeros_like(np.take(array, [0], axis))
    array = array.transpose(0, 1, *found.beside, *running)
    size = found.of_tensor(weight.shape[2:], 1)
    return context.target.constant(array.reshape(*array.shape[:2], *size), f"{node.name}/weight")


def _slide_pool(context: Context[T], node: Call, x: SlidingValue[T]) -> SlidingValue[T]:
    if node.has_output(1):
        raise node.unsupported("the places of maxima are not computed")
    found = as_map(context, node, x)
    moved = window_of(node, x.shape[2:], node.attribute("kernel_shape"))
    for axis in found.beside:
        kernel, stride, _, before, after = moved.spec[axis - 2]
        if (kernel, stride, before, after) != (1, 1, 0, 0):
            raise node.unsupported(
                f"it pools along axis {axis} of its input of shape {x.shape}, which is not one of "
                f"the image; {ELSEWHERE}"
            )
    whole = found.whole
    tensor, axes, slides = move_windows(context, node, whole, found.of_tensor(moved.spec, STILL))
    kept = {
        name: node.attribute(name)
        for name in ("p", "count_include_pad")
        if node.attribute(name) is not None
    }
    if node.attribute("count_include_pad", 0) and moved.asked != moved.window.padding:
        # only padding that was asked for counts, not what ceil_mode adds: one node can't say both
        asked = found.of_tensor([after for _, after in moved.asked], 0)
        tensor, slides = _pad_what_counts(context, node, tensor, whole, asked, slides)
        kept = {}
    tensor = pool(context.target, node, node.op, tensor, whole.channels, slides, kept)
    shape = found.shape(x.shape[1], [axis.block for axis in axes])
    return whole_map(context, tensor, whole.channels, axes, found.along, shape)


def _pad_what_counts(
    context: Context[T],
    node: Call,
    tensor: T,
    whole: SlidingValue[T],
    asked: Sequence[int],
    slides: list[AxisWindow],
) -> tuple[T, list[AxisWindow]]:
    """Write the padding that counts as a node of its own; the overhang, which does not, stays."""
    counted, left = [], []
    for slide, axis, after in zip(slides, whole.axes, asked, strict=True):
        after = min(after * axis.scale, slide.after)
        counted.append((slide.before, after))
        left.append(replace(slide, before=0, after=slide.after - after))
    return pad(context.target, node, tensor, counted), left


def pool(
    target: Target[T],
    node: Call,
    op: str,
    tensor: Any,
    channels: int,
    slides: list[AxisWindow],
    options: dict[str, Any],
) -> Any:
    """Write a pool; an operator set without dilations gets a convolution with ones instead."""
    if any(max(slide.before, slide.after) >= slide.kernel for slide in slides):
        if not options.get("count_include_pad", 0):
            raise node.unsupported(
                "its padding would be as long as its kernel, which engines refuse: try the "
                "default stride"
            )
        # zeros that count may stand in the tensor; those that don't would enter the mean
        tensor = pad(target, node, tensor, [(slide.before, slide.after) for slide in slides])
        slides = [replace(slide, before=0, after=0) for slide in slides]
    attributes = {**window_attributes(slides), **options}
    if all(slide.dilation == 1 for slide in slides):
        del attributes["dilations"]
        return target.emit(node, op, [tensor], attributes)
    since = DILATED_SINCE[op]
    if target.opset >= since:
        return target.emit(node, op, [tensor], attributes)
    counted = options.get("count_include_pad", 0) or not any(s.before or s.after for s in slides)
    if op != "AveragePool" or not counted:
        raise node.unsupported(
            f"at this stride it needs the dilations of opset {since}: convert the model to it "
            f"(onnx.version_converter), or take the default stride"
        )
    total = window_sums(target, node, tensor, channels, slides, "/sum")
    count = math.prod(slide.kernel for slide in slides)
    divisor = target.constant(np.array(count, target.dtype(tensor)), f"{node.name}/count")
    return target.emit(node, "Div", [total, divisor])


def window_sums(
    target: Target[T],
    node: Call,
    tensor: Any,
    channels: int,
    slides: list[AxisWindow],
    suffix: str = "",
) -> Any:
    """Write the sum over each window."""
    ones = np.ones((channels, 1, *(s.kernel for s in slides)), target.dtype(tensor))
    weight = target.constant(ones, f"{node.name}/ones")
    attributes = {**window_attributes(slides), "group": channels}
    return target.emit(node, "Conv", [tensor, weight], attributes, suffix)


def slide_over_block(
    context: Context[T],
    node: Call,
    op: str,
    options: dict[str, Any],
    whole: SlidingValue[T],
    over: Sequence[int],
    along: Sequence[int],
) -> SlidingValue[T]:
    """Pool the block along spatial axes of a map: "Sum" or a pool and its attributes.

    The axes are `over` of the tensor, which run along the axes `along` of the value.
    """
    pairs = [
        axis.covered(stride) if k in over else axis.windowed(stride, *STILL)
        for k, (axis, stride) in enumerate(zip(whole.axes, context.stride, strict=True))
    ]
    slides = [slide for _, slide in pairs]
    if op == "Sum":
        tensor = window_sums(context.target, node, whole.tensor, whole.channels, slides)
    else:
        tensor = pool(context.target, node, op, whole.tensor, whole.channels, slides, options)
    # along the axes that are covered one sample is left, number 0
    where = [
        first(where, along) * (0 if k - 2 in over else 1) for k, where in enumerate(whole.where)
    ]
    shape = tuple(1 if axis in along else n for axis, n in enumerate(whole.shape))
    axes = tuple(made for made, _ in pairs)
    return replace(whole, tensor=tensor, axes=axes).varying(shape, where)


def _global_pool(op: str) -> Any:
    def slide(context: Context[T], node: Call, x: SlidingValue[T]) -> SlidingValue[T]:
        found = as_map(context, node, x)
        if any(x.shape[axis] > 1 for axis in found.beside):
            raise not_a_map(node, x)
        options = {"p": node.attribute("p", 2)} if op == "LpPool" else {}
        over = [k for k, axis in enumerate(found.along) if axis is not None]
        along = range(2, len(x.shape))
        return slide_over_block(context, node, op, options, found.whole, over, along)

    return slide


OPERATORS = {
    "Conv": Operator(
        _conv,
        _slide_conv,
        attributes=(*MOVES, "group"),
        spread=receptive.window,
        workspace="columns",
    ),
    "MaxPool": Operator(
        _max_pool,
        _slide_pool,
        attributes=(*MOVES, "ceil_mode", OF_PLACES),
        spread=receptive.window,
        workspace="tiles",
    ),
    "AveragePool": Operator(
        _average_pool,
        _slide_pool,
        attributes=(*MOVES, "ceil_mode", "count_include_pad"),
        spread=receptive.window,
        workspace="tiles",
    ),
    "LpPool": Operator(
        _lp_pool, _slide_pool, attributes=(*MOVES, "ceil_mode", "p"), spread=receptive.window
    ),
    "GlobalAveragePool": Operator(
        _global_average, _global_pool("AveragePool"), spread=receptive.by_image
    ),
    "GlobalMaxPool": Operator(_global_max, _global_pool("MaxPool"), spread=receptive.by_image),
    "GlobalLpPool": Operator(
        _global_lp, _global_pool("LpPool"), attributes=("p",), spread=receptive.by_image
    ),
}
