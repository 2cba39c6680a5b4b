"""A backend that bounds rounding errors a priori: how far two right implementations can differ.

Each value is computed in float64, beside a bound on the distance of whatever a right implementation
computes in the network's own type. Sums may be taken in any order. The bound follows from the
values and the weights alone; nothing in it is chosen by looking at results:

- a dot product, and a sum: :func:`fcconv.rounding.dot_bound`, with the errors of what it is made of
  (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, sections 3.1 and 3.3); weights
  that are 0 make no term, as neither multiplying with them nor adding that rounds anything;
- another arithmetic operation: two roundings of its largest operand or result, as an engine
  may carry neighbouring factors and terms into the weights before them; none of a sum
  with 0, and of a product with 1 or -1;
- a function of a library: 16 units in the last place, the most that the OpenCL C specification
  (section 7.4) leaves to any of them, ``pow``; none where it only chooses among its arguments.
  What it makes of the errors of its arguments is seen at the ends of their intervals: between these
  the functions here are monotone, convex or concave, or the slope of their operator bounds them.

Where a bound can't be given, where a number may exceed its type, say, it is infinite.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import fcconv_numpy
from fcconv.certificate.bounded import (
    Bounded,
    Floats,
    common_type,
    is_one,
    may_have_pole,
    native,
    wide,
)
from fcconv.errors import ArgumentError
from fcconv.graph.operators import OPERATORS
from fcconv.rounding import dot_bound, unit_and_range
from fcconv_modular.moves import PartwiseMoves, is_float, type_of

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.geometry import Window

LIBRARY_ULPS = 16
"""What a function of a library may be off by; a unit in the last place is two unit roundoffs."""

CHOOSES = frozenset(
    ["Abs", "And", "Ceil", "Clip", "Equal", "Floor", "Greater", "GreaterOrEqual", "Hardmax",
     "IsInf", "IsNaN", "Less", "LessOrEqual", "Max", "Min", "Not", "Or", "Relu", "Round", "Sign",
     "Where", "Xor", "finite", "flip"]
)  # fmt: skip
"""Functions that round nothing."""

LARGE_WEIGHT_ENTRIES = 2**22
"""Entries beyond which a weight is not turned into float64 as a whole."""

MOST_VARIED = 3
"""Arguments with errors whose ends are all combined; of more only Max and Min have a bound."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """The backend; see :class:`fcconv.backend.Backend` for its functions.

    Attributes
    ----------
    share : float, default: 1
        The part of each rounding that is counted.

    Examples
    --------
    >>> bounds = Bounds()
    >>> x = bounds.asarray(np.array([1.0, 3.0], np.float32))
    >>> y = bounds.divide(x, bounds.asarray(np.array([3.0], np.float32)))
    >>> bool((np.abs(np.float32(1) / np.float32(3) - y.value[0]) <= y.error[0]).all())
    True
    """

    namespace = PartwiseMoves()

    share: float = 1.0

    def running_network(self) -> AbstractContextManager[None]:
        """Do as the reference does."""
        return fcconv_numpy.running_network()

    def asarray(self, values: npt.ArrayLike) -> Bounded:
        """Take numbers as they are."""
        array = np.asarray(values)
        return Bounded(array, np.broadcast_to(0.0, array.shape), array.dtype)

    def dense(self, x: Bounded, weight: Bounded, bias: Bounded | None) -> Bounded:
        """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
        product = functools.partial(fcconv_numpy.dense, bias=None)
        return self._dot(product, x, weight, bias, summed=(1,), axis=-1)

    def im2col(self, x: Bounded, window: Window) -> Bounded:
        """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
        value, error = (fcconv_numpy.im2col(np.asarray(part), window) for part in x.parts)
        return x.of(value, error)

    def conv(
        self, x: Bounded, weight: Bounded, bias: Bounded | None, window: Window, groups: int
    ) -> Bounded:
        """Convolve, ``(N, O, *S')``."""
        return self._dot(
            lambda a, b: fcconv_numpy.conv(a, b, None, window, groups),
            x, weight, bias,
            summed=range(1, weight.ndim), axis=1, outputs=0 if groups == 1 else None,
        )  # fmt: skip

    def conv1x1(self, x: Bounded, weight: Bounded, bias: Bounded | None) -> Bounded:
        """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
        product = functools.partial(fcconv_numpy.conv1x1, bias=None)
        return self._dot(product, x, weight, bias, summed=(1,), axis=1)

    def matmul(self, a: Bounded, b: Bounded) -> Bounded:
        """Multiply stacks of matrices."""
        outputs = b.ndim - 1 if b.ndim > 1 else None
        summed = (max(b.ndim - 2, 0),)
        product = fcconv_numpy.matmul
        return self._dot(product, a, b, None, summed=summed, axis=-1, outputs=outputs)

    def max_pool(self, x: Bounded, window: Window) -> Bounded:
        """Take the maximum of each window: off by as much as one of its entries."""
        value, error = (fcconv_numpy.max_pool(wide(part), window) for part in x.parts)
        return x.of(value, error)

    def avg_pool(self, x: Bounded, window: Window, count: npt.NDArray[np.int64]) -> Bounded:
        """Divide the sum of each window by its count."""
        ones = np.ones_like(count)
        value, error, size = (
            fcconv_numpy.avg_pool(wide(part), window, ones)
            for part in (x.value, x.error, x.size_of)
        )
        total = self._rounded(value, error, size, math.prod(window.kernel), x.dtype)
        return self.divide(total, Bounded(count, np.zeros(count.shape), x.dtype))

    def add(self, a: Bounded, b: Bounded) -> Bounded:
        """Add, with broadcasting."""
        return self._sum(np.add, a, b)

    def subtract(self, a: Bounded, b: Bounded) -> Bounded:
        """Subtract, with broadcasting."""
        return self._sum(np.subtract, a, b)

    def _sum(self, function: Callable[..., Any], a: Bounded, b: Bounded) -> Bounded:
        value = function(wide(a.value), wide(b.value))
        is_exact = (a.size_of == 0) | (b.size_of == 0)
        size = np.where(is_exact, 0.0, a.size_of + b.size_of)
        return self._rounded(value, a.error + b.error, size, 2, common_type(a, b))

    def multiply(self, a: Bounded, b: Bounded) -> Bounded:
        """Multiply entry by entry, with broadcasting."""
        value = wide(a.value) * wide(b.value)
        error = np.abs(a.value) * b.error + a.error * b.size_of
        size = np.where(is_one(a) | is_one(b), 0.0, np.abs(value) + error)
        return self._rounded(value, error, size, 2, common_type(a, b))

    def divide(self, a: Bounded, b: Bounded) -> Bounded:
        """Divide, with broadcasting; integers towards zero."""
        dtype, smallest = common_type(a, b), np.abs(wide(b.value)) - b.error
        value = _truncated(wide(a.value) / wide(b.value), dtype)
        error = (a.error + np.abs(value) * b.error) / smallest
        error = np.where((smallest > 0) | (b.error == 0), error, np.inf)
        if not is_float(dtype):  # what is cut off
            error = np.where(error > 0, error + 1, 0)
        size = np.where(is_one(b), 0.0, np.abs(value) + error)
        return self._rounded(value, error, size, 2, dtype)

    def elementwise(self, key: str, function: Callable[..., Any], *xs: Bounded) -> Bounded:
        """Apply a function, at the ends of the intervals too."""
        dtype, name = type_of(function, *xs), key.split()[0]
        made = function(np, *(native(x.value, x.dtype) for x in xs))
        value = wide(made)
        error = self._spread(name, function, value, xs)
        if not is_float(dtype) or name in CHOOSES:
            return Bounded(value, _known(value, error, dtype), dtype)
        size = np.maximum.reduce(np.broadcast_arrays(np.abs(value) + error, 1.0, *_sizes(xs)))
        return self._rounded(value, error, size, 2 * LIBRARY_ULPS, dtype)

    def _spread(
        self, name: str, function: Callable[..., Any], value: Floats, xs: Sequence[Bounded]
    ) -> Floats:
        """Bound what the errors of the arguments do to a function."""
        varied = [k for k, x in enumerate(xs) if np.any(x.error)]
        if not varied:
            return np.zeros_like(value)
        errors = np.maximum.reduce(np.broadcast_arrays(*(x.error for x in xs)))
        slope = OPERATORS[name].slope if name in OPERATORS else None
        if slope is None and len(varied) > MOST_VARIED and name not in ("Max", "Min"):
            slope = np.inf
        if slope is not None:
            return np.where(errors > 0, slope * errors, 0.0)
        corners: Iterable[Sequence[int]] = itertools.product((-1, 1), repeat=len(varied))
        if len(varied) > MOST_VARIED:
            corners = [(-1,) * len(varied), (1,) * len(varied)]
        error = np.zeros_like(value)
        for corner in corners:
            signs = dict(zip(varied, corner, strict=True))
            ends = (x.end(signs[k]) if k in signs else native(x.value, x.dtype)
                    for k, x in enumerate(xs))  # fmt: skip
            error = np.maximum(error, np.abs(wide(function(np, *ends)) - value))
        if name == "Pow":
            error = np.where(may_have_pole(*xs), np.inf, error)
        return np.where(errors > 0, error, 0.0)

    def along(self, key: str, function: Callable[..., Any], x: Bounded, axis: int) -> Bounded:
        """Find the place of an extreme, which is sure if no other entry may exceed it."""
        value = wide(x.value) * (-1 if key.startswith("ArgMin") else 1)
        surely = (value - x.error).max(axis=axis, keepdims=True)
        may_be = (value + x.error >= surely).sum(axis=axis, keepdims=True)
        error = np.where((may_be > 1) & np.any(x.error, axis=axis, keepdims=True), np.inf, 0.0)
        made = function(np, native(x.value, x.dtype))
        return Bounded(wide(made), error, type_of(function, x))

    def reduce_sum(self, x: Bounded, axes: Sequence[int]) -> Bounded:
        """Sum over axes, which stay with length 1."""
        value, error, size = (
            wide(part).sum(axis=tuple(axes), keepdims=True)
            for part in (x.value, x.error, x.size_of)
        )
        terms = math.prod(x.shape[axis] for axis in axes)
        return self._rounded(value, error, size, terms, common_type(x, x))

    def reduce_max(self, x: Bounded, axes: Sequence[int]) -> Bounded:
        """Take the maximum over axes, which stay with length 1."""
        value, error = (wide(part).max(axis=tuple(axes), keepdims=True) for part in x.parts)
        return x.of(value, error)

    def _dot(
        self,
        product: Callable[[Any, Any], Any],
        x: Bounded,
        weight: Bounded,
        bias: Bounded | None,
        *,
        summed: Sequence[int],
        axis: int,
        outputs: int | None = 0,
    ) -> Bounded:
        """Bound a product of matrices, or what is one; a large weight by parts along `outputs`.

        The axes of the weight that are summed over are given, and that of the result's outputs.
        """
        is_large = weight.value.size > LARGE_WEIGHT_ENTRIES and not np.any(weight.error)
        if is_large and outputs is not None:
            count, each = weight.shape[outputs], LARGE_WEIGHT_ENTRIES * weight.shape[outputs]
            cuts = range(0, count, max(each // weight.value.size, 1))[1:]
            weights = np.split(weight.value, cuts, outputs)
            parts = [
                self._dot(product, x, self.asarray(w), None, summed=summed, axis=axis)
                for w in weights
            ]
            made = self.namespace.concatenate(parts, axis=axis)
            return made if bias is None else self._with_bias(made, bias, axis)
        a, b = wide(x.value), wide(weight.value)
        value, magnitude = product(a, b), np.abs(b)
        error = self._carried(product, x.error, magnitude) if np.any(x.error) else 0.0
        if np.any(weight.error):
            error = error + product(x.size_of, wide(weight.error))
        size = product(np.abs(a), magnitude) + error
        made = self._rounded(value, np.broadcast_to(error, value.shape), size,
                             _terms(weight, summed) + 1, common_type(x, weight))  # fmt: skip
        return made if bias is None else self._with_bias(made, bias, axis)

    def _carried(
        self, product: Callable[[Any, Any], Any], error: Floats, magnitude: Floats
    ) -> Floats:
        """Multiply errors with weights; one of 0 carries none, not even one that has no bound."""
        known = np.isfinite(error)
        carried: Floats = product(np.where(known, error, 0.0), magnitude)
        if known.all():
            return carried
        unknown = product(np.where(known, 0.0, 1.0), (magnitude > 0).astype(np.float64))
        return np.where(unknown > 0, np.inf, carried)

    def _with_bias(self, x: Bounded, bias: Bounded, axis: int) -> Bounded:
        shape = [1] * x.ndim
        shape[axis] = -1
        return self.add(x, self.namespace.reshape(bias, shape))

    def _rounded(
        self, value: Floats, error: Floats, size: Floats, roundings: int, dtype: np.dtype[Any]
    ) -> Bounded:
        """Add what roundings of numbers up to `size` add to an error: of zeros, nothing."""
        if is_float(dtype):
            try:
                rounding = self.share * dot_bound(size, roundings, dtype)
                error = error + np.where(size == 0, 0.0, rounding)
            except ArgumentError:  # so many that there is no bound
                error = np.full(np.shape(value), np.inf)
        return Bounded(value, _known(size, error, dtype), dtype)


def _terms(weight: Bounded, summed: Sequence[int]) -> int:
    """Count the products that an output is the sum of, at most."""
    if np.any(weight.error):  # whatever is 0 may be something else
        return math.prod(weight.shape[axis] for axis in summed)
    return int(np.count_nonzero(weight.value, axis=tuple(summed)).max(initial=0))


def _known(size: Floats, error: Floats, dtype: np.dtype[Any]) -> Floats:
    """Leave no bound where numbers may exceed their type."""
    largest = unit_and_range(dtype).largest if is_float(dtype) else _largest(dtype)
    within: Floats = np.where(np.abs(size) + error <= largest, error, np.inf)
    return within


def _largest(dtype: np.dtype[Any]) -> float:
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else math.inf


def _truncated(value: Floats, dtype: np.dtype[Any]) -> Floats:
    return value if is_float(dtype) else np.trunc(value)


def _sizes(xs: Sequence[Bounded]) -> list[Floats]:
    return [x.size_of for x in xs]


if TYPE_CHECKING:
    _: Backend[Bounded] = Bounds()
