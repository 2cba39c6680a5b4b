"""Windows share whatever is computed of the image: the usual fully convolutional network."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import onnx_ir as ir

from fcconv.errors import ArgumentError, ShapeError, UnsupportedError
from fcconv.geometry import Ints, integer, per_axis
from fcconv.graph.node import label
from fcconv.graph.operators import OPERATORS
from fcconv.graph.rewriting.sliding import SLIDING, Sliding, metadata
from fcconv.graph.rewriting.walk import Patch, Walked, natural_stride, write_sliding
from fcconv.graph.rules.features import ONE_IMAGE
from fcconv.graph.running.run import check_batch, data_inputs, of_one_image

Axes = tuple[int, ...]

EXACT_INSTEAD = (
    "Windows can share what comes before that, and each be scored as its crop: windows='exact' "
    "(--windows exact)"
)
"""What to do about a network that can't slide."""

LARGEST_WINDOW = 2**26
"""Most numbers in a window."""


class Stuck(NamedTuple):
    """What forbids a network to slide.

    Attributes
    ----------
    axes : tuple of int
        The spatial axes of its input: those along which it comes furthest.
    error : UnsupportedError
        The node where that ends, and why.
    patch : onnx_ir.Model
        What scores windows that are cut out: the network, with a batch of one if it takes no other.
    """

    axes: tuple[int, ...]
    error: UnsupportedError
    patch: ir.Model


def slide(
    model: ir.Model, stride: Ints | None = None, spatial_axes: Sequence[int] | None = None
) -> Sliding | Stuck:
    """Rewrite a network that is loaded; see :func:`convolutionize`."""
    found = _slid_or_alone(model, stride, spatial_axes)
    if isinstance(found, Stuck):
        product = _product_of_pixels(model)
        if product is not None and product != found.error.node:
            found.error.add_note(
                f"Further on {product} multiplies two values that depend on the pixels, as "
                f"attention does, and can't slide either"
            )
    return found


def _product_of_pixels(model: ir.Model) -> str | None:
    """Name the first product of two values that depend on the pixels, if there is one."""
    follows = set(data_inputs(model.graph))
    for ir_node in model.graph:
        operator = OPERATORS.get(ir_node.op_type)
        if operator is not None and operator.static:
            continue
        count = sum(value in follows for value in ir_node.inputs)
        if count > 1 and ir_node.op_type in ("MatMul", "Einsum"):
            return label(ir_node)
        if count:
            follows.update(ir_node.outputs)
    return None


def _slid_or_alone(
    model: ir.Model, stride: Ints | None, spatial_axes: Sequence[int] | None
) -> Sliding | Stuck:
    """Rewrite a network.

    One whose batch is free, but that can't compute two images, slides as one that takes one.
    """
    shape = input_shape(model)
    likely = (
        [(axes, ()) for axes in _likely_axes(shape)]
        if spatial_axes is None
        else _given_axes(spatial_axes, len(shape))
    )
    if not likely:
        declared = ", ".join(map(str, shape))
        raise ShapeError(
            f"an input of shape ({declared}) has no spatial axes to slide along: one to three "
            f"are needed beside the batch and channels, such as (N, C, H, W)"
        )
    try:
        found = _slid(model, likely, stride)
    except ShapeError:
        if isinstance(shape[0], int):
            raise
        return _slid(of_one_image(model), likely, stride)
    if isinstance(found, Stuck) and ONE_IMAGE in str(found.error):
        with suppress(ShapeError):
            alone = _slid(of_one_image(model), likely, stride)
            if isinstance(alone, Stuck) and alone.error.node != found.error.node:
                return alone._replace(patch=model)  # the batch is not what has to change
    return found


def _slid(
    model: ir.Model, likely: Sequence[tuple[Axes, Axes]], stride: Ints | None
) -> Sliding | Stuck:
    """Rewrite a network by the first axes along which it slides."""
    shape = input_shape(model)
    stuck = []
    for axes, still in likely:
        try:
            return _slide(model, shape, axes, still, stride)
        except UnsupportedError as error:
            stuck.append(Stuck(axes, error, model))
    names = [label(ir_node) for ir_node in model.graph]

    def nodes_before(one: Stuck) -> int:
        return names.index(one.error.node) if one.error.node in names else len(names)

    return max(stuck, key=nodes_before)  # with the wrong axes one does not come far


def declared(value: ir.Value) -> tuple[Any, ...]:
    """Return the lengths that a value is declared to have, free ones among them."""
    return () if value.shape is None else value.shape.dims


