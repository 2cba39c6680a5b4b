"""The prover's backend: a network in a finite field, so that equality needs no tolerance.

Values are residues modulo a prime that the key chooses, so that integers which agree modulo one
prime differ modulo the next. An integer is itself; so is a float that is a small integer; any other
float becomes a random residue keyed by its bits: equal numbers, equal residues. Every array carries
the type that the reference would compute it in (:mod:`fcconv_modular.residues`).

Sums and products of numbers are those of the field, and so are quotients of floats. Every other
function (a quotient of integers, a shift, a cast, a comparison, a rounding, an activation) is a
keyed random function, keyed by its name and attributes, and by the exact types of its arguments and
result; a maximum is one of the multiset of its arguments. Two networks whose results agree here are
the same expression in the weights, the input and these functions, unless a collision hides a
difference (:meth:`Field.false_agreement`).

Why this is sound for each type: integers modulo ``2**n`` are a ring that the integers map onto, so
what agrees as a polynomial with integer coefficients agrees in them, wrapped around or not; they
have no quotients, so none is taken. Floats are taken for real numbers, a field; what rounding adds
is measured beside. No type takes the place of another one: only a cast leads from one to another,
and casts are random functions.

Sources: J. T. Schwartz, *Fast probabilistic algorithms for verification of polynomial identities*
(1980), corollary 1, for the test; R. M. Karp & M. O. Rabin, *Efficient randomized pattern-matching
algorithms* (1987), section 2, for the random prime; G. L. Steele, D. Lea & C. H. Flood, *Fast
splittable pseudorandom number generators* (2014), figure 14, for the mixing function.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

import fcconv_numpy
from fcconv.errors import UnsupportedError
from fcconv_modular.moves import PartwiseMoves, is_float, type_of
from fcconv_modular.residues import Residues

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.geometry import Window

Numbers: TypeAlias = npt.NDArray[np.int64]

PRIME_BITS = 19
"""The primes lie between ``2**PRIME_BITS`` and twice that."""

PRIME_COUNT = 38635
"""How many they are."""

SMALL_INTEGER = 2 ** (PRIME_BITS - 1)
"""Integers below are their own residues; the same for every key."""

EXACT_PRODUCTS = 4096
"""Products of residues that float64 adds up exactly: each is below ``2**(2 * PRIME_BITS + 2)``, and
the sum of so many below ``2**53``."""


NUMBERS_PER_PART = 2**15
"""Numbers that are given residues at a time: they stay in the cache."""


@dataclass(eq=False)
class Field:
    """Arithmetic under one key; see :class:`fcconv.backend.Backend` for the functions.

    Attributes
    ----------
    key : int
        Chooses the random residues and the functions.
    prime : int
        Residues are integers from 0 to below it.

    Examples
    --------
    >>> field = field_of(key=1)
    >>> x = field.asarray([0.5, 2.0])
    >>> field.add(x, x).equals(field.multiply(x, field.asarray([2.0])))
    True
    """

    namespace = PartwiseMoves()

    key: int
    prime: int
    _operations: int = 0
    _integers: int = 0
    # weights that both networks have
    _known: dict[str, npt.NDArray[np.int32]] = dataclasses.field(default_factory=dict)

    def running_network(self) -> AbstractContextManager[None]:
        """Leave the threads to BLAS: nothing else computes at the same time."""
        return nullcontext()

    def asarray(self, values: npt.ArrayLike) -> Residues:
        """Give each number its residue: integers themselves, floats that are none by their bits.

        float16 and float32 are keyed by their value as float64, so that a number keeps its residue
        when it is stored in a wider dtype. Minus zero is another number than zero: their
        reciprocals differ.
        """
        array = np.asarray(values)
        flat = np.ascontiguousarray(array).reshape(-1)
        if flat.size < NUMBERS_PER_PART:
            return Residues(self._of_part(flat).reshape(array.shape), array.dtype)
        content = f"{array.dtype} {hashlib.sha256(flat.view(np.uint8).data).hexdigest()}"
        if content not in self._known:
            numbers = np.empty(flat.size, np.int32)
            for start in range(0, flat.size, NUMBERS_PER_PART):
                part = slice(start, start + NUMBERS_PER_PART)
                numbers[part] = self._of_part(flat[part])
            self._known[content] = numbers
        return Residues(self._known[content].reshape(array.shape), array.dtype)

    def _of_part(self, values: npt.NDArray[Any]) -> Numbers:
        if values.dtype.kind in "iub":
            self._integers += bool((values > 1).any() or (values < 0).any())
            kept = values.astype(np.uint64 if values.dtype.kind == "u" else np.int64)
            return (kept % self.prime).astype(np.int64)
        wide = values.astype(np.float64)
        small = (np.abs(wide) < SMALL_INTEGER) & (wide == np.round(wide))
        small &= ~(np.signbit(wide) & (wide == 0))
        if not small.any():
            return self._mix(wide.view(np.uint64), "number")
        whole = np.where(small, wide, 0).astype(np.int64)
        self._integers += bool((np.abs(whole) > 1).any())
        return np.where(small, whole % self.prime, self._mix(wide.view(np.uint64), "number"))

    def dense(self, x: Residues, weight: Residues, bias: Residues | None) -> Residues:
        """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
        self._operations += 1
        rows = x.numbers.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        y: Numbers = _product(weight.numbers, rows.T, self.prime).T
        y = y.reshape(*x.shape[:-1], weight.shape[0])
        y = y if bias is None else (y + bias.numbers) % self.prime
        return Residues(y, _common(x, weight))

    def im2col(self, x: Residues, window: Window) -> Residues:
        """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
        return Residues(fcconv_numpy.im2col(x.numbers, window), x.dtype)

    def conv(
        self, x: Residues, weight: Residues, bias: Residues | None, window: Window, groups: int
    ) -> Residues:
        """Convolve, ``(N, O, *S')``."""
        self._operations += 1
        n, outputs, terms = x.shape[0], weight.shape[0], math.prod(weight.shape[1:])
        kernel = weight.numbers.reshape(groups, outputs // groups, terms)
        y = np.empty((n, outputs, *window.output), np.int64)
        for image in range(n):  # unfolded one at a time
            columns = fcconv_numpy.im2col(x.numbers[image : image + 1].astype(np.float64), window)
            columns = columns.reshape(groups, terms, math.prod(window.output))
            y[image] = _product(kernel, columns, self.prime).reshape(y.shape[1:])
        return Residues(_with_bias(y, bias, self.prime), _common(x, weight))

    def conv1x1(self, x: Residues, weight: Residues, bias: Residues | None) -> Residues:
        """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
        self._operations += 1
        n, c, *size = x.shape
        y = _product(weight.numbers, x.numbers.reshape(n, c, math.prod(size)), self.prime)
        y = y.reshape(n, weight.shape[0], *size)
        return Residues(_with_bias(y, bias, self.prime), _common(x, weight))

    def max_pool(self, x: Residues, window: Window) -> Residues:
        """Hash the multiset of each window; padding is not in it."""
        return self._maximum(x, lambda mixed: _window_sums(mixed, window, self.prime))

    def avg_pool(self, x: Residues, window: Window, count: npt.NDArray[np.int64]) -> Residues:
        """Divide the sum of each window by its count."""
        sums = Residues(_window_sums(x.numbers, window, self.prime), x.dtype)
        return self.divide(sums, Residues(count % self.prime, x.dtype))

    def matmul(self, a: Residues, b: Residues) -> Residues:
        """Multiply stacks of matrices."""
        self._operations += 1
        return Residues(_product(a.numbers, b.numbers, self.prime), _common(a, b))

    def add(self, a: Residues, b: Residues) -> Residues:
        """Add, with broadcasting."""
        return Residues((a.numbers + b.numbers) % self.prime, _common(a, b))

    def subtract(self, a: Residues, b: Residues) -> Residues:
        """Subtract, with broadcasting."""
        return Residues((a.numbers - b.numbers) % self.prime, _common(a, b))

    def multiply(self, a: Residues, b: Residues) -> Residues:
        """Multiply entry by entry, with broadcasting."""
        self._operations += 1
        product = np.multiply(a.numbers, b.numbers, dtype=np.int64)
        return Residues(product % self.prime, _common(a, b))

    def divide(self, a: Residues, b: Residues) -> Residues:
        """Multiply floats by the inverse, that of 0 is 0; of integers it is a random function."""
        dtype = _common(a, b)
        if not is_float(dtype):
            return self._random("quotient", dtype, a, b)
        self._operations += 1
        return Residues(a.numbers * _inverse(b.numbers, self.prime) % self.prime, dtype)

    def elementwise(self, key: str, function: Callable[..., Any], *xs: Residues) -> Residues:
        """Apply the keyed random function that stands for `key` and for the types.

        `function` is only called on a one of each type, to learn the type of its result.
        """
        return self._random(key, type_of(function, *xs), *xs)

    def along(self, key: str, function: Callable[..., Any], x: Residues, axis: int) -> Residues:
        """Hash the entries along `axis` in their order; `function` tells the type as above."""
        self._operations += 2
        dtype = type_of(function, x)
        places = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - 1 - axis))
        placed = self._mix(x.numbers + places * self.prime, f"{key} {x.dtype} {dtype}")
        total = placed.sum(axis=axis, keepdims=True) % self.prime
        return Residues(self._mix(total, f"{key} {x.dtype} {dtype} of"), dtype)

    def reduce_sum(self, x: Residues, axes: Sequence[int]) -> Residues:
        """Sum over axes, which stay with length 1."""
        total: Numbers = x.numbers.sum(axis=tuple(axes), keepdims=True) % self.prime
        return Residues(total, _common(x, x))

    def reduce_max(self, x: Residues, axes: Sequence[int]) -> Residues:
        """Hash the multiset of the entries over axes, which stay with length 1."""
        return self._maximum(x, lambda mixed: mixed.sum(axis=tuple(axes), keepdims=True))

    def _maximum(self, x: Residues, add_up: Callable[[Numbers], Numbers]) -> Residues:
        self._operations += 2
        sums = add_up(self._mix(x.numbers, f"max {x.dtype}")) % self.prime
        return Residues(self._mix(sums, f"max {x.dtype} of"), x.dtype)

    def _random(self, key: str, dtype: np.dtype[Any], *xs: Residues) -> Residues:
        """Apply a random function for a key, the types of the arguments and that of the result."""
        self._operations += len(xs)
        key = " ".join([key, *(str(x.dtype) for x in xs), str(dtype)])
        first, *others = (x.numbers for x in xs)
        y = self._mix(first, key)
        for other in others:
            y = self._mix(y * self.prime + other, key)
        return Residues(y, dtype)

    def _mix(self, x: npt.NDArray[Any], key: str) -> Numbers:
        """Apply a random function into the field: splitmix64, whose upper half is scaled to it."""
        z = x.astype(np.uint64)
        z += np.uint64(_digest(self.key, key))
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
        ``128 / PRIME_BITS`` of the primes as divisors, one of which would have to be drawn (Karp &
        Rabin 1987). The bound takes the weights for distinct and products for products of different
        values.

        Examples
        --------
        >>> field = field_of(key=1)
        >>> _ = field.multiply(field.asarray([0.5]), field.asarray([2.5]))
        >>> field.false_agreement() == 3 / 2**19
        True
        """
        most_divisors = 128 // PRIME_BITS
        return (
            3 * self._operations / (1 << PRIME_BITS) + self._integers * most_divisors / PRIME_COUNT
        )


def field_of(key: int) -> Field:
    """Choose a field: its prime is as random as its key."""
    return Field(key, _random_prime(key))


@functools.cache
def _random_prime(key: int) -> int:
    """Choose one of the primes by a key."""
    numbers = np.arange(2**PRIME_BITS + 1, 2 ** (PRIME_BITS + 1), 2)
    is_prime = np.ones(len(numbers), bool)
    for divisor in range(3, math.isqrt(int(numbers[-1])) + 1, 2):
        first = -(-int(numbers[0]) // divisor)
        is_prime[((first + (first % 2 == 0)) * divisor - int(numbers[0])) // 2 :: divisor] = False
    return int(numbers[is_prime][_digest(key, "prime") % PRIME_COUNT])


def _digest(key: int, name: str) -> int:
    """Hash a name under a key, 64 bits."""
    return int.from_bytes(hashlib.blake2b(f"{key} {name}".encode(), digest_size=8).digest())


def _common(a: Residues, b: Residues) -> np.dtype[Any]:
    """Give the type of a sum or product; arithmetic has none of booleans."""
    dtype = a.dtype if a.dtype == b.dtype else np.promote_types(a.dtype, b.dtype)
    if dtype.kind not in "iu" and not is_float(dtype):
        raise UnsupportedError(f"numbers of type {dtype} are not added or multiplied")
    return dtype


def _with_bias(y: Numbers, bias: Residues | None, prime: int) -> Numbers:
    if bias is None:
        return y
    y += bias.numbers.reshape(-1, *(1,) * (y.ndim - 2))
    return np.subtract(y, prime, out=y, where=y >= prime)


def _window_sums(x: Numbers, window: Window, prime: int) -> Numbers:
    """Add up each window, ``(N, C, *S')``, one axis after the other: nothing is unfolded.

    A sum is the difference of two running ones, so that a window as long as the image costs no more
    than a short one.
    """
    sums = np.pad(x.astype(np.int64, copy=False), [(0, 0), (0, 0), *window.padding])
    moves = zip(window.kernel, window.stride, window.dilation, window.output, strict=True)
    for axis, (kernel, stride, dilation, output) in enumerate(moves, 2):
        before, length, after = sums.shape[:axis], sums.shape[axis], sums.shape[axis + 1 :]
        # a row of the taps that lie `dilation` apart, behind a first 0
        ends = (dilation, -length % dilation)
        padded = np.pad(sums, [ends if k == axis else (0, 0) for k in range(sums.ndim)])
        running = padded.reshape(*before, -1, dilation, *after).cumsum(axis)
        every = (slice(None),) * axis
        totals = running[(*every, slice(kernel, None))] - running[(*every, slice(-kernel))]
        starts = slice(0, (output - 1) * stride + 1, stride)
        sums = totals.reshape(*before, -1, *after)[(*every, starts)] % prime
    return sums


def _product(a: npt.NDArray[Any], b: npt.NDArray[Any], prime: int) -> Numbers:
    """Multiply stacks of matrices, in blocks of terms that float64 adds up exactly.

    What is left of a matrix stays as small as it is stored: of a large one, some rows at a time are
    float64.
    """
    rows = max(NUMBERS_PER_PART * EXACT_PRODUCTS // 32 // max(a.shape[-1], 1), 1)
    if a.ndim > 1 and a.shape[-2] > rows and b.ndim > 1:
        parts = [a[..., start : start + rows, :] for start in range(0, a.shape[-2], rows)]
        return np.concatenate([_product(part, b, prime) for part in parts], axis=-2)
    total: Any = 0.0
    for start in range(0, a.shape[-1], EXACT_PRODUCTS):
        terms = slice(start, start + EXACT_PRODUCTS)
        left = a[..., terms].astype(np.float64, copy=False)
        right = (b[terms] if b.ndim == 1 else b[..., terms, :]).astype(np.float64, copy=False)
        total = _reduced(total + left @ right, prime)
    return np.asarray(total).astype(np.int64)


def _reduced(x: Any, prime: int) -> npt.NDArray[np.float64]:
    """Reduce whole numbers from 0 to 2**53 modulo a prime; several times faster than ``%``."""
    quotient = np.floor(x * (1 / prime))  # off by one at most
    quotient *= prime
    rest: npt.NDArray[np.float64] = np.subtract(x, quotient)
    rest += prime * (rest < 0)
    rest -= prime * (rest >= prime)
    return rest


def _inverse(x: npt.NDArray[np.int64], prime: int) -> Numbers:
    """Invert in the field by Fermat's little theorem, ``x**(prime - 2)``; that of 0 is 0."""
    power, exponent = x.astype(np.int64) % prime, prime - 2
    result = np.ones_like(power)
    while exponent:
        if exponent & 1:
            result = result * power % prime
        power = power * power % prime
        exponent >>= 1
    return result


if TYPE_CHECKING:
    _: Backend[Residues] = field_of(0)
