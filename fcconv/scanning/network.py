"""The network of a scan: made sliding, its classes named, told from others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import onnx_ir as ir

from fcconv.errors import ImageError, ShapeError, UnsupportedError
from fcconv.geometry import Ints, per_axis
from fcconv.graph.load import Source, load
from fcconv.graph.node import attribute_bytes
from fcconv.graph.slide import convolutionize
from fcconv.graph.sliding import Sliding, restored
from fcconv.scanning.arguments import several
from fcconv.scanning.engine import Layout


def as_sliding(
    network: Sliding | Source, stride: Ints | None = None, window: Sequence[int] | None = None
) -> Sliding:
    """Make a network slide, unless it does already.

    Raises
    ------
    ShapeError
        If it slides at another stride.
    """
    if isinstance(network, Sliding):
        sliding = network
    else:
        model = load(network, window)
        told = restored(model)
        if told is None:
            return convolutionize(model, stride=stride)
        sliding = told
    if stride is not None and per_axis(stride, len(sliding.window), "stride") != sliding.stride:
        raise ShapeError(
            f"the network slides by {sliding.stride}, not by {stride}: make it from the patch "
            f"network again"
        )
    return sliding


def shared_if_exact(sliding: Sliding) -> str:
    """Let windows share a pass, if each then scores as when it is cut out.

    Raises
    ------
    UnsupportedError
        If that is for the user to choose.
    """
    if sliding.exact:
        return "shared"
    raise UnsupportedError(
        f"{'; '.join(sliding.reasons)}: at the border of a window the network sees zeros, inside "
        f"an image real pixels, so that scores of one pass are not those of the windows. Choose: "
        f"windows='shared' (--windows shared), fast, the fully convolutional convention, or "
        f"windows='exact' (--windows exact), each window cut out, slower"
    )


def labels_of(sliding: Sliding, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Name the channels of the first output; by numbers, if no names are given.

    Raises
    ------
    ShapeError
        If there are not as many names, each another.
    """
    first, (count, _) = next(iter(sliding.outputs.items()))
    if labels is None:
        return (first,) if count == 1 else tuple(map(str, range(count)))
    names = several(labels, str, "labels")
    if len(names) != count or len(set(names)) != count:
        raise ShapeError(
            f"the output {first!r} needs {count} labels, each another, got {len(names)}: "
            f"{', '.join(names)}"
        )
    return names


@contextmanager
def explained(sliding: Sliding) -> Iterator[None]:
    """Say, where an image does not fit, that the network takes no more than rows of numbers."""
    try:
        yield
    except ImageError as error:
        if len(sliding.window) == 1 and Layout.of(sliding.model).channel is None:
            error.add_note(
                f"The network takes rows of {sliding.window[0]} numbers, no channels and no second "
                f"axis: it slides along one row, an array (W,). To slide over pictures it needs an "
                f"input (N, C, H, W): export it with what flattens them"
            )
        raise


def digest(model: ir.Model) -> str:
    """Hash a network: its nodes and its weights."""
    found = hashlib.blake2b(repr(sorted(model.opset_imports.items())).encode())
    for node in model.graph:
        values = [None if v is None else v.name for v in (*node.inputs, *node.outputs)]
        described = (node.domain, node.op_type, values, attribute_bytes(node))
        found.update(repr(described).encode())
    for name, value in sorted(model.graph.initializers.items()):
        if value.const_value is not None:
            array = np.ascontiguousarray(value.const_value.numpy())
            found.update(repr((name, array.dtype.name, array.shape)).encode())
            found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()
