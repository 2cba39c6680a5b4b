"""The prover's backend: a network in a finite field, so that equality needs no tolerance.

Values are residues modulo ``P``. A float that is a small integer is that integer; any other becomes
a random residue keyed by its bits: equal numbers, equal residues. Sums, products and quotients are
those of the field; every other function is a keyed random function of its arguments, a maximum a
keyed random function of the multiset of its arguments. Two networks whose results agree here are
the same expression in the weights, the input and the nonlinearities, unless a collision hides a
difference (:func:`false_agreement`).

Sources: J. T. Schwartz, *Fast probabilistic algorithms for verification of polynomial identities*
(1980), corollary 1, for the test; G. L. Steele, D. Lea & C. H. Flood, *Fast splittable
pseudorandom number generators* (2014), figure 14, for the mixing function.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

import fcconv_numpy

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.geometry import Window

Residues: TypeAlias = npt.NDArray[np.int64]

P = 1048573
"""The largest prime below 2**20."""

GAMMA = 0x9E3779B97F4A7C15
"""The odd constant that separates the streams of splitmix64."""

BLOCK = 4096
"""Products of residues that float64 adds up exactly: ``BLOCK * P**2 < 2**53``."""


class Field:
    """Arithmetic modulo ``P`` under one key; see :class:`fcconv.backend.Backend` for the functions.

    Parameters
    ----------
    key : int
        Chooses the random residues and functions.

    Examples
    --------
    >>> field = Field(key=1)
    >>> x = field.asarray([0.5, 2.0])
    >>> bool(field.subtract(field.add(x, x), field.multiply(x, field.asarray([2.0]))).any())
    False
    """

    namespace = np

    def __init__(self, key: int) -> None:
        self._key = key
        self.operations = 0
        """Operations so far: what :func:`false_agreement` counts."""

    def running_network(self) -> AbstractContextManager[None]:
        """Do as the reference does, which computes the products."""
        return fcconv_numpy.running_network()

    def asarray(self, values: npt.ArrayLike) -> Residues:
        """Give each number its residue: small integers themselves, others one keyed by their bits.

        float16 and float32 are keyed by their value as float64, so that a number keeps its residue
        when it is stored in a wider dtype.
        """
        numbers = np.asarray(values)
        if numbers.dtype.kind in "iub" and np.all(np.abs(numbers.astype(np.int64)) < P // 2):
            return numbers.astype(np.int64) % P
        wide = np.ascontiguousarray(numbers, np.float64)
        small = (np.abs(wide) < P // 2) & (wide == np.round(wide))
        whole = np.where(small, wide, 0).astype(np.int64) % P
        return np.where(small, whole, self._mix(wide.view(np.uint64), "number"))

    def dense(self, x: Residues, weight: Residues, bias: Residues | None) -> Residues:
        """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
        self.operations += 1
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        y: Residues = _product(weight, rows.T).T.reshape(*x.shape[:-1], len(weight))
        return y if bias is None else (y + bias) % P

    def im2col(self, x: Residues, window: Window) -> Residues:
        """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
        return fcconv_numpy.im2col(x, window)

    def conv(
        self, x: Residues, weight: Residues, bias: Residues | None, window: Window, groups: int
    ) -> Residues:
        """Convolve, ``(N, O, *S')``."""
        self.operations += 1
        n, outputs, terms = len(x), len(weight), math.prod(weight.shape[1:])
        columns = fcconv_numpy.im2col(x.astype(np.float64), window)
        columns = columns.reshape(n, groups, terms, math.prod(window.output))
        y = _product(weight.reshape(groups, outputs // groups, terms), columns)
        return _with_bias(y.reshape(n, outputs, *window.output), bias)

    def conv1x1(self, x: Residues, weight: Residues, bias: Residues | None) -> Residues:
        """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
        self.operations += 1
        n, c, *size = x.shape
        y = _product(weight, x.reshape(n, c, math.prod(size)))
        return _with_bias(y.reshape(n, len(weight), *size), bias)

    def max_pool(self, x: Residues, window: Window) -> Residues:
        """Hash the multiset of each window; padding is not in it."""
        self.operations += 2
        return self._mix(_window_sums(self._mix(x, "max"), window), "max of")

    def avg_pool(self, x: Residues, window: Window, count: npt.NDArray[np.int64]) -> Residues:
        """Divide the sum of each window by its count."""
        self.operations += 1
        return _window_sums(x, window) * _inverse(count) % P

    def matmul(self, a: Residues, b: Residues) -> Residues:
        """Multiply stacks of matrices."""
        self.operations += 1
        return _product(a, b)

    def add(self, a: Residues, b: Residues) -> Residues:
        """Add, with broadcasting."""
        return (a + b) % P

    def subtract(self, a: Residues, b: Residues) -> Residues:
        """Subtract, with broadcasting."""
        return (a - b) % P

    def multiply(self, a: Residues, b: Residues) -> Residues:
        """Multiply entry by entry, with broadcasting."""
        self.operations += 1
        return a * b % P

    def divide(self, a: Residues, b: Residues) -> Residues:
        """Multiply by the inverse; that of 0 is 0."""
        self.operations += 1
        return a * _inverse(b) % P

    def elementwise(self, key: str, function: Callable[..., Residues], *xs: Residues) -> Residues:
        """Apply the keyed random function that stands for `key`; `function` is not called."""
        self.operations += len(xs)
        first, *others = xs
        y = self._mix(first, key)
        for other in others:
            y = self._mix(y * P + other, key)
        return y

    def along(
        self, key: str, function: Callable[..., Residues], x: Residues, axis: int
    ) -> Residues:
        """Hash the entries along `axis` in their order; `function` is not called."""
        self.operations += 2
        places = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - 1 - axis))
        return self._mix(self.reduce_sum(self._mix(x + places * P, key), [axis]), f"{key} of")

    def reduce_sum(self, x: Residues, axes: Sequence[int]) -> Residues:
        """Sum over axes, which stay with length 1."""
        total: Residues = x.sum(axis=tuple(axes), keepdims=True) % P
        return total

    def reduce_max(self, x: Residues, axes: Sequence[int]) -> Residues:
        """Hash the multiset of the entries over axes, which stay with length 1."""
        self.operations += 2
        return self._mix(self.reduce_sum(self._mix(x, "max"), axes), "max of")

    def _mix(self, x: npt.NDArray[Any], key: str) -> Residues:
        """Apply a random function into the field: splitmix64, its upper half scaled to ``P``."""
        z = x.astype(np.uint64)
        z += np.uint64((self._key << 32 | zlib.crc32(key.encode())) * GAMMA % 2**64)
        z ^= z >> np.uint64(30)
        z *= np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(27)
        z *= np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        z >>= np.uint64(32)
        z *= np.uint64(P)
        z >>= np.uint64(32)
        return z.view(np.int64)


def false_agreement(operations: int, keys: int) -> float:
    """Bound the probability that two different expressions agree under independent keys.

    An operation is at most quadratic in the values below it, or a random function of them, which
    hits the value of another argument with probability ``1 / P``: by the union bound over the
    operations, three chances in ``P`` each (Schwartz 1980, corollary 1). The bound takes the
    weights for distinct and products for products of different values.

    Parameters
    ----------
    operations : int
        Products, quotients and functions on the way from the input to an output.
    keys : int
        Independent keys.

    Returns
    -------
    float
        ``min(1, 3 * operations / P) ** keys``.

    Examples
    --------
    >>> false_agreement(10, 2) < 1e-9
    True
    """
    return min(1.0, 3 * operations / P) ** keys


def _with_bias(y: Residues, bias: Residues | None) -> Residues:
    if bias is None:
        return y
    y += bias.reshape(-1, *(1,) * (y.ndim - 2))
    return np.subtract(y, P, out=y, where=y >= P)


def _window_sums(x: Residues, window: Window) -> Residues:
    """Add up each window, ``(N, C, *S')``."""
    n, c = x.shape[:2]
    taps, positions = math.prod(window.kernel), math.prod(window.output)
    columns = fcconv_numpy.im2col(x, window).reshape(n, c, taps, positions)
    sums: Residues = columns.sum(axis=2).reshape(n, c, *window.output) % P
    return sums


def _product(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Residues:
    """Multiply stacks of matrices, in blocks of terms that float64 adds up exactly."""
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    total: Any = 0.0
    for start in range(0, a.shape[-1], BLOCK):
        terms = slice(start, start + BLOCK)
        right = b[terms] if b.ndim == 1 else b[..., terms, :]
        total = _reduced(total + a[..., terms] @ right)
    return np.asarray(total).astype(np.int64)


def _reduced(x: Any) -> npt.NDArray[np.float64]:
    """Reduce whole numbers from 0 to 2**53 modulo ``P``; several times faster than ``%``."""
    quotient = np.floor(x * (1 / P))  # off by one at most
    quotient *= P
    rest: npt.NDArray[np.float64] = np.subtract(x, quotient)
    rest += P * (rest < 0)
    rest -= P * (rest >= P)
    return rest


def _inverse(x: npt.NDArray[np.int64]) -> Residues:
    """Invert in the field by Fermat's little theorem, ``x**(P - 2)``; that of 0 is 0."""
    result, power, exponent = np.ones_like(x), x % P, P - 2
    while exponent:
        if exponent & 1:
            result = result * power % P
        power = power * power % P
        exponent >>= 1
    return result


if TYPE_CHECKING:
    _: Backend[Residues] = Field(0)
