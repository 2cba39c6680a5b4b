"""From a patch network to the one that scores every window exactly, whatever pads or mixes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from fcconv.graph.rewriting.exact.cost import SharingPlan, cheapest
from fcconv.graph.rewriting.exact.counts import cut_to_windows, strips_of
from fcconv.graph.rewriting.exact.follow import axes_of, follow
from fcconv.graph.rewriting.exact.parts import BODY
from fcconv.graph.rewriting.exact.rewrite import Rewriter
from fcconv.graph.rewriting.exact.strips import Parts
from fcconv.graph.rules.writer import (
    Writer,
    copied_initializers,
    free_input,
    names_in,
    put_together,
)
from fcconv.graph.running.run import data_inputs


def natural_stride(patch: ir.Model, axes: Sequence[int]) -> tuple[int, ...]:
    """Return the product of the strides of what windows can share, of a network as prepared."""
    (value,) = data_inputs(patch.graph)
    followed = follow(patch.graph, value, axes, [1] * len(axes))
    apart = [[axis.apart for axis in axes_of(local)] for local in followed.locals.values()]
    return tuple(math.lcm(*same) for same in zip(*apart, strict=True))


def write_exactly(
    patch: ir.Model, axes: Sequence[int], stride: Sequence[int]
) -> tuple[ir.Model, SharingPlan]:
    """Rewrite a patch network so that every cell is the score of its window, cut out.

    Parameters
    ----------
    patch : onnx_ir.Model
        The patch network, see :func:`fcconv.graph.rewriting.exact.patch.prepared`; not changed.
    axes : sequence of int
        The axes of its input that slide.
    stride : sequence of int
        Pixels from one window to the next along each.

    Returns
    -------
    onnx_ir.Model, SharingPlan
        The network, and what its windows share.

    Raises
    ------
    UnsupportedError
        If a node can't be computed for many windows at a time.
    """
    (value,) = data_inputs(patch.graph)
    followed = follow(patch.graph, value, axes, stride)
    form = cheapest(patch.graph, followed)
    writer = Writer(
        patch.graph.opset_imports.get("", 0),
        initializers=copied_initializers(patch.graph),
        names=names_in(patch),
    )
    image = free_input(value, axes)
    local = followed.locals[value]
    places, samples = list(local.along)[1:], axes_of(local)
    spans = {place: (a.block, a.stride) for place, a in zip(places, samples, strict=True)}
    strips = strips_of(writer, image, spans)
    pixels = cut_to_windows(strips, image, spans)
    rewriter = Rewriter(
        writer,
        strips,
        followed,
        form.shared,
        {value: Parts(local, {(BODY,) * len(axes): pixels})},
    )
    for ir_node in patch.graph:
        rewriter.step(ir_node)
    outputs = [rewriter.output(output) for output in patch.graph.outputs]
    return put_together(patch, writer, [image], outputs), form