def input_shape(model: ir.Model) -> tuple[Any, ...]:
    """Return the shape of the one input: the batch, which may be free, and fixed sizes."""
    inputs = data_inputs(model.graph)
    if len(inputs) != 1:
        names = ", ".join(str(value.name) for value in inputs)
        raise UnsupportedError(f"a sliding network has one input, the image; got {names or 'none'}")
    value = inputs[0]
    dims = declared(value)
    if not dims or not all(isinstance(n, int) and n > 0 for n in dims[1:]):
        if SLIDING in model.metadata_props:
            raise ShapeError(
                "by its metadata the network slides already: use it as it is, or give the patch "
                "network that it was made of"
            )
        raise ShapeError(
            f"the input {value.name!r} of shape {value.shape} leaves the size of a window free: "
            f"give window= (--window), the shape of one input without the batch"
        )
    if math.prod(int(str(n)) for n in dims[1:]) > LARGEST_WINDOW:
        raise ShapeError(f"a window of shape {dims[1:]} is absurd")
    check_batch(inputs)
    return tuple(dims)


def _given_axes(spatial_axes: Sequence[int], rank: int) -> list[tuple[Axes, Axes]]:
    """List what the other axes may be: channels, or axes of the image that do not slide."""
    axes = tuple(axis + rank if axis < 0 else axis for axis in _integers(spatial_axes, rank))
    others = tuple(axis for axis in range(1, rank) if axis not in axes)
    proper = len(axes) >= 1 and list(axes) == sorted(set(axes)) and rank <= 5
    if not proper or not all(1 <= axis < rank for axis in axes):
        raise ArgumentError(
            f"spatial_axes needs the one to three axes of the image, in order, such as (2, 3) of "
            f"(N, C, H, W); the input has {rank} axes, got {tuple(spatial_axes)}"
        )
    still = [tuple(axis for axis in others if axis != channels) for channels in (*others, None)]
    return [(axes, fixed) for fixed in still if len(axes + fixed) <= 3]


def _integers(spatial_axes: Sequence[int], rank: int) -> list[int]:
    try:
        given = list(spatial_axes)
    except TypeError:
        raise ArgumentError(
            f"spatial_axes needs several axes, such as (2, 3), got {reprlib.repr(spatial_axes)}"
        ) from None
    return [integer(axis, "spatial_axes", -rank, rank - 1) for axis in given]


def _likely_axes(shape: tuple[Any, ...]) -> list[Axes]:
    """List what the spatial axes may be: channels first, channels last, no channels."""
    rank = len(shape)
    likely = [tuple(range(2, rank)), tuple(range(1, rank - 1))]
    if 1 not in (shape[1:2] + shape[-1:]):  # an axis of length 1 is that of the channels
        likely.append(tuple(range(1, rank)))
    return [axes for axes in likely if 1 <= len(axes) <= 3]


def _slide(
    model: ir.Model, shape: tuple[Any, ...], axes: Axes, still: Axes, stride: Ints | None
) -> Sliding:
    patch = Patch(model, shape, axes, still)
    if stride is None or (isinstance(stride, Sequence) and len(stride) != len(axes)):
        # of a stride for other axes than these one only hears if the network slides along these
        own = natural_stride(patch)
        stride = own if stride is None else stride
    steps = per_axis(stride, len(axes), "stride")
    return _verdict(patch, steps, *write_sliding(patch, steps))


def _verdict(
    patch: Patch, stride: tuple[int, ...], written: ir.Model, walked: Walked[ir.Value]
) -> Sliding:
    """Say what a cell sees, and whether that is the window and nothing else."""
    along = list(zip(*(x.axes for x in walked.outputs), strict=True))
    reach = tuple((min(a.reach[0] for a in same), max(a.reach[1] for a in same)) for same in along)
    inside = [
        (max(start, 0), min(stop, n)) for (start, stop), n in zip(reach, patch.window, strict=True)
    ]
    margins = tuple(
        (max(a.pad_margin[0] for a in same), max(a.pad_margin[1] for a in same)) for same in along
    )
    exact = not any(map(any, margins))
    padded = walked.context.padded
    sliding = Sliding(
        model=written,
        window=patch.window,
        stride=stride,
        field=tuple(stop - start for start, stop in inside),
        reach=reach,
        margins=margins,
        exact=exact,
        reasons=() if exact else tuple(f"{n} {why}" for n, why in padded.items()),
        layers=tuple(walked.context.layers),
        patch=patch.model,
    )
    sliding.model.metadata_props.update(metadata(sliding))
    return sliding
