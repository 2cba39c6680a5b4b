"""The prover's backend: a network in a finite field, so that equality needs no tolerance.

Values are residues modulo a prime that the key chooses, so that integers which agree modulo one
prime differ modulo the next. A float that is a small integer is that integer; any other becomes a
random residue keyed by its bits: equal numbers, equal residues. Sums, products and quotients are
those of the field; every other function is a keyed random function of its arguments, a maximum a
keyed random function of the multiset of its arguments. Two networks whose results agree here are
the same expression in the weights, the input and the nonlinearities, unless a collision hides a
difference (:meth:`Field.false_agreement`).

Sources: J. T. Schwartz, *Fast probabilistic algorithms for verification of polynomial identities*
(1980), corollary 1, for the test; R. M. Karp & M. O. Rabin, *Efficient randomized pattern-matching
algorithms* (1987), section 2, for the random prime; G. L. Steele, D. Lea & C. H. Flood, *Fast
splittable pseudorandom number generators* (2014), figure 14, for the mixing function.
"""

from __future__ import annotations

import functools
import hashlib
import math
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

BITS = 19
"""The primes lie between ``2**BITS`` and twice that."""

PRIMES = 38635
"""How many they are."""

SMALL = 2 ** (BITS - 1)
"""Integers below are their own residues; the same for every key."""

BLOCK = 4096
"""Products of residues that float64 adds up exactly: ``BLOCK * 2**(2 * BITS + 2) < 2**53``."""


