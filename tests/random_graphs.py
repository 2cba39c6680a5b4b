"""Patch classifiers as ONNX graphs, drawn at random; these are built valid, not filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from hypothesis import strategies as st
from onnx import printer

from graphs import Graph
from random_heads import Network
from random_parts import Value

OPSETS = (11, 13, 17, 20, 21)

WINDOWS = {1: (8, 20), 2: (8, 14), 3: (6, 8)}
"""Shortest and longest axis of a window, by the number of its spatial axes."""


@dataclass(frozen=True)
class Case:
    """A patch classifier, the pixels of a window, and a stride to slide it by."""

    model: onnx.ModelProto
    window: tuple[int, ...]
    axes: tuple[int, ...]
    stride: int | tuple[int, ...] | None
    dtype: str

    def __repr__(self) -> str:
        return f"stride {self.stride}, axes {self.axes}:\n{printer.to_text(self.model)}"


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    whole: bool = False,
    pads: bool = True,
    dtypes: Sequence[str] = ("float32", "float64"),
    ranks: Sequence[int] = (1, 2, 2, 3),
) -> Case:
    """Draw a patch classifier: of integers only if `whole`, without padding unless `pads`."""
    rank = draw(st.sampled_from(ranks))
    low, high = WINDOWS[rank]
    window = tuple(draw(st.integers(low, high)) for _ in range(rank))
    dtype, opset = draw(st.sampled_from(dtypes)), draw(st.sampled_from(OPSETS))
    layout = draw(st.sampled_from(["first", "first", "last", "none"]))
    channels = 1 if layout == "none" else draw(st.integers(1, 3))
    middle = {"first": (channels, *window), "last": (*window, channels), "none": window}[layout]
    network = Network(draw, Graph(*middle, dtype=dtype, opset=opset), rank, whole, pads)
    name = "image"
    if layout == "last":
        name = network.graph.add("Transpose", name, perm=[0, rank + 1, *range(1, rank + 1)])
    if layout == "none":
        name = network.graph.with_ints("Unsqueeze", name, 13, "axes", 1)
    x = network.conv(Value(name, channels, window, 3))
    for _ in range(draw(st.integers(0, 3))):
        x = network.block(x)
    outputs = network.heads(x)
    axes = tuple(range(2, 2 + rank)) if layout == "first" else tuple(range(1, 1 + rank))
    strides = st.integers(1, 9)
    stride = draw(st.one_of(st.none(), strides, st.tuples(*[strides] * rank)))
    return Case(network.graph.model(*outputs), window, axes, stride, dtype)
