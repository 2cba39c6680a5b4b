"""Hypothesis strategies that build valid cases; nothing is filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Array: TypeAlias = npt.NDArray[Any]
Draw: TypeAlias = st.DrawFn

EXACT = ("int64", "int32", "float64", "float32")
"""Dtypes in which small integers are computed exactly, whatever the order of the sum."""

FLOATS = ("float64", "float32", "float16", "bfloat16")

RANKS = (1, 2, 3)

LAYOUTS = {1: "CW", 2: "CHW", 3: "CDHW"}


@dataclass(frozen=True)
class ConvCase:
    """A convolution that fits, with the arguments in the forms that a caller may give them."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: int | tuple[int, ...]
    padding: Any
    dilation: int | tuple[int, ...]
    groups: int
    bias: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the call."""
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class PoolCase:
    """A pool that fits: every window reads a pixel of the input."""

    x: tuple[int, ...]
    kernel: int | tuple[int, ...]
    stride: int | tuple[int, ...] | None
    padding: Any
    dilation: int | tuple[int, ...]
    ceil_mode: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the call, the kernel aside."""
        names = ("stride", "padding", "dilation", "ceil_mode")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class DenseCase:
    """A dense layer that reads a flattened block."""

    batch: int
    block: tuple[int, ...]
    outputs: int
    order: str
    bias: bool


def normal(seed: int, shape: Sequence[int], dtype: str, scale: float = 1.0) -> Array:
    """Make an array of normal numbers times `scale`."""
    rng = np.random.default_rng([seed, *shape])
    return (scale * rng.standard_normal(tuple(shape))).astype(as_dtype(dtype))


def integers(seed: int, shape: Sequence[int], dtype: str, low: int = -5) -> Array:
    """Make an array of integers from `low` to 5."""
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(low, 6, tuple(shape)).astype(as_dtype(dtype))


def any_integers(seed: int, shape: Sequence[int], dtype: str) -> Array:
    """Make an array of integers from the whole range of an integer dtype."""
    limits = np.iinfo(dtype)
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(limits.min, limits.max, tuple(shape), dtype, endpoint=True)


def as_dtype(name: str) -> np.dtype[Any]:
    """Look up a dtype, bfloat16 included."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


seeds = st.integers(0, 2**32 - 1)


def _per_axis(draw: Draw, rank: int, low: int, high: int) -> int | tuple[int, ...]:
    """Draw one integer, or one an axis."""
    numbers = st.integers(low, high)
    either: st.SearchStrategy[int | tuple[int, ...]] = st.one_of(
        numbers, st.tuples(*[numbers] * rank)
    )
    return draw(either)


def _spread(value: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else value


def _padding(draw: Draw, highest: Sequence[int]) -> tuple[Any, list[int]]:
    """Draw a padding of at most `highest` an axis, and say how much it adds to each axis."""
    form = draw(st.sampled_from(["one", "axis", "pairs", "valid", "same"]))
    if form == "one":
        one = draw(st.integers(0, min(highest)))
        return one, [2 * one for _ in highest]
    if form == "axis":
        ints = tuple(draw(st.integers(0, h)) for h in highest)
        return ints, [2 * p for p in ints]
    if form == "pairs":
        pairs = [tuple(draw(st.integers(0, h)) for _ in range(2)) for h in highest]
        return pairs, [sum(pair) for pair in pairs]
    return form, [0 for _ in highest]


def _sizes(
    draw: Draw, extents: Sequence[int], padding: Any, added: Sequence[int], least: Sequence[int]
) -> tuple[int, ...]:
    """Draw sizes from the smallest that fits the kernel on; "same" pads until it fits."""
    smallest = [
        max(low, 1 if padding == "same" else extent - pads)
        for extent, pads, low in zip(extents, added, least, strict=True)
    ]
    return tuple(low + draw(st.integers(0, 4)) for low in smallest)


@st.composite
def conv_cases(draw: Draw, ranks: Sequence[int] = RANKS) -> ConvCase:
    """Draw a convolution."""
    rank = draw(st.sampled_from(ranks))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    stride, dilation = _per_axis(draw, rank, 1, 3), _per_axis(draw, rank, 1, 3)
    padding, added = _padding(draw, [2] * rank)
    extents = [e * (k - 1) + 1 for k, e in zip(kernel, _spread(dilation, rank), strict=True)]
    size = _sizes(draw, extents, padding, added, [1] * rank)
    groups, per_group, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    return ConvCase(
        x=(draw(st.integers(0, 2)), groups * per_group, *size),
        weight=(groups * outputs, per_group, *kernel),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )


@st.composite
def pool_cases(draw: Draw, ranks: Sequence[int] = RANKS) -> PoolCase:
    """Draw a pool. Padding stays below the extent and dilation within the input, so that no
    window can miss the input.
    """
    rank = draw(st.sampled_from(ranks))
    kernel, dilation = _per_axis(draw, rank, 1, 3), _per_axis(draw, rank, 1, 3)
    spread = _spread(dilation, rank)
    extents = [e * (k - 1) + 1 for k, e in zip(_spread(kernel, rank), spread, strict=True)]
    padding, added = _padding(draw, [e - 1 for e in extents])
    size = _sizes(draw, extents, padding, added, spread)
    return PoolCase(
        x=(draw(st.integers(0, 2)), draw(st.integers(1, 3)), *size),
        kernel=kernel,
        stride=None if draw(st.booleans()) else _per_axis(draw, rank, 1, 3),
        padding=padding,
        dilation=dilation,
        ceil_mode=draw(st.booleans()),
    )


@st.composite
def dense_cases(draw: Draw, ranks: Sequence[int] = RANKS) -> DenseCase:
    """Draw a dense layer and the order in which its input was flattened."""
    rank = draw(st.sampled_from(ranks))
    block = tuple(draw(st.integers(1, 4)) for _ in range(1 + rank))
    return DenseCase(
        batch=draw(st.integers(0, 3)),
        block=block,
        outputs=draw(st.integers(1, 4)),
        order="".join(draw(st.permutations(LAYOUTS[rank]))),
        bias=draw(st.booleans()),
    )
