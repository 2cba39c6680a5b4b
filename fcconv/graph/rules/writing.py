"""Operators that rules write often, in the form that the target's operator set asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcconv.graph.call import Call
from fcconv.graph.rules.samples import AxisWindow
from fcconv.graph.rules.target import Target
from fcconv.graph.rules.values import T

TO_THE_END = np.iinfo(np.int64).max
"""Where a Slice ends that goes on to the end."""


def copy(target: Target[T], call: Call, inputs: Sequence[T | None], **changed: Any) -> T:
    """Write the same operator with other inputs, and some attributes changed."""
    return target.emit(call, call.op, inputs, {**call.attributes, **changed})


def write_ints(target: Target[T], numbers: Sequence[int], call: Call, suffix: str) -> T:
    """Write integers that an operator takes as an input."""
    return target.constant(np.array(numbers, np.int64), call.name + suffix)


def write_with_ints(
    target: Target[T],
    call: Call,
    op: str,
    tensor: T,
    since: int,
    suffix: str = "",
    numbers: Mapping[str, Sequence[int]] | None = None,
    **attributes: Any,
) -> T:
    """Write an operator whose integers are inputs from the operator set `since` on."""
    numbers = numbers or {}
    if target.opset < since:
        return target.emit(call, op, [tensor], {**attributes, **numbers}, suffix)
    inputs = [write_ints(target, n, call, f"{suffix}/{name}") for name, n in numbers.items()]
    return target.emit(call, op, [tensor, *inputs], attributes, suffix)


def reduce_channels(target: Target[T], call: Call, tensor: T) -> T:
    """Write a reduction over the channels, which stay with length 1."""
    return _reduce(target, call, tensor, 1, keepdims=1)


def reduce_groups(target: Target[T], call: Call, tensor: T, groups: int, rank: int) -> T:
    """Write a reduction over the channels of each group; a group leaves one."""
    last = to_channels_last(target, call, tensor, rank)
    # in a Reshape, 0 keeps the length of an axis
    shape = write_ints(target, [*[0] * (1 + rank), groups, -1], call, "/groups")
    grouped = target.emit(call, "Reshape", [last, shape], None, "/grouped")
    made = _reduce(target, call, grouped, 2 + rank, keepdims=0)
    return to_channels_first(target, call, made, rank)


def _reduce(target: Target[T], call: Call, tensor: T, axis: int, keepdims: int) -> T:
    since = 13 if call.op == "ReduceSum" else 18
    numbers = {"axes": [axis]}
    return write_with_ints(target, call, call.op, tensor, since, numbers=numbers, keepdims=keepdims)


def along_last_axis(
    target: Target[T],
    call: Call,
    tensor: T,
    rank: int,
    attributes: Mapping[str, Any],
    parameters: Sequence[T] = (),
) -> T:
    """Write an operator that works along the last axis, between two transpositions."""
    last = to_channels_last(target, call, tensor, rank)
    made = target.emit(call, call.op, [last, *parameters], attributes)
    return to_channels_first(target, call, made, rank)


def to_channels_last(target: Target[T], call: Call, tensor: T, rank: int) -> T:
    """Move the channels behind the spatial axes."""
    perm = [0, *range(2, 2 + rank), 1]
    return target.emit(call, "Transpose", [tensor], {"perm": perm}, "/last")


def to_channels_first(target: Target[T], call: Call, tensor: T, rank: int) -> T:
    """Move the channels from behind the spatial axes to where they belong."""
    perm = [0, 1 + rank, *range(1, 1 + rank)]
    return target.emit(call, "Transpose", [tensor], {"perm": perm}, "/first")


def pad(target: Target[T], call: Call, tensor: T, pads: Sequence[tuple[int, int]]) -> T:
    """Write zeros around the spatial axes."""
    ends = [0, 0, *(b for b, _ in pads), 0, 0, *(a for _, a in pads)]
    return write_with_ints(target, call, "Pad", tensor, 11, "/pad", {"pads": ends})


def crop(
    target: Target[T], call: Call, tensor: T, windows: Sequence[AxisWindow], every: bool = False
) -> T:
    """Cut off what negative padding says; with `every`, keep one entry in each stride."""
    steps = [w.stride if every else 1 for w in windows]
    cuts = [(max(-w.before, 0), max(-w.after, 0)) for w in windows]
    along = [k for k, cut in enumerate(cuts) if (*cut, steps[k]) != (0, 0, 1)]
    if not along:
        return tensor
    numbers = {
        "starts": [cuts[k][0] for k in along],
        # -0 would end the slice before its first entry
        "ends": [-cuts[k][1] or TO_THE_END for k in along],
        "axes": [2 + k for k in along],
    }
    if any(steps[k] > 1 for k in along):
        if target.opset < 10:
            raise call.unsupported("a slice with steps needs opset 10: convert the model to it")
        numbers["steps"] = [steps[k] for k in along]
    return write_with_ints(target, call, "Slice", tensor, 10, "/slice", numbers)


def window_attributes(windows: Sequence[AxisWindow]) -> dict[str, Any]:
    """Give the attributes of a convolution."""
    return {
        "kernel_shape": [w.kernel for w in windows],
        "strides": [w.stride for w in windows],
        "dilations": [w.dilation for w in windows],
        "pads": [*(w.before for w in windows), *(w.after for w in windows)],
    }
