"""Patch classifiers as ONNX graphs, by hand or at random; these are built valid, not filtered.

Names are chosen to collide with those that a rewriting makes up. In a network of integers every
value is an integer below 2**24 in size, so that float32 computes it exactly in any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, printer

Array: TypeAlias = npt.NDArray[Any]

TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}

OPSETS = (11, 13, 17, 20, 21)

WINDOWS = {1: (8, 20), 2: (8, 14), 3: (6, 8)}
"""Shortest and longest axis of a window, by the number of its spatial axes."""

LARGE, SMALL = 2**9, 8
"""An integer that may exceed the first number in size is clipped to the second."""


class Graph:
    """A graph under construction; arrays among the inputs of a node become initialisers."""

    def __init__(self, *shape: int | str, dtype: str = "float32", opset: int = 20) -> None:
        self.shape, self.dtype, self.opset = shape, dtype, opset
        self.prefix = "val_"  # of the names of values, as a rewriting names its own
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}

    def array(self, values: npt.ArrayLike) -> Array:
        return np.asarray(values, self.dtype)

    def parts(self, op: str, *inputs: str | Array, **attributes: Any) -> list[str]:
        """Add a node of several `outputs`, with a `name` perhaps."""
        name = str(attributes.pop("name", f"node{len(self.nodes)}"))
        outputs = int(attributes.pop("outputs", 1))
        kind = {"Conv": ("weight", "bias"), "Gemm": ("kernel", "bias"), "MatMul": ("kernel",)}
        parts = [*kind.get(op, ("constant", "channels", "order")), "rest", "rest_", "rest__"]
        names = [
            x if isinstance(x, str) else self.constant(x, f"{name}/{parts[max(position - 1, 0)]}")
            for position, x in enumerate(inputs)
        ]
        count = sum(len(node.output) for node in self.nodes)
        made = [f"{self.prefix}{count + k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, names, made, name, **attributes))
        return made

    def add(self, op: str, *inputs: str | Array, **attributes: Any) -> str:
        """Add a node of one output."""
        return self.parts(op, *inputs, **attributes)[0]

    def constant(self, values: Array, name: str) -> str:
        name = self._free(name, set(self.constants))
        self.constants[name] = values
        return name

    def _free(self, name: str, taken: set[str]) -> str:
        while name in taken:
            name += "_"
        return name

    def with_ints(
        self, op: str, x: str, since: int, attribute: str, *ints: int, **rest: Any
    ) -> str:
        """Add a node whose integers are an input from opset `since` on."""
        if self.opset < since:
            return self.add(op, x, **{attribute: ints}, **rest)
        return self.add(op, x, np.array(ints, np.int64), **rest)

    def reduce(self, op: str, x: str, axes: Sequence[int], keepdims: int = 1) -> str:
        since = 13 if op == "ReduceSum" else 18
        return self.with_ints(op, x, since, "axes", *axes, keepdims=keepdims)

    def model(self, *outputs: str, rank: int = 2) -> onnx.ModelProto:
        """Put the model together; its outputs have `rank` axes."""
        image = helper.make_tensor_value_info("image", TYPES[self.dtype], ["N", *self.shape])
        made = []
        for name in outputs:
            (node,) = [n for n in self.nodes if name in n.output]
            places = node.op_type == "ArgMax"
            kept = all(a.i for a in node.attribute if places and a.name == "keepdims")
            dtype = TensorProto.INT64 if places else TYPES[self.dtype]
            shape = ["N", *[None] * (rank - 2 + kept)]
            made.append(helper.make_tensor_value_info(name, dtype, shape))
        weights = [
            numpy_helper.from_array(np.array(values), name)
            for name, values in self.constants.items()
        ]
        graph = helper.make_graph(self.nodes, "network", [image], made, weights)
        opsets = [helper.make_opsetid("", self.opset)]
        version = helper.find_min_ir_version_for(opsets)
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)


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


@dataclass(frozen=True)
class Value:
    """A map ``(N, channels, *size)`` or a vector; no entry of integers is larger than `bound`."""

    name: str
    channels: int
    size: tuple[int, ...]
    bound: float


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
    network = _Network(draw, Graph(*middle, dtype=dtype, opset=opset), rank, whole, pads)
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


class _Network:
    """Draws the parts of a network."""

    def __init__(self, draw: st.DrawFn, graph: Graph, rank: int, whole: bool, pads: bool) -> None:
        self.draw, self.graph, self.rank = draw, graph, rank
        self.whole, self.pads = whole, pads
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    # What every part needs ----------------------------------------------------------------------

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def weights(self, *shape: int, terms: int = 1) -> str | Array:
        """Draw weights, none of them 0; or take those of another layer."""
        known = [name for name, a in self.graph.constants.items() if a.shape == shape]
        known = [n for n in known if self.graph.constants[n].dtype == self.graph.dtype]
        if known and self.flag():
            return str(self.pick(*known))
        if self.whole:
            signs = self.rng.choice([-1, 1, 1], shape)
            return self.graph.array(signs * self.rng.integers(1, 4, shape))
        return self.graph.array(self.rng.standard_normal(shape) / math.sqrt(terms))

    def numbers(self, *shape: int) -> Array:
        """Draw weights that are no other layer's."""
        if self.whole:
            return self.graph.array(self.rng.integers(1, 4, shape))
        return self.graph.array(self.rng.uniform(0.5, 2, shape))

    def made(self, name: str, like: Value, **changed: Any) -> Value:
        """Return what a node made; too large an integer is clipped."""
        value = replace(like, name=name, **changed)
        if not self.whole or value.bound <= LARGE:
            return value
        ends = [self.graph.array(end) for end in (-SMALL, SMALL)]
        return replace(value, name=self.graph.add("Clip", value.name, *ends), bound=SMALL)

    def moves(self, x: Value, pool: str = "") -> tuple[dict[str, Any], tuple[int, ...]]:
        """Draw the attributes of a convolution or a pool, and work out the size it makes."""
        form = self.pick("", "", "", "VALID")
        if self.pads:
            form = self.pick("", "", "VALID", "pads", "pads", "SAME_UPPER", "SAME_LOWER")
        same = form.startswith("SAME")
        dilated = not same and (pool != "AveragePool" or self.graph.opset >= 19)
        spec, lengths, overhangs, fits = [], [], [], []
        for n in x.size:
            k = self.integer(1, min(3, n))
            e = self.integer(1, min(3, (n - 1) // (k - 1))) if k > 1 and dilated else 1
            r = self.integer(1, k) if same else self.pick(1, 1, 2, 3)
            most = k - 1 if pool or n < 3 else 2  # some window reads more than padding
            before, after = (self.integer(0, most) if form == "pads" else 0 for _ in range(2))
            moves, rest = divmod(n + before + after - e * (k - 1) - 1, r)
            lengths.append(-(-n // r) if same else moves + 1)
            overhangs.append(rest > 0)
            fits.append((moves + 1) * r < n + before and after + r - rest < k)
            spec.append((k, e, r, before, after))
        kernel, dilation, stride, befores, afters = zip(*spec, strict=True)
        attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
        attributes["dilations"] = dilation
        if not dilated:
            del attributes["dilations"]
        if form == "pads":
            attributes["pads"] = (*befores, *afters)
        elif form:
            attributes["auto_pad"] = form
        # of a last window that begins beyond the input, or reads on for longer than its kernel
        # is, engines have different opinions
        fit = all(fits[k] or not over for k, over in enumerate(overhangs))
        if pool and self.pads and not same and form != "VALID" and fit and self.flag():
            attributes["ceil_mode"] = 1
            lengths = [n + over for n, over in zip(lengths, overhangs, strict=True)]
        return attributes, tuple(lengths)

    # Blocks: a map to a map ---------------------------------------------------------------------

    def block(self, x: Value) -> Value:
        blocks: list[Callable[[Value], Value]] = [
            self.conv,
            self.max_pool,
            self.activation,
            self.scale,
            self.branches,
            self.residual,
            self.attention,
            self.shuffle,
            self.part,
            self.crop,
            self.pixelwise,
        ]
        blocks += [] if self.whole else [self.average_pool, self.normalisation]
        blocks += [self.pad] if self.pads else []
        blocks += [self.turn] if self.rank > 1 else []
        made: Value = self.pick(*blocks)(x)
        return made

    def conv(self, x: Value, outputs: int = 0) -> Value:
        attributes, size = self.moves(x)
        groups = 1 if outputs else self.pick(1, x.channels)
        outputs = outputs or groups * self.integer(1, 3 if groups == 1 else 2)
        return self.convolved(x, outputs, attributes, size, groups)

    def convolved(
        self,
        x: Value,
        outputs: int,
        attributes: dict[str, Any],
        size: tuple[int, ...],
        groups: int = 1,
    ) -> Value:
        per_group = x.channels // groups
        terms = per_group * math.prod(attributes["kernel_shape"])
        weight = self.weights(outputs, per_group, *attributes["kernel_shape"], terms=terms)
        inputs = [weight, *([self.weights(outputs)] if self.flag() else [])]
        name = self.graph.add("Conv", x.name, *inputs, group=groups, **attributes)
        return self.made(name, x, channels=outputs, size=size, bound=3 * terms * x.bound + 3)

    def max_pool(self, x: Value) -> Value:
        attributes, size = self.moves(x, "MaxPool")
        return self.made(self.graph.add("MaxPool", x.name, **attributes), x, size=size)

    def average_pool(self, x: Value) -> Value:
        attributes, size = self.moves(x, "AveragePool")
        attributes["count_include_pad"] = int(self.flag())
        return self.made(self.graph.add("AveragePool", x.name, **attributes), x, size=size)

    def activation(self, x: Value) -> Value:
        ops: dict[str, dict[str, float]] = {"Relu": {}, "Abs": {}, "Neg": {}}
        if not self.whole:
            ops |= {op: {} for op in ("Sigmoid", "Tanh", "Softplus", "Softsign")}
            ops |= {"Elu": {"alpha": 0.5}, "LeakyRelu": {"alpha": 0.1}, "HardSigmoid": {}}
        op = self.pick(*ops, "PRelu")
        if op == "PRelu":
            slope = self.numbers(*self.pick((x.channels, *(1,) * len(x.size)), (1,)))
            if not x.size and slope.shape != (1,):
                slope = self.numbers(1)
            return self.made(self.graph.add(op, x.name, slope), x, bound=3 * x.bound)
        return self.made(self.graph.add(op, x.name, **ops[op]), x)

    def scale(self, x: Value) -> Value:
        shapes = [(x.channels, *(1,) * self.rank), (1, x.channels, *(1,) * self.rank), (1,), ()]
        constant = self.numbers(*self.pick(*shapes))
        op = self.pick("Add", "Sub", "Mul", "Max")
        inputs = [x.name, constant] if self.flag() else [constant, x.name]
        return self.made(self.graph.add(op, *inputs), x, bound=3 * x.bound + 3)

    def normalisation(self, x: Value) -> Value:
        if self.rank == 2 and self.flag():
            name = self.graph.add("LRN", x.name, size=self.pick(1, 3), alpha=0.1)
            return self.made(name, x)
        parameters = [self.numbers(x.channels) for _ in range(4)]
        return self.made(self.graph.add("BatchNormalization", x.name, *parameters), x)

    def branches(self, x: Value) -> Value:
        """Join two branches that read parts of different length, up to a remainder."""
        first, second, stride, size = [], [], [], []
        for n in x.size:
            r, k = self.pick(1, 2, 3), self.integer(1, min(3, n))
            alike = [j for j in range(1, min(4, n) + 1) if (n - j) // r == (n - k) // r]
            first.append(k)
            second.append(self.pick(*alike))
            stride.append(r)
            size.append((n - k) // r + 1)
        one = {"kernel_shape": first, "strides": stride}
        two = {"kernel_shape": second, "strides": stride}
        left = self.convolved(x, self.integer(1, 2), one, tuple(size))
        if self.flag():
            right = self.convolved(x, self.integer(1, 2), two, tuple(size))
        else:
            right = self.made(self.graph.add("MaxPool", x.name, **two), x, size=tuple(size))
        if self.flag():
            right = self.activation(right)
        both = [left, right] if self.flag() else [right, left]
        axis = self.pick(1, -1 - self.rank)
        name = self.graph.add("Concat", *(value.name for value in both), axis=axis)
        channels = left.channels + right.channels
        return self.made(name, left, channels=channels, bound=max(left.bound, right.bound))

    def residual(self, x: Value) -> Value:
        """Add a convolution to what it reads: to all of it if it pads, else to a part."""
        if self.pads and self.flag():
            attributes = {"kernel_shape": [3] * len(x.size), "auto_pad": "SAME_UPPER"}
            same = self.convolved(x, x.channels, attributes, x.size)
            both = [same.name, x.name] if self.flag() else [x.name, same.name]
            return self.made(self.graph.add("Add", *both), x, bound=same.bound + x.bound)
        kernel = [self.integer(1, min(3, n)) for n in x.size]
        stride = [
            self.pick(1, 1, 2) if n - k > 1 else 1 for n, k in zip(x.size, kernel, strict=True)
        ]
        size = tuple((n - k) // r + 1 for n, k, r in zip(x.size, kernel, stride, strict=True))
        starts = [self.integer(0, k - 1) for k in kernel]
        skip = self.sliced(x, starts, size, stride)
        attributes = {"kernel_shape": kernel, "strides": stride}
        conv = self.convolved(x, self.pick(1, x.channels), attributes, size)
        both = [conv.name, skip.name] if self.flag() else [skip.name, conv.name]
        return self.made(self.graph.add("Add", *both), skip, bound=conv.bound + skip.bound)

    def sliced(
        self, x: Value, starts: Sequence[int], size: Sequence[int], steps: Sequence[int]
    ) -> Value:
        ends = [a + (n - 1) * r + 1 for a, n, r in zip(starts, size, steps, strict=True)]
        ends = [e - n if e < n and self.flag() else e for e, n in zip(ends, x.size, strict=True)]
        axes = [2 + k for k in range(len(starts))]
        ints = [np.array(list(given), np.int64) for given in (starts, ends, axes, steps)]
        return replace(x, name=self.graph.add("Slice", x.name, *ints), size=tuple(size))

    def crop(self, x: Value) -> Value:
        starts = [self.integer(0, min(2, n - 1)) for n in x.size]
        steps = [self.pick(1, 1, 1, 2) for _ in x.size]
        room = [(n - a - 1) // r + 1 for n, a, r in zip(x.size, starts, steps, strict=True)]
        return self.sliced(x, starts, [self.integer(max(1, n - 2), n) for n in room], steps)

    def pad(self, x: Value) -> Value:
        """Pad, or crop where the padding is negative."""
        pairs = [
            (self.integer(-1 if n > 2 else 0, 2), self.integer(-1 if n > 2 else 0, 2))
            for n in x.size
        ]
        pads = [0, 0, *(b for b, _ in pairs), 0, 0, *(a for _, a in pairs)]
        inputs: list[Array] = [np.array(pads, np.int64)]
        mode = self.pick("constant", "constant", "edge")
        if mode == "constant" and self.flag():
            inputs.append(self.graph.array(2))
        size = tuple(n + b + a for n, (b, a) in zip(x.size, pairs, strict=True))
        name = self.graph.add("Pad", x.name, *inputs, mode=mode)
        return self.made(name, x, size=size, bound=max(x.bound, 2))

    def attention(self, x: Value) -> Value:
        """Weigh each pixel: one channel for all."""
        kernel = {"kernel_shape": (1,) * self.rank}
        weight = self.activation(self.convolved(x, 1, kernel, x.size))
        both = [weight.name, x.name] if self.flag() else [x.name, weight.name]
        return self.made(self.graph.add("Mul", *both), x, bound=x.bound * weight.bound)

    def shuffle(self, x: Value) -> Value:
        """Reorder channels, in groups."""
        groups = self.pick(*(g for g in range(1, x.channels + 1) if x.channels % g == 0))
        each = x.channels // groups
        if self.flag():
            parts = self.split(x, [each] * groups)
            order = self.draw(st.permutations(range(groups)))
            return replace(x, name=self.graph.add("Concat", *(parts[g] for g in order), axis=1))
        shapes = [[0, groups, each, *x.size], [0, x.channels, *x.size]]
        cut = self.graph.add("Reshape", x.name, np.array(shapes[0], np.int64))
        turned = self.graph.add("Transpose", cut, perm=[0, 2, 1, *range(3, 3 + self.rank)])
        return replace(x, name=self.graph.add("Reshape", turned, np.array(shapes[1], np.int64)))

    def part(self, x: Value) -> Value:
        """Go on with some channels."""
        first = self.integer(0, x.channels - 1)
        if self.flag() and first > 0:
            _, name = self.split(x, [first, x.channels - first])
            return replace(x, name=name, channels=x.channels - first)
        kept = self.draw(st.lists(st.integers(0, x.channels - 1), min_size=1, max_size=3))
        name = self.graph.add("Gather", x.name, np.array(kept, np.int64), axis=1)
        return replace(x, name=name, channels=len(kept))

    def split(self, x: Value, sizes: Sequence[int]) -> list[str]:
        if self.graph.opset < 13:
            return self.graph.parts("Split", x.name, outputs=len(sizes), axis=1, split=sizes)
        given = np.array(sizes, np.int64)
        return self.graph.parts("Split", x.name, given, outputs=len(sizes), axis=1)

    def turn(self, x: Value) -> Value:
        """Exchange spatial axes."""
        order = self.draw(st.permutations(range(self.rank)))
        name = self.graph.add("Transpose", x.name, perm=[0, 1, *(2 + k for k in order)])
        return replace(x, name=name, size=tuple(x.size[k] for k in order))

    def pixelwise(self, x: Value) -> Value:
        """Send the channels of each pixel through a dense layer, channels last."""
        rank = self.rank
        last = self.graph.add("Transpose", x.name, perm=[0, *range(2, 2 + rank), 1])
        outputs = self.integer(1, 3)
        name = self.graph.add("MatMul", last, self.weights(x.channels, outputs, terms=x.channels))
        bound = 3 * x.channels * x.bound
        if self.flag():
            name = self.graph.add("Add", name, self.numbers(outputs))
            bound += 3
        if outputs > 1 and self.graph.opset >= 17 and not self.whole and self.flag():
            parameters = [self.numbers(outputs) for _ in range(self.integer(1, 2))]
            name = self.graph.add("LayerNormalization", name, *parameters)
        name = self.graph.add("Transpose", name, perm=[0, rank + 1, *range(1, rank + 1)])
        return self.made(name, x, channels=outputs, bound=bound)

    # Heads: a map to vectors --------------------------------------------------------------------

    def heads(self, x: Value) -> list[str]:
        """Draw one output or two."""
        features = self.features(x)
        outputs = [self.head(features)]
        if self.flag():
            outputs.append(self.head(self.features(x) if self.flag() else features))
        return outputs

    def features(self, x: Value) -> Value:
        kinds: list[Callable[[Value], Value]] = [self.flattened, self.flattened, self.pooled]
        y: Value = self.pick(*kinds)(x)
        if self.flag() and self.flag():  # some features, in any order, some of them twice
            count = st.integers(0, y.channels - 1)
            kept = self.draw(st.lists(count, min_size=1, max_size=2 * y.channels))
            name = self.graph.add("Gather", y.name, np.array(kept, np.int64), axis=1)
            y = replace(y, name=name, channels=len(kept))
        if self.flag() and self.flag():
            other: Value = self.pick(*kinds)(x)
            name = self.graph.add("Concat", y.name, other.name, axis=self.pick(1, -1))
            bound = max(y.bound, other.bound)
            y = replace(y, name=name, channels=y.channels + other.channels, bound=bound)
        if self.flag() and self.flag():  # not all samples of a window alike
            name = self.graph.add(self.pick("Add", "Mul"), y.name, self.numbers(y.channels))
            y = self.made(name, y, bound=3 * y.bound + 3)
        if not self.whole and self.flag() and self.flag():
            parameters = [self.numbers(y.channels) for _ in range(4)]
            y = self.made(self.graph.add("BatchNormalization", y.name, *parameters), y)
        return y

    def flattened(self, x: Value) -> Value:
        """Flatten the axes in any order, and in any of the ways that exporters write."""
        name, count = x.name, x.channels * math.prod(x.size)
        if self.flag() and self.flag():  # a map beside a part of itself
            axis = self.integer(2, 1 + self.rank)
            part = self.crop(x)
            same = [n for k, n in enumerate(x.size) if k != axis - 2]
            if same == [n for k, n in enumerate(part.size) if k != axis - 2]:
                name = self.graph.add("Concat", part.name, name, axis=axis)
                count += x.channels * math.prod(part.size)
        if self.flag():
            order = self.draw(st.permutations(range(1, 2 + self.rank)))
            name = self.graph.add("Transpose", name, perm=[0, *order])
        form = self.pick("Flatten", [0, -1], [-1, count], "chain")
        if form == "Flatten":
            name = self.graph.add("Flatten", name)
        elif form == "chain":
            shape = self.graph.add("Shape", name)
            batch = self.graph.add("Gather", shape, np.array(0, np.int64), axis=0)
            line = self.graph.with_ints("Unsqueeze", batch, 13, "axes", 0)
            wanted = self.graph.add("Concat", line, np.array([-1], np.int64), axis=0)
            name = self.graph.add("Reshape", name, wanted)
        else:
            name = self.graph.add("Reshape", name, np.array(form, np.int64))
        return Value(name, count, (), x.bound)

    def pooled(self, x: Value) -> Value:
        """Pool over the map, or over one axis of it."""
        every = list(range(self.rank))
        over = self.pick(every, every, [self.integer(0, self.rank - 1)])
        axes = [2 + k - (2 + self.rank if self.flag() else 0) for k in over]
        bound = x.bound
        if over == every and self.flag():
            op = "GlobalMaxPool" if self.whole else self.pick("GlobalMaxPool", "GlobalAveragePool")
            name = self.graph.add(op, x.name)
        else:
            op = self.pick("ReduceMax", "ReduceSum", *([] if self.whole else ["ReduceMean"]))
            bound *= math.prod(x.size) if op == "ReduceSum" else 1
            name = self.graph.reduce(op, x.name, axes, int(self.flag()))
        rest = math.prod(n for k, n in enumerate(x.size) if k not in over)
        return self.made(self.graph.add("Flatten", name), Value(name, x.channels * rest, (), bound))

    def head(self, x: Value) -> str:
        """Draw one to three dense layers, and what comes after them."""
        for layer in range(self.integer(1, 3)):
            if layer and self.flag():
                x = self.activation(x)
            x = self.gemm(x) if self.flag() else self.matmul(x)
        tails = ["", "ArgMax", *([] if self.whole else ["Softmax", "LogSoftmax"])]
        tail = self.pick("", *tails) if x.channels > 1 else ""  # of one number they are constants
        options = {"keepdims": int(self.flag())} if tail == "ArgMax" else {}
        return self.graph.add(tail, x.name, axis=self.pick(1, -1), **options) if tail else x.name

    def gemm(self, x: Value) -> Value:
        outputs, turned = self.integer(1, 4), int(self.flag())
        alpha = self.pick(1.0, 1.0, 2.0, *([] if self.whole else [0.3]))
        beta = self.pick(1.0, 1.0, 3.0)
        shape = (outputs, x.channels) if turned else (x.channels, outputs)
        inputs = [self.weights(*shape, terms=x.channels)]
        if self.flag():
            inputs.append(self.weights(*self.pick((outputs,), (outputs,), (1, outputs), (1,), ())))
        options = {"transB": turned, "alpha": alpha, "beta": beta}
        name = self.graph.add("Gemm", x.name, *inputs, **options)
        return self.made(name, x, channels=outputs, bound=6 * x.channels * x.bound + 9)

    def matmul(self, x: Value) -> Value:
        outputs = self.integer(1, 4)
        weight = self.weights(x.channels, outputs, terms=x.channels)
        name = self.graph.add("MatMul", x.name, weight)
        if self.flag():
            bias = self.numbers(*self.pick((outputs,), (1, outputs), ()))
            name = self.graph.add("Add", *([name, bias] if self.flag() else [bias, name]))
        return self.made(name, x, channels=outputs, bound=3 * x.channels * x.bound + 3)
