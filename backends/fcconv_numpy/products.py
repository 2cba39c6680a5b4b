"""Matrix products, on the threads of BLAS, or on workers where BLAS is held to one thread."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from fcconv_numpy.dtypes import Array
from fcconv_numpy.plan import MIN_PARALLEL_MULTIPLICATIONS, Range, cut
from fcconv_numpy.threads import product_threads, share

COST_PER_READ = 8
"""Multiplications that take as long as reading an entry."""


def product(weight: Array, columns: Array, bias: Array | None, dtype: np.dtype[Any]) -> Array:
    """Multiply ``weight (G, O/G, I)`` with ``columns (N, G, I, P)``, ``(N, G, O/G, P)``.

    Adds the bias ``(G, O/G, 1)`` and converts to a dtype.
    """
    if columns.shape[-1] == 1 and len(columns) > 1:
        # one position: the batch takes its place, so that the weight is read once and not once per
        # image; rows @ weight.T can be several times slower
        y = matrix_product(weight, columns.transpose(3, 1, 2, 0), bias).transpose(3, 1, 2, 0)
    else:
        y = matrix_product(weight, columns, bias)
    return y.astype(dtype, copy=False)


def matrix_product(
    a: Array, b: Array, bias: Array | None = None, out: Array | None = None
) -> Array:
    """Multiply stacks of matrices as ``np.matmul(a, b, out)``, and add a bias ``(..., rows, 1)``.

    On all threads: those of BLAS or, where it is held to one, workers.
    """
    threads = product_threads()
    if threads == 1 or min(a.ndim, b.ndim) < 2 or _work(a, b) < MIN_PARALLEL_MULTIPLICATIONS:
        return _multiply(a, b, bias, out)
    rows, columns = a.shape[-2], b.shape[-1]
    if out is None:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        out = np.empty((*stack, rows, columns), np.result_type(a, b))
    part = functools.partial(
        _multiply_rows if rows >= columns else _multiply_columns, a, b, bias, out
    )
    parts = min(threads, max(rows, columns, 1))
    share(part, cut(max(rows, columns), parts), parts)
    return out


def _work(a: Array, b: Array) -> int:
    """Estimate the work in multiplications, and `COST_PER_READ` for each entry read, from below."""
    rows, columns = a.shape[-2], b.shape[-1]
    # either operand may be broadcast over the other's stack
    multiplications: int = max(a.size * columns, b.size * rows)
    return multiplications + (a.size + b.size) * COST_PER_READ


def _multiply_rows(
    a: Array, b: Array, bias: Array | None, out: Array, parts: Iterator[Range]
) -> None:
    for start, stop in parts:
        rows = ..., slice(start, stop), slice(None)
        _multiply(a[rows], b, None if bias is None else bias[rows], out[rows])


def _multiply_columns(
    a: Array, b: Array, bias: Array | None, out: Array, parts: Iterator[Range]
) -> None:
    for start, stop in parts:
        columns = ..., slice(start, stop)
        _multiply(a, b[columns], bias, out[columns])


def _multiply(a: Array, b: Array, bias: Array | None, out: Array | None) -> Array:
    y: Array = np.matmul(a, b, out=out)
    if bias is not None:
        y += bias
    return y
