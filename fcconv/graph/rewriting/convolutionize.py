"""From a patch classifier to a sliding one: one pass scores every window of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import onnx_ir as ir

from fcconv.errors import ArgumentError
from fcconv.geometry import Ints, per_axis
from fcconv.graph.files.load import Source, load
from fcconv.graph.node import label
from fcconv.graph.rewriting.exact.network import natural_stride, write_exactly
from fcconv.graph.rewriting.exact.patch import prepared
from fcconv.graph.rewriting.locality import find_locality
from fcconv.graph.rewriting.shared import EXACT_INSTEAD, Stuck, declared, input_shape, slide
from fcconv.graph.rewriting.sliding import Sliding, metadata

Windows = Literal["shared", "exact"]

WINDOWS: tuple[str, ...] = get_args(Windows)


def convolutionize(
    source: Source,
    *,
    stride: Ints | None = None,
    spatial_axes: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
    windows: Windows = "shared",
) -> Sliding:
    """Rewrite a patch classifier so that one pass scores every window of an image of any size.

    Dense layers become convolutions that cover the block they read, or 1x1 convolutions; windows
    move by `stride`. Weights are moved, never recomputed. Where the network pads, or mixes what
    windows do not share, ``windows="exact"`` still gives every window the score of its crop: each
    window has its own samples at its ends, where padding affects them, and from where sharing no
    longer pays windows stand in the batch.

    Parameters
    ----------
    source : path, onnx.ModelProto, onnx_ir.Model or torch.nn.Module
        The network; it is not changed.
    stride : int or sequence of int, optional
        Pixels from one window to the next, for all spatial axes or per axis; the product of the
        network's strides, if left out.
    spatial_axes : sequence of int, optional
        Which axes of the input slide; found out, if left out. Others, but for the channels, stay as
        long as the window: ``(3,)`` slides a network on spectra ``(N, 1, bands, time)`` along time.
    window : sequence of int, optional
        Shape of one input without the batch: for a PyTorch module ``(C, *S)``, or where the network
        leaves it free.
    windows : {"shared", "exact"}, optional
        Whether windows share all that is computed of the image, and see its pixels where their
        crops see padding, or each is scored as its crop is.

    Returns
    -------
    Sliding
        The sliding network, with its geometry and the verdict.

    Raises
    ------
    UnsupportedError
        If an operator can't slide; the error names the node, the reason, and what to do. With
        ``windows="exact"`` only what can't be computed for many windows at a time is refused.
    ModelError
        If the source is not a valid network.
    ShapeError
        If `window` does not fit the network.
    ArgumentError
        If `stride` or `spatial_axes` does not fit it, or `windows` is neither form.

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
    if windows not in WINDOWS:
        raise ArgumentError(f"windows needs one of {', '.join(WINDOWS)}, got {windows!r}")
    model = load(source, window)
    found = slide(model, stride, spatial_axes)
    if windows == "exact":
        return exact(model, found, stride)
    if isinstance(found, Stuck):
        found.error.add_note(EXACT_INSTEAD)
        raise found.error
    return found


def exact(model: ir.Model, found: Sliding | Stuck, stride: Ints | None = None) -> Sliding:
    """Return the sliding network whose every cell is the score of its window, cut out.

    Parameters
    ----------
    model : onnx_ir.Model
        The patch network, loaded.
    found : Sliding or Stuck
        What :func:`slide` made of it: the network itself where windows lose nothing by sharing.
    stride : int or sequence of int, optional
        Pixels from one window to the next, as it was given.
    """
    if isinstance(found, Sliding) and found.exact:
        return found
    model = model if found.patch is None else found.patch  # which may take one image only
    shape = input_shape(model)
    if isinstance(found, Sliding):
        dims = declared(found.model.graph.inputs[0])
        axes = tuple(axis for axis, n in enumerate(dims) if axis and not isinstance(n, int))
        wanted: tuple[int, ...] | None = found.stride
    else:
        axes = found.axes
        wanted = None if stride is None else per_axis(stride, len(axes), "stride")
    patch = prepared(model)
    steps = natural_stride(patch, axes) if wanted is None else wanted
    written, form = write_exactly(patch, axes, steps)
    window = tuple(int(shape[axis]) for axis in axes)
    known = find_locality(written.graph, axes, window)
    reach = tuple((0, n) for n in window) if known.outside is not None else known.reach
    sliding = Sliding(
        model=written,
        window=window,
        stride=steps,
        field=tuple(stop - start for start, stop in reach),
        reach=reach,
        margins=((0, 0),) * len(axes),
        exact=True,
        reasons=(),
        layers=(),
        patch=model,
        ends=None if form.ends is None else label(form.ends),
        cost=form.cost,
    )
    written.metadata_props.update(metadata(sliding))
    return sliding
