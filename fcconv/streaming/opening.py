"""From a sliding network to a stream: what is asked for is checked, and the network written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fcconv.errors import ArgumentError, ShapeError, UnsupportedError
from fcconv.geometry import Ints, integer, per_axis
from fcconv.graph.engines.compiling import Engine
from fcconv.graph.rewriting.convolutionize import exact
from fcconv.graph.rewriting.shared import declared
from fcconv.graph.rewriting.sliding import Sliding
from fcconv.streaming.rewrite import write_stream
from fcconv.streaming.stream import Stream


def open_stream(
    sliding: Sliding, axis: int | None, chunk: int | None, size: Ints | None, engine: Engine
) -> Stream:
    """Make a stream of a sliding network; see :meth:`fcconv.Sliding.stream`."""
    dims = declared(sliding.model.graph.inputs[0])
    axes = [k for k, n in enumerate(dims) if k and not isinstance(n, int)]
    time = _time(axis, axes, len(dims))
    k = axes.index(time)
    if any(sliding.margins[k]):
        raise _padded(sliding, time)
    beside = [j for j in range(len(axes)) if j != k]
    windows = [sliding.window[j] for j in beside]
    sizes = windows if size is None else per_axis(size, len(beside), "size")
    if any(n < window for n, window in zip(sizes, windows, strict=True)):
        raise ShapeError(f"size {tuple(sizes)} is smaller than the window {tuple(windows)}")
    shape: list[Any] = [1, *dims[1:]]
    shape[time] = sliding.window[k]
    for j, n in zip(beside, sizes, strict=True):
        shape[axes[j]] = n
    length = None if chunk is None else integer(chunk, "chunk", 1)
    written = write_stream(sliding.model, time, shape, length)
    return Stream(written, engine, time, 2 + k, sliding.window[k], sliding.stride[k], length)


def _time(axis: int | None, axes: Sequence[int], rank: int) -> int:
    """Find the axis along which time runs."""
    if axis is None and len(axes) == 1:
        return axes[0]
    known = " or ".join(map(str, axes))
    if axis is None:
        raise ArgumentError(f"axis (--axis) needs the axis along which time runs: {known}")
    found = integer(axis, "axis", -rank, rank - 1) % rank
    if found not in axes:
        raise ArgumentError(f"axis (--axis) needs one along which the network slides: {known}")
    return found


def _padded(sliding: Sliding, axis: int) -> UnsupportedError:
    """Refuse padding along time, and say what windows with their own padding cost."""
    error = UnsupportedError(
        f"the network pads along time, axis {axis} ({'; '.join(sliding.reasons)}): a recording "
        f"without end has nothing to pad, and no cell would be the score of its window. With "
        f"convolutionize(..., windows='exact') (--windows exact) each window has its own padding, "
        f"and can be streamed"
    )
    if sliding.patch is not None:
        with suppress(UnsupportedError):  # then that is not possible either
            cost = exact(sliding.patch, sliding).cost
            if cost is not None:
                error.add_note(f"Multiplications {cost.told()}")
    return error
