"""Which values of a patch network windows share, and in which parts: what operators say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import onnx_ir as ir

from fcconv.graph.local import Local
from fcconv.graph.node import Node, read_node
from fcconv.graph.operators.windows import DILATED_SINCE
from fcconv.graph.rewriting.exact.parts import Axis, Moves
from fcconv.graph.rewriting.following import spread_of

STILL = Moves(1)
"""The window of an operator that reads beside nothing."""

FOLLOWING_MODES = ("constant", "edge")
"""Modes of Pad that read no sample beyond those beside the padding."""


@dataclass
class Followed:
    """What is known of the values of a patch network, node by node.

    Attributes
    ----------
    locals : dict of onnx_ir.Value to Local
        The values that windows share in parts, as long as all that they are made of is.
    seen : set of onnx_ir.Value
        The values that depend on the image.
    """

    locals: dict[ir.Value, Local]
    seen: set[ir.Value]
    opsets: dict[str, int] = field(default_factory=dict)

    def step(self, ir_node: ir.Node) -> None:
        """Follow one more node."""
        if not any(value in self.seen for value in ir_node.inputs if value is not None):
            return
        self.seen.update(ir_node.outputs)
        made = self._made(read_node(ir_node, self.opsets))
        if made is not None:
            self.locals.update((value, made) for value in ir_node.outputs)

    def _made(self, node: Node) -> Local | None:
        seen = [value for value in node.ir.inputs if value is not None and value in self.seen]
        known = {
            value: at_rest(self.locals[value]) if value in self.locals else None for value in seen
        }
        made = spread_of(node, known)
        return made if made is not None and _can_be_written(node, made) else None


def follow(
    graph: ir.Graph,
    image: ir.Value,
    axes: Sequence[int],
    stride: Sequence[int],
) -> Followed:
    """Follow which values of a network windows share.

    Parameters
    ----------
    graph : onnx_ir.Graph
        The patch network, see :func:`fcconv.graph.rewriting.exact.patch.prepared`.
    image : onnx_ir.Value
        Its input.
    axes : sequence of int
        The axes of the input that slide.
    stride : sequence of int
        Pixels from one window to the next along each.
    """
    dims = () if image.shape is None else image.shape.dims
    along: dict[int, Any] = {0: Axis(0, 1, head=1)}
    for axis, step in zip(axes, stride, strict=True):
        along[axis] = Axis(step, int(str(dims[axis])))
    followed = Followed({image: Local(len(dims), along)}, {image}, dict(graph.opset_imports))
    for ir_node in graph:
        followed.step(ir_node)
    return followed


def axes_of(local: Local) -> list[Axis]:
    """Return the samples along each axis of the image."""
    return local_axes(local)[1:]


def moves_of(local: Local) -> list[Moves]:
    """Return the window that was moved along each axis of the image to make a value."""
    return [axis.moves or STILL for axis in axes_of(local)]


def at_rest(local: Local) -> Local:
    """Forget how a value was made."""
    axes = (replace(axis, moves=None) for axis in local_axes(local))
    along: dict[int, Any] = dict(zip(local.along, axes, strict=True))
    return Local(local.rank, along)


def _can_be_written(node: Node, made: Local) -> bool:
    """Say whether the batch stays the first axis, and every part can be read."""
    batch, *axes = local_axes(made)
    if next(iter(made.along)) != 0 or batch.moves not in (None, STILL):
        return False
    if node.op == "Pad" and node.attribute("mode", "constant") not in FOLLOWING_MODES:
        return False
    return all(axis.block > 0 for axis in axes) and not _lacks_dilations(node, axes)


def _lacks_dilations(node: Node, made: Sequence[Axis]) -> bool:
    """Say whether the operator set has no pool that reads only some entries of a body.

    The mean of some entries can be written as a convolution.
    """
    since = 0 if node.op == "AveragePool" else DILATED_SINCE.get(node.op, 0)
    return node.opset < since and any(
        axis.moves is not None and axis.body > 0 and axis.stride % (axis.apart // axis.moves.stride)
        for axis in made
    )


def local_axes(local: Local) -> list[Axis]:
    """Return the samples along the batch, where there is nothing to slide, and each axis."""
    found: list[Any] = list(local.along.values())
    return [axis for axis in found if isinstance(axis, Axis)]
