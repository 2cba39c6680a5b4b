"""Counts the windows of an image whose size is free: the only thing its shape is read for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from fcconv.graph.rewriting.exact.strips import Strips, helper
from fcconv.graph.rules.writer import Writer
from fcconv.graph.rules.writing import write_ints, write_with_ints


def strips_of(writer: Writer, image: ir.Value, axes: Mapping[int, tuple[int, int]]) -> Strips:
    """Write how many windows there are along the axes of an image.

    Parameters
    ----------
    writer : Writer
        What writes.
    image : onnx_ir.Value
        The image.
    axes : mapping of int to (int, int)
        Its spatial axes: the length of a window, and pixels from one to the next.
    """
    node = helper("windows")
    shape = writer.emit(node, "Shape", [image], None, "/image")

    def length_of(axis: int) -> ir.Value:
        numbers = {"starts": [axis], "ends": [axis + 1], "axes": [0]}
        return write_with_ints(writer, node, "Slice", shape, 10, "/length", numbers)

    def count(axis: int, window: int, stride: int) -> ir.Value:
        made = length_of(axis)
        for op, number in (("Sub", window), ("Div", stride), ("Add", 1)):
            constant = writer.constant(np.array([number]), f"windows/{op}")
            made = writer.emit(node, op, [made, constant], None, f"/{op}")
        return made

    counts = tuple(count(axis, *each) for axis, each in axes.items())
    return Strips(writer, length_of(0), counts)


def cut_to_windows(
    strips: Strips, image: ir.Value, axes: Mapping[int, tuple[int, int]]
) -> ir.Value:
    """Cut off the pixels of an image that lie behind the last window: the parameters as above."""
    writer, node, ends = strips.writer, helper("image"), []
    for count, (window, stride) in zip(strips.counts, axes.values(), strict=True):
        end = count
        for op, number in (("Mul", stride), ("Add", window - stride)):
            constant = writer.constant(np.array([number]), f"image/{op}")
            end = writer.emit(node, op, [end, constant], None, f"/{op}")
        ends.append(end)
    end = writer.emit(node, "Concat", ends, {"axis": 0}, "/ends")
    starts = write_ints(writer, [0] * len(axes), node, "/starts")
    along_axes = write_ints(writer, list(axes), node, "/axes")
    return writer.emit(node, "Slice", [image, starts, end, along_axes], None, "/windows")
