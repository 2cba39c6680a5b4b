"""Blocks of a random network: each makes a map of a map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from graphs import Array
from random_parts import Parts, Value


class Blocks(Parts):
    """Draws what makes a map of a map."""

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
            self.phases,
            self.row,
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
        merged = self.flag()
        if merged:  # with those of all images
            last = self.graph.add("Reshape", last, np.array([-1, x.channels], np.int64))
        if x.channels > 1 and not self.whole and self.flag():  # of one channel nothing is left
            last = self.normalised(last)
        outputs = self.integer(1, 3)
        name = self.graph.add("MatMul", last, self.weights(x.channels, outputs, terms=x.channels))
        bound = 3 * x.channels * x.bound
        if self.flag():
            name = self.graph.add("Add", name, self.numbers(outputs))
            bound += 3
        if outputs > 1 and self.graph.opset >= 17 and not self.whole and self.flag():
            parameters = [self.numbers(outputs) for _ in range(self.integer(1, 2))]
            name = self.graph.add("LayerNormalization", name, *parameters)
        if merged:
            back = np.array([-1, *x.size, outputs], np.int64)
            name = self.graph.add("Reshape", name, back)
        name = self.graph.add("Transpose", name, perm=[0, rank + 1, *range(1, rank + 1)])
        return self.made(name, x, channels=outputs, bound=bound)

    def normalised(self, name: str) -> str:
        """Normalise along the last axis, written out."""
        centred = self.graph.add("Sub", name, self.graph.reduce("ReduceMean", name, [-1]))
        squares = self.graph.add("Mul", centred, centred)
        variance = self.graph.reduce("ReduceMean", squares, [-1])
        spread = self.graph.add("Sqrt", self.graph.add("Add", variance, self.graph.array(1)))
        return self.graph.add("Div", centred, spread)

    def phases(self, x: Value) -> Value:
        """Move neighbours along an axis into channels, where it can be halved."""
        even = [k for k, n in enumerate(x.size) if n % 2 == 0 and n > 2]
        if not even:
            return x
        k, size = self.pick(*even), list(x.size)
        size[k] //= 2
        cut = [0, x.channels, *size[: k + 1], 2, *size[k + 1 :]]
        name = self.graph.add("Reshape", x.name, np.array(cut, np.int64))
        rest = [axis for axis in range(2, 3 + self.rank) if axis != 3 + k]
        order = [3 + k, 1] if self.flag() else [1, 3 + k]
        name = self.graph.add("Transpose", name, perm=[0, *order, *rest])
        name = self.graph.add("Reshape", name, np.array([0, 2 * x.channels, *size], np.int64))
        return replace(x, name=name, channels=2 * x.channels, size=tuple(size))

    def row(self, x: Value) -> Value:
        """Pool with an axis more, of length 1, before those of the image or behind."""
        if self.rank == 3:
            return x
        axis = self.pick(2, 2 + self.rank)
        kernel = [self.integer(1, min(2, n)) for n in x.size]
        name = self.graph.with_ints("Unsqueeze", x.name, 13, "axes", axis)
        wide = kernel.copy()
        wide.insert(axis - 2, 1)
        name = self.graph.add("MaxPool", name, kernel_shape=wide)
        name = self.graph.with_ints("Squeeze", name, 13, "axes", axis)
        return replace(
            x, name=name, size=tuple(n - k + 1 for n, k in zip(x.size, kernel, strict=True))
        )
