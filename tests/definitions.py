"""Operations against their definitions, for the tests of every way in which they compute."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import brute
import fcconv
from brute import axes
from comparing import assert_identical, assert_same_kind, assert_within_bound, compute
from fcconv.backend import ArrayBackend
from strategies import (
    EXACT,
    FLOATS,
    ConvCase,
    PoolCase,
    any_integers,
    conv_cases,
    integers,
    normal,
    pool_cases,
    seeds,
)


def conv_axes(case: ConvCase) -> list[brute.Axis]:
    return axes(case.x[2:], case.weight[2:], case.stride, case.padding, case.dilation)


def pool_axes(case: PoolCase) -> list[brute.Axis]:
    stride = case.kernel if case.stride is None else case.stride
    return axes(case.x[2:], case.kernel, stride, case.padding, case.dilation, case.ceil_mode)


@given(dtype=st.sampled_from(EXACT), case=conv_cases(), seed=seeds)
def conv(xp: ArrayBackend[Any], dtype: str, case: ConvCase, seed: int) -> None:
    x, weight, bias = (
        integers(seed + i, shape, dtype)
        for i, shape in enumerate((case.x, case.weight, case.weight[:1]))
    )
    optional = bias if case.bias else None
    expected = brute.conv(x, weight, optional, conv_axes(case), case.groups)
    result = compute(xp, partial(fcconv.conv, **case.arguments), x, weight, optional)
    assert_same_kind(result, xp, dtype)
    assert_identical(result, expected, case)


@given(
    dtype=st.sampled_from(["int64", "uint64", "int32", "int8", "uint16"]),
    case=conv_cases(),
    seed=seeds,
)
def integers_are_exact_modulo_their_size(
    xp: ArrayBackend[Any], dtype: str, case: ConvCase, seed: int
) -> None:
    x, weight = any_integers(seed, case.x, dtype), any_integers(seed + 1, case.weight, dtype)
    exact = brute.conv(x, weight, None, conv_axes(case), case.groups)
    limits = np.iinfo(dtype)
    wrapped = (exact - limits.min) % 2**limits.bits + limits.min
    result = compute(xp, partial(fcconv.conv, **case.arguments), x, weight)
    assert_same_kind(result, xp, dtype)
    assert_identical(result, wrapped, case)


@given(
    dtype=st.sampled_from(FLOATS),
    case=conv_cases(),
    seed=seeds,
    scale=st.sampled_from([1.0, 1e-3, 30.0]),
)
def conv_on_floats(
    xp: ArrayBackend[Any], dtype: str, case: ConvCase, seed: int, scale: float
) -> None:
    x, weight = normal(seed, case.x, dtype, scale), normal(seed + 1, case.weight, dtype)
    exact, magnitude = (
        brute.conv(
            f(x.astype(float)), f(weight.astype(float)), None, conv_axes(case), case.groups
        ).astype(float)
        for f in (np.positive, np.abs)
    )
    result = compute(xp, partial(fcconv.conv, **case.arguments), x, weight)
    assert_within_bound(result, exact, magnitude, int(np.prod(case.weight[1:])), case)


@given(
    dtype=st.sampled_from(["int64", "uint8", "float32", "float16", "bfloat16"]),
    case=pool_cases(),
    seed=seeds,
    nan=st.booleans(),
)
def max_pool(xp: ArrayBackend[Any], dtype: str, case: PoolCase, seed: int, nan: bool) -> None:
    # all values negative, where they can be: padding with zeros would win
    x = integers(seed, case.x, dtype, 0) if dtype == "uint8" else integers(seed, case.x, dtype) - 6
    x = x.astype(integers(0, (1,), dtype).dtype)
    if nan and dtype not in ("int64", "uint8") and x.size:
        x.flat[0] = np.nan
    result = compute(xp, partial(fcconv.max_pool, kernel=case.kernel, **case.arguments), x)
    assert_same_kind(result, xp, dtype)
    assert_identical(result, brute.max_pool(x, pool_axes(case)), case)


@given(dtype=st.sampled_from(FLOATS), case=pool_cases(), seed=seeds)
def avg_pool_on_floats(xp: ArrayBackend[Any], dtype: str, case: PoolCase, seed: int) -> None:
    x = normal(seed, case.x, dtype)
    exact, magnitude = (
        brute.avg_pool(f(x.astype(float)), pool_axes(case), count_include_pad=False)
        for f in (np.positive, np.abs)
    )
    result = compute(xp, partial(fcconv.avg_pool, kernel=case.kernel, **case.arguments), x)
    # a mean is a dot product with 1/n; its quotient may cost two roundings
    terms = int(np.prod([axis.kernel for axis in pool_axes(case)])) + 2
    assert_within_bound(result, exact, magnitude, terms, case)
