"""The network of a scan in which windows share a pass, and each is scored as when it is cut out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from fcconv.geometry import Ints, per_axis
from fcconv.graph.files.load import load
from fcconv.graph.rewriting.convolutionize import exact
from fcconv.graph.rewriting.exact.network import natural_stride
from fcconv.graph.rewriting.exact.patch import prepared
from fcconv.graph.rewriting.shared import Stuck, slide
from fcconv.graph.rewriting.sliding import SLIDING, Sliding
from fcconv.graph.running.run import data_inputs, fixed_batch

Steps = tuple[int, ...]


def exact_at(found: Sliding | Stuck, stride: Ints | None) -> tuple[Sliding, Steps]:
    """Write the network that scores every window as its crop.

    Windows that stand further apart than they are long are read side by side
    (:class:`fcconv.images.gaps.Gapless`), so that none of them is longer than its stride there.

    Parameters
    ----------
    found : Sliding or Stuck
        What is known of the network: how it slides, or what forbids it.
    stride : int or sequence of int, optional
        Pixels from one window to the next; the network's own, if left out.

    Returns
    -------
    Sliding, tuple of int
        The network, whose stride divides that at which windows are read, and the stride.
    """
    if isinstance(found, Stuck):
        sizes = _dims(found.patch)
        window = tuple(int(str(sizes[axis])) for axis in found.axes)
    else:
        window = found.window
    if stride is not None:
        wanted = per_axis(stride, len(window), "stride")
    elif isinstance(found, Sliding):
        wanted = found.stride
    else:
        wanted = natural_stride(prepared(found.patch), found.axes)
    step = tuple(map(min, window, wanted))
    if isinstance(found, Stuck):
        return exact(found.patch, found, step), wanted
    if found.exact and not any(n % m for n, m in zip(step, found.stride, strict=True)):
        return found, wanted
    if found.patch is not None and found.stride == step:
        return exact(found.patch, found), wanted
    axes = [axis for axis, n in enumerate(_dims(found.model)) if axis and not isinstance(n, int)]
    patch = _patch_of(found.model, axes, window) if found.patch is None else found.patch
    return exact(patch, slide(patch, step, axes), step), wanted


def _dims(model: ir.Model) -> Sequence[Any]:
    """Return the lengths of the image's axes; those that are free are not integers."""
    shape = data_inputs(model.graph)[0].shape
    return () if shape is None else shape.dims


def why_cut_out(model: ir.Model) -> str:
    """Say why windows can only be cut out to be scored exactly; nothing if they can share."""
    batch = fixed_batch(data_inputs(model.graph))
    if batch in (None, 1):
        return ""
    return (
        f"each window is cut out, which gives the same scores: the network computes {batch} images "
        f"at a time, and no other number of them"
    )


def _patch_of(sliding: ir.Model, axes: Sequence[int], window: Sequence[int]) -> ir.Model:
    """Let a network that slides, read from a file, score a single window."""
    patch = sliding.clone()
    (value,) = data_inputs(patch.graph)
    dims = list(_dims(patch))
    for axis, n in zip(axes, window, strict=True):
        dims[axis] = n
    value.shape = ir.Shape(dims)
    del patch.metadata_props[SLIDING]
    return load(patch)
