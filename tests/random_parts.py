"""What every part of a random network is drawn with: weights, sizes, and bounds.

In a network of integers every value is an integer below 2**24 in size, so that float32 computes it
exactly in any order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from graphs import Array, Graph

LARGE, SMALL = 2**9, 8
"""An integer that may exceed the first number in size is clipped to the second."""


@dataclass(frozen=True)
class Value:
    """A map ``(N, channels, *size)`` or a vector; no entry of integers is larger than `bound`."""

    name: str
    channels: int
    size: tuple[int, ...]
    bound: float


class Parts:
    """Draws what the parts of a network are made of."""

    def __init__(self, draw: st.DrawFn, graph: Graph, rank: int, whole: bool, pads: bool) -> None:
        self.draw, self.graph, self.rank = draw, graph, rank
        self.whole, self.pads = whole, pads
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

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