class Field:
    """Arithmetic under one key; see :class:`fcconv.backend.Backend` for the functions.

    Parameters
    ----------
    key : int
        Chooses the prime, the random residues and the functions.

    Attributes
    ----------
    prime : int
        Residues are integers from 0 to below it.

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
        self.prime = _random_prime(key)
        self._operations = 0
        self._integers = 0

    def running_network(self) -> AbstractContextManager[None]:
        """Do as the reference does, which computes the products."""
        return fcconv_numpy.running_network()

    def asarray(self, values: npt.ArrayLike) -> Residues:
        """Give each number its residue: small integers themselves, others one keyed by their bits.

        float16 and float32 are keyed by their value as float64, so that a number keeps its residue
        when it is stored in a wider dtype.
        """
        wide = np.ascontiguousarray(values, np.float64)
        small = (np.abs(wide) < SMALL) & (wide == np.round(wide))
        whole = np.where(small, wide, 0).astype(np.int64)
        self._integers += bool((np.abs(whole) > 1).any())
        return np.where(small, whole % self.prime, self._mix(wide.view(np.uint64), "number"))

    def dense(self, x: Residues, weight: Residues, bias: Residues | None) -> Residues:
        """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
        self._operations += 1
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        y: Residues = _product(weight, rows.T, self.prime).T.reshape(*x.shape[:-1], len(weight))
        return y if bias is None else (y + bias) % self.prime

    def im2col(self, x: Residues, window: Window) -> Residues:
        """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
        return fcconv_numpy.im2col(x, window)

    def conv(
        self, x: Residues, weight: Residues, bias: Residues | None, window: Window, groups: int
    ) -> Residues:
        """Convolve, ``(N, O, *S')``."""
        self._operations += 1
        n, outputs, terms = len(x), len(weight), math.prod(weight.shape[1:])
        columns = fcconv_numpy.im2col(x.astype(np.float64), window)
        columns = columns.reshape(n, groups, terms, math.prod(window.output))
        y = _product(weight.reshape(groups, outputs // groups, terms), columns, self.prime)
        return _with_bias(y.reshape(n, outputs, *window.output), bias, self.prime)

    def conv1x1(self, x: Residues, weight: Residues, bias: Residues | None) -> Residues:
        """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
        self._operations += 1
        n, c, *size = x.shape
        y = _product(weight, x.reshape(n, c, math.prod(size)), self.prime)
        return _with_bias(y.reshape(n, len(weight), *size), bias, self.prime)

    def max_pool(self, x: Residues, window: Window) -> Residues:
        """Hash the multiset of each window; padding is not in it."""
        self._operations += 2
        return self._mix(_window_sums(self._mix(x, "max"), window, self.prime), "max of")

    def avg_pool(self, x: Residues, window: Window, count: npt.NDArray[np.int64]) -> Residues:
        """Divide the sum of each window by its count."""
        self._operations += 1
        return _window_sums(x, window, self.prime) * _inverse(count, self.prime) % self.prime

    def matmul(self, a: Residues, b: Residues) -> Residues:
        """Multiply stacks of matrices."""
        self._operations += 1
        return _product(a, b, self.prime)

    def add(self, a: Residues, b: Residues) -> Residues:
        """Add, with broadcasting."""
        return (a + b) % self.prime

    def subtract(self, a: Residues, b: Residues) -> Residues:
        """Subtract, with broadcasting."""
        return (a - b) % self.prime

    def multiply(self, a: Residues, b: Residues) -> Residues:
        """Multiply entry by entry, with broadcasting."""
        self._operations += 1
        return a * b % self.prime

    def divide(self, a: Residues, b: Residues) -> Residues:
        """Multiply by the inverse; that of 0 is 0."""
        self._operations += 1
        return a * _inverse(b, self.prime) % self.prime

    def elementwise(self, key: str, function: Callable[..., Residues], *xs: Residues) -> Residues:
        """Apply the keyed random function that stands for `key`; `function` is not called."""
        self._operations += len(xs)
        first, *others = xs
        y = self._mix(first, key)
        for other in others:
            y = self._mix(y * self.prime + other, key)
        return y

    def along(
        self, key: str, function: Callable[..., Residues], x: Residues, axis: int
    ) -> Residues:
        """Hash the entries along `axis` in their order; `function` is not called."""
        self._operations += 2
        places = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - 1 - axis))
        placed = self._mix(x + places * self.prime, key)
        return self._mix(self.reduce_sum(placed, [axis]), f"{key} of")

    def reduce_sum(self, x: Residues, axes: Sequence[int]) -> Residues:
        """Sum over axes, which stay with length 1."""
        total: Residues = x.sum(axis=tuple(axes), keepdims=True) % self.prime
        return total

    def reduce_max(self, x: Residues, axes: Sequence[int]) -> Residues:
        """Hash the multiset of the entries over axes, which stay with length 1."""
        self._operations += 2
        return self._mix(self.reduce_sum(self._mix(x, "max"), axes), "max of")

    def _mix(self, x: npt.NDArray[Any], key: str) -> Residues:
        """Apply a random function into the field: splitmix64, whose upper half is scaled to it."""
        z = x.astype(np.uint64)
        z += np.uint64(_digest(self._key, key))
        z ^= z >> np.uint64(30)
        z *= np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(27)
        z *= np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        z >>= np.uint64(32)
        z *= np.uint64(self.prime)
        z >>= np.uint64(32)
        return z.view(np.int64)

    def false_agreement(self) -> float:
        """Bound the chance that what was computed so far hides a difference of two networks.

        An operation is at most quadratic in the values below it, or a random function of them,
        which hits the value of another argument with a chance of one in the prime: by the union
        bound over the operations, three chances in the prime each (Schwartz 1980, corollary 1). A
        whole number made of integer constants, below ``2**128`` as it is in float32, has at most
        ``128 / BITS`` of the primes as divisors, one of which would have to be drawn (Karp & Rabin
        1987). The bound takes the weights for distinct and products for products of different
        values.

        Examples
        --------
        >>> field = Field(key=1)
        >>> _ = field.multiply(field.asarray([0.5]), field.asarray([2.5]))
        >>> field.false_agreement() == 3 / 2**19
        True
        """
        most_divisors = 128 // BITS
        return 3 * self._operations / (1 << BITS) + self._integers * most_divisors / PRIMES


@functools.cache
def _random_prime(key: int) -> int:
    """Choose one of the primes by a key."""
    numbers = np.arange(2**BITS + 1, 2 ** (BITS + 1), 2)
    is_prime = np.ones(len(numbers), bool)
    for divisor in range(3, math.isqrt(int(numbers[-1])) + 1, 2):
        first = -(-int(numbers[0]) // divisor)
        is_prime[((first + (first % 2 == 0)) * divisor - int(numbers[0])) // 2 :: divisor] = False
    return int(numbers[is_prime][_digest(key, "prime") % PRIMES])


def _digest(key: int, name: str) -> int:
    """Hash a name under a key, 64 bits."""
    return int.from_bytes(hashlib.blake2b(f"{key} {name}".encode(), digest_size=8).digest())


def _with_bias(y: Residues, bias: Residues | None, prime: int) -> Residues:
    if bias is None:
        return y
    y += bias.reshape(-1, *(1,) * (y.ndim - 2))
    return np.subtract(y, prime, out=y, where=y >= prime)


def _window_sums(x: Residues, window: Window, prime: int) -> Residues:
    """Add up each window, ``(N, C, *S')``, one axis after the other: nothing is unfolded."""
    sums = np.pad(x, [(0, 0), (0, 0), *window.padding])
    moves = zip(window.kernel, window.stride, window.dilation, window.output, strict=True)
    for axis, (kernel, stride, dilation, output) in enumerate(moves, 2):
        taps = (
            slice(tap * dilation, tap * dilation + (output - 1) * stride + 1, stride)
            for tap in range(kernel)
        )
        parts = (sums[(slice(None),) * axis + (tap,)] for tap in taps)
        sums = functools.reduce(np.add, parts) % prime
    return sums


def _product(a: npt.NDArray[Any], b: npt.NDArray[Any], prime: int) -> Residues:
    """Multiply stacks of matrices, in blocks of terms that float64 adds up exactly."""
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    total: Any = 0.0
    for start in range(0, a.shape[-1], BLOCK):
        terms = slice(start, start + BLOCK)
        right = b[terms] if b.ndim == 1 else b[..., terms, :]
        total = _reduced(total + a[..., terms] @ right, prime)
    return np.asarray(total).astype(np.int64)


def _reduced(x: Any, prime: int) -> npt.NDArray[np.float64]:
    """Reduce whole numbers from 0 to 2**53 modulo a prime; several times faster than ``%``."""
    quotient = np.floor(x * (1 / prime))  # off by one at most
    quotient *= prime
    rest: npt.NDArray[np.float64] = np.subtract(x, quotient)
    rest += prime * (rest < 0)
    rest -= prime * (rest >= prime)
    return rest


def _inverse(x: npt.NDArray[np.int64], prime: int) -> Residues:
    """Invert in the field by Fermat's little theorem, ``x**(prime - 2)``; that of 0 is 0."""
    result, power, exponent = np.ones_like(x), x % prime, prime - 2
    while exponent:
        if exponent & 1:
            result = result * power % prime
        power = power * power % prime
        exponent >>= 1
    return result


if TYPE_CHECKING:
    _: Backend[Residues] = Field(0)
