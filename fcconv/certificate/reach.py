"""How far a network can see: a bound from its windows alone, whatever it is made of."""

from __future__ import annotations

import onnx_ir as ir

from fcconv.graph.node import Node

WINDOWED = ("Conv", "MaxPool", "AveragePool", "LpPool")


def reach(graph: ir.Graph, rank: int) -> tuple[int, ...]:
    """Bound the pixels beyond its own that a score can depend on, for each spatial axis.

    Each window adds its extent, times the product of the strides before it. What reads a whole map
    at once is not counted; the proof sees it at any size.
    """
    steps: dict[ir.Value | None, list[tuple[int, int]]] = {}
    start = [(1, 0)] * rank
    for ir_node in graph:
        node = Node(ir_node, graph.opset_imports.get(ir_node.domain, 0))
        given = [steps[value] for value in ir_node.inputs if value in steps] or [start]
        axes = [
            (max(s for s, _ in same), max(r for _, r in same)) for same in zip(*given, strict=True)
        ]
        if node.op in WINDOWED:
            axes = [
                (step * r, seen + step * dilation * (kernel - 1))
                for (step, seen), (kernel, r, dilation) in zip(
                    axes, _window(node, rank), strict=True
                )
            ]
        steps.update((value, axes) for value in ir_node.outputs)
    ends = [steps.get(value, start) for value in graph.outputs]
    return tuple(max(axes[k][1] for axes in ends) for k in range(rank))


def _window(node: Node, rank: int) -> list[tuple[int, int, int]]:
    """Read kernel, stride and dilation of a node."""
    ones = (1,) * rank
    kernel = node.attribute("kernel_shape")
    weight = node.ir.inputs[1] if kernel is None else None
    if weight is not None and weight.shape is not None:
        kernel = weight.shape.numpy()[2:]
    strides, dilations = node.attribute("strides", ones), node.attribute("dilations", ones)
    return list(zip(kernel or ones, strides, dilations, strict=True))
