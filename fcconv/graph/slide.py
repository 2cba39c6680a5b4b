"""From a patch classifier to a sliding one: one pass scores every window of an image."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from fcconv.errors import ShapeError, UnsupportedError
from fcconv.geometry import Ints, per_axis
from fcconv.graph import engines
from fcconv.graph.load import Source, load
from fcconv.graph.node import Node
from fcconv.graph.run import data_inputs
from fcconv.graph.save import save
from fcconv.graph.slider import Layer
from fcconv.graph.walk import Walk

LARGEST_WINDOW = 2**26
"""Most numbers in a window."""


@dataclass(frozen=True)
class Sliding:
    """A network that scores every window of an image in one pass.

    Called with images ``(N, C, *S)``, in the layout of the patch network's input, it returns scores
    ``(N, K, *windows)`` for each output: cell ``i`` is the window that starts at pixel
    ``i * stride``.

    Attributes
    ----------
    model : onnx_ir.Model
        The network; batch and spatial sizes are free.
    window : tuple of int
        Pixels of the patch, for each spatial axis.
    stride : tuple of int
        Pixels from one window to the next.
    field : tuple of int
        Pixels of the patch that a score depends on.
    reach : tuple of (int, int)
        Pixels that a cell depends on in a large image, from the first to one past the last,
        counted from the window's first pixel: beyond the window where a network pads.
    exact : bool
        Whether every cell equals the score of its window, cut out.
    reasons : tuple of str
        The nodes that forbid it, and why.
    layers : tuple of Layer
        The dense layers: name, method, old and new weight shape, order of flattening.
    """

    model: ir.Model = field(repr=False)
    window: tuple[int, ...]
    stride: tuple[int, ...]
    field: tuple[int, ...]
    reach: tuple[tuple[int, int], ...]
    exact: bool
    reasons: tuple[str, ...]
    layers: tuple[Layer, ...]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an ONNX file, whole or not at all."""
        save(self.model, path)

    def __call__(self, images: Any) -> Any:
        """Score images with the backend of the array."""
        self._check_size(images)
        return self._on_any_backend(images)

    def _check_size(self, images: Any) -> None:
        """Check that a window fits into the images."""
        declared = self.model.graph.inputs[0].shape
        shape = getattr(images, "shape", ())
        if declared is None or len(shape) != len(declared):
            return
        size = tuple(m for n, m in zip(declared, shape, strict=True) if not isinstance(n, int))[1:]
        if any(m < n for m, n in zip(size, self.window, strict=True)):
            raise ShapeError(f"the image of {size} pixels is smaller than the window {self.window}")

    @functools.cached_property
    def _on_any_backend(self) -> engines.ByArray:
        return engines.ByArray(self.model)


def convolutionize(
    source: Source,
    *,
    stride: Ints | None = None,
    spatial_axes: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
) -> Sliding:
    """Rewrite a patch classifier so that one pass scores every window of an image of any size.

    Dense layers become convolutions that cover the block they read, or 1x1 convolutions; windows
    move by `stride`. Weights are moved, never recomputed.

    Parameters
    ----------
    source : path, onnx.ModelProto, onnx_ir.Model or torch.nn.Module
        The network; it is not changed.
    stride : int or sequence of int, optional
        Pixels from one window to the next, for all spatial axes or an axis; the product of the
        network's strides, if left out.
    spatial_axes : sequence of int, optional
        Which axes of the input are spatial; found out, if left out.
    window : sequence of int, optional
        Shape of one input without the batch: for a PyTorch module ``(C, *S)``, or where the network
        leaves it free.

    Returns
    -------
    Sliding
        The sliding network, with its geometry and the verdict.

    Raises
    ------
    UnsupportedError
        If an operator can't slide; the error names the node, the reason, and what to do.
    ModelError
        If the source is no valid network.
    ShapeError
        If `stride`, `spatial_axes` or `window` does not fit the network.

    Examples
    --------
    >>> import numpy as np
    >>> from fcconv.demo.network import load_faces
    >>> sliding = convolutionize(load_faces())
    >>> sliding.window, sliding.stride, sliding.exact
    ((25, 25), (3, 3), True)
    >>> sliding(np.zeros((1, 1, 100, 200), np.float32)).shape  # 26 x 59 windows
    (1, 1, 26, 59)
    """
    model = load(source, window)
    shape = _input_shape(model)
    given = None if spatial_axes is None else _given_axes(spatial_axes, len(shape))
    errors = []
    for axes in [given] if given is not None else _likely_axes(len(shape)):
        try:
            return _slide(model, shape, axes, stride)
        except UnsupportedError as error:
            errors.append(error)
    if not errors:
        raise ShapeError(f"an input of shape {shape} has no spatial axes to slide along")
    names = [f"{Node(ir_node, 0)}:" for ir_node in model.graph]

    def nodes_before(error: UnsupportedError) -> int:
        reached = [k for k, name in enumerate(names) if str(error).startswith(name)]
        return reached[0] if reached else len(names)

    raise max(errors, key=nodes_before)  # with the wrong axes one does not come far


