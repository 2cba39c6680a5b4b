"""What the exact forms of a network cost for each window of a large image, in integers.

The unit is one multiplication. Moving an entry costs many: :data:`MADE` for an entry of a node's
result, :data:`GATHERED` for one gathered out of parts, with windows brought into the batch. From
the costs follows where sharing ends: before the node that makes the sum of three costs least, those
of sharing before it, of gathering there, and of each window computing alone after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import onnx_ir as ir

from fcconv.graph.local import Local
from fcconv.graph.rewriting.exact.follow import STILL, Followed, axes_of, moves_of
from fcconv.graph.rewriting.exact.parts import BODY, Axis
from fcconv.graph.rewriting.exact.patch import sizes_of

MADE = 64
"""Multiplications that take as long as one entry that a node makes."""

SHARED = 192
"""The same of an entry that windows share: parts are cut out before, and laid out again."""

GATHERED = 768
"""Multiplications that take as long as one entry that is gathered for windows in the batch."""


@dataclass(frozen=True)
class Cost:
    """Multiplications for each window of a large image.

    Attributes
    ----------
    crops : int
        If every window is cut out and scored by itself.
    exact : int
        In the exact form.
    shared : int
        If windows share whatever they can, padding or not, and the rest counts for each: also where
        a node that mixes a whole window forbids such a network.
    """

    crops: int
    exact: int
    shared: int

    def told(self) -> str:
        """Compare them in words.

        Examples
        --------
        >>> Cost(crops=100, exact=12, shared=1).told()
        'exact: 8.33 times fewer than crops; shared: 100 times, not exact'
        >>> Cost(crops=100, exact=100, shared=80).told()
        'exact: as many as crops; shared: 1.25 times fewer, not exact'
        """
        if not self.exact or not self.shared:
            return "none"
        shared = f"{self.crops / self.shared:.3g} times"
        if self.exact == self.crops:
            return f"exact: as many as crops; shared: {shared} fewer, not exact"
        exact = f"{self.crops / self.exact:.3g} times"
        return f"exact: {exact} fewer than crops; shared: {shared}, not exact"


@dataclass(frozen=True)
class SharingPlan:
    """Which nodes of a patch network windows share, and what that costs.

    Attributes
    ----------
    shared : frozenset of onnx_ir.Node
        The nodes that are written in parts.
    ends : onnx_ir.Node, optional
        The first node that each window computes for itself.
    cost : Cost
        Multiplications.
    """

    shared: frozenset[ir.Node]
    ends: ir.Node | None
    cost: Cost


@dataclass(frozen=True)
class _Node:
    """What a node that depends on the image costs for each window.

    `alone` and `in_parts` are pairs: multiplications, and the cost of moving entries. `in_body`
    counts the multiplications of the entries that all windows share.
    """

    node: ir.Node
    sharable: bool
    alone: tuple[int, int]
    in_parts: tuple[int, int]
    in_body: int


def cheapest(nodes: Iterable[ir.Node], followed: Followed) -> SharingPlan:
    """Choose where sharing ends.

    Parameters
    ----------
    nodes : iterable of onnx_ir.Node
        The nodes of the patch network, in order.
    followed : Followed
        Which of their values windows can share.
    """
    listed = [_costs(node, followed) for node in nodes if followed.seen & {*node.outputs}]
    totals = _totals(listed, followed)
    cut = totals.index(min(totals))
    shared = [n for n in listed[:cut] if n.sharable]
    alone = [n for k, n in enumerate(listed) if k >= cut or not n.sharable]
    cost = Cost(
        crops=sum(n.alone[0] for n in listed),
        exact=sum(n.in_parts[0] for n in shared) + sum(n.alone[0] for n in alone),
        shared=sum(n.in_body if n.sharable else n.alone[0] for n in listed),
    )
    in_parts = frozenset(n.node for n in shared)
    ends = next((n.node for n in alone if _reads(n.node, in_parts, followed)), None)
    return SharingPlan(in_parts, ends, cost)


def _reads(node: ir.Node, shared: frozenset[ir.Node], followed: Followed) -> bool:
    """Say whether a node reads the entries of what windows share."""
    return node.op_type != "Shape" and any(
        value in followed.locals and (value.producer() is None or value.producer() in shared)
        for value in node.inputs
        if value is not None
    )


def _totals(listed: Sequence[_Node], followed: Followed) -> list[int]:
    """Say what everything costs if sharing ends before the first node, the second, and so on."""
    before = accumulate((sum(n.in_parts) for n in listed), initial=0)
    after = accumulate((sum(n.alone) for n in reversed(listed)), initial=0)
    # what stands before a cut is written in parts, what stands after it for each window alone
    totals = [a + b for a, b in zip(before, reversed(list(after)), strict=True)]
    number = {n.node: k for k, n in enumerate(listed)}
    for value, local in followed.locals.items():
        producer = value.producer()
        made = -1 if producer is None else number[producer]
        readers = [number[use.node] for use in value.uses() if use.node.op_type != "Shape"]
        if value.is_graph_output() or not all(listed[k].sharable for k in readers):
            last = len(listed)  # a reader that can't share, behind every cut
        else:
            last = max(readers, default=made)
        for cut in range(made + 1, last + 1):  # it is gathered for a reader behind the cut
            totals[cut] += GATHERED * _whole(value, local)
    return totals


def _costs(node: ir.Node, followed: Followed) -> _Node:
    value = node.outputs[0]
    local, entries = followed.locals.get(value), _entries(value)
    each = _multiplications(node)
    alone = each * entries, MADE * entries
    if local is None:
        return _Node(node, False, alone, alone, 0)
    beside = _beside(value, local)
    axes = axes_of(local)
    parts = beside * math.prod(_each_window(axis) for axis in axes)
    body = beside * math.prod(_in_body(axis) for axis in axes)
    moved = SHARED * parts + GATHERED * _read(node, local, followed)
    return _Node(node, True, alone, (each * parts, moved), each * body)


def _entries(value: ir.Value) -> int:
    return math.prod(sizes_of(value) or ())


def _whole(value: ir.Value, local: Local) -> int:
    return _beside(value, local) * math.prod(axis.block for axis in axes_of(local))


def _beside(value: ir.Value, local: Local) -> int:
    """Count the entries of one sample: its channels, say."""
    return _entries(value) // math.prod(axis.block for axis in axes_of(local))


def _in_body(axis: Axis) -> int:
    """Count the entries of a tensor that all windows share, for each window of a large image."""
    return axis.stride // axis.step


def _each_window(axis: Axis) -> int:
    shared = _in_body(axis) if axis.body > 0 else 0
    return shared + axis.head + axis.tail


def _read(node: ir.Node, made: Local, followed: Followed) -> int:
    """Count the entries that are gathered to make what each window has of its own."""
    total = 0
    for value in dict.fromkeys(node.inputs):
        if value is None or value not in followed.locals:
            continue
        x = followed.locals[value]
        moved = list(zip(axes_of(x), axes_of(made), moves_of(made), strict=True))
        if all(old.spans == new.spans and moves == STILL for old, new, moves in moved):
            continue
        # the shared entries that make shared entries are read in place
        gathered = kept = _beside(value, x)
        for old, new, moves in moved:
            spans = [old.reading(new, part, moves) for part in new.spans if part != BODY]
            body = _in_body(old) if BODY in new.spans else 0
            gathered *= body + sum(stop - start for start, stop, _ in spans)
            kept *= body
        total += gathered - kept
    return total


def _multiplications(node: ir.Node) -> int:
    """Count the multiplications for one entry of what a node makes."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    constant = None if weight is None else weight.const_value
    if node.op_type == "Conv" and constant is not None:
        return math.prod(constant.shape.numpy()[1:])
    if node.op_type == "ConvTranspose" and constant is not None:
        # of a weight (C, O/g, *K): at most all of it but the axis of outputs
        return math.prod(constant.shape.numpy()) // max(constant.shape.numpy()[1], 1)
    if node.op_type in ("Gemm", "MatMul"):
        first = node.inputs[0]
        sizes = None if first is None else sizes_of(first)
        return sizes[-1] if sizes else 0
    return 0
