"""Heads of a random network: each makes vectors of a map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from random_blocks import Blocks
from random_parts import Value


class Network(Blocks):
    """Draws blocks, and what makes vectors of a map."""

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