def _input_shape(model: ir.Model) -> tuple[Any, ...]:
    """Return the shape of the one input: the batch, which may be free, and fixed sizes."""
    inputs = data_inputs(model.graph)
    if len(inputs) != 1:
        names = ", ".join(str(value.name) for value in inputs)
        raise UnsupportedError(f"a sliding network has one input, the image; got {names or 'none'}")
    value = inputs[0]
    dims = () if value.shape is None else value.shape.dims
    if not dims or not all(isinstance(n, int) and n > 0 for n in dims[1:]):
        raise ShapeError(
            f"the input {value.name!r} of shape {value.shape} leaves the size of a window free: "
            f"give window=, the shape of one input without the batch"
        )
    if math.prod(int(str(n)) for n in dims[1:]) > LARGEST_WINDOW:
        raise ShapeError(f"a window of shape {dims[1:]} is absurd")
    return tuple(dims)


def _given_axes(spatial_axes: Sequence[int], rank: int) -> tuple[int, ...]:
    axes = tuple(axis + rank if axis < 0 else axis for axis in spatial_axes)
    channels = [axis for axis in range(1, rank) if axis not in axes]
    proper = 1 <= len(axes) <= 3 and len(set(axes)) == len(axes) and len(channels) <= 1
    if not proper or not all(1 <= axis < rank for axis in axes) or list(axes) != sorted(axes):
        raise ShapeError(
            f"spatial_axes needs the one to three axes of the image, in order, such as (2, 3) of "
            f"(N, C, H, W); the input has {rank} axes, got {tuple(spatial_axes)}"
        )
    return axes


def _likely_axes(rank: int) -> list[tuple[int, ...]]:
    """List what the spatial axes may be: channels first, channels last, no channels."""
    likely = [tuple(range(2, rank)), tuple(range(1, rank - 1)), tuple(range(1, rank))]
    return [axes for axes in likely if 1 <= len(axes) <= 3]


def _slide(
    model: ir.Model, shape: tuple[Any, ...], axes: tuple[int, ...], stride: Ints | None
) -> Sliding:
    if stride is None or (isinstance(stride, Sequence) and len(stride) != len(axes)):
        # of a stride for other axes than these one only hears if the network slides along these
        apart = [slid.axes for slid in Walk(model, shape, axes, (0,) * len(axes)).outputs]
        own = tuple(math.lcm(*(axis.apart for axis in same)) for same in zip(*apart, strict=True))
        stride = own if stride is None else stride
    return _verdict(Walk(model, shape, axes, per_axis(stride, len(axes), "stride")))


def _verdict(walk: Walk) -> Sliding:
    """Say what a cell sees, and whether that is the window and nothing else."""
    reach = tuple(
        (min(a for a, _ in same), max(b for _, b in same))
        for same in zip(*([a.reach for a in x.axes] for x in walk.outputs), strict=True)
    )
    inside = [
        (max(start, 0), min(stop, n)) for (start, stop), n in zip(reach, walk.window, strict=True)
    ]
    exact = all(axis.soiled == (0, 0) for x in walk.outputs for axis in x.axes)
    return Sliding(
        model=walk.written(),
        window=walk.window,
        stride=walk.slider.stride,
        field=tuple(stop - start for start, stop in inside),
        reach=reach,
        exact=exact,
        reasons=() if exact else tuple(f"{n} {why}" for n, why in walk.slider.padded.items()),
        layers=tuple(walk.slider.layers),
    )
