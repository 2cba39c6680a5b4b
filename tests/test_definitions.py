"""Each operation against its definition, over the whole space of its parameters."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import brute
import definitions
import fcconv
from comparing import assert_identical, assert_same_kind, assert_within_bound, compute
from fcconv.backend import ArrayBackend
from strategies import (
    ConvCase,
    PoolCase,
    conv_cases,
    integers,
    pool_cases,
    seeds,
)


def test_conv(xp: ArrayBackend[Any]) -> None:
    definitions.conv(xp)


def test_integers_are_exact_modulo_their_size(xp: ArrayBackend[Any]) -> None:
    definitions.integers_are_exact_modulo_their_size(xp)


def test_conv_on_floats(xp: ArrayBackend[Any]) -> None:
    definitions.conv_on_floats(xp)


def test_max_pool(xp: ArrayBackend[Any]) -> None:
    definitions.max_pool(xp)


@pytest.mark.parametrize("kernel", [7, 8, 9, 16, 23])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 3), (2, 1), (3, 2)])
def test_max_pool_of_long_windows(
    xp: ArrayBackend[Any], kernel: int, stride: int, dilation: int
) -> None:
    x = integers(kernel, (1, 2, 80), "int64") * 100 + integers(stride, (1, 2, 80), "int64")
    pool = partial(fcconv.max_pool, kernel=kernel, stride=stride, padding=3, dilation=dilation)
    along = [brute.Axis(80, kernel, stride, dilation, 3, 3)]
    assert_identical(compute(xp, pool, x), brute.max_pool(x, along), kernel)


def test_avg_pool_on_floats(xp: ArrayBackend[Any]) -> None:
    definitions.avg_pool_on_floats(xp)


@given(dtype=st.sampled_from(["int64", "float32", "bfloat16"]), case=conv_cases(), seed=seeds)
def test_im2col(xp: ArrayBackend[Any], dtype: str, case: ConvCase, seed: int) -> None:
    x = integers(seed, case.x, dtype)
    if dtype != "int64" and x.size:
        x.flat[0] = np.nan  # gathering must not spread it, as multiplying by zeros would
    arguments = {key: value for key, value in case.arguments.items() if key != "groups"}
    result = compute(xp, partial(fcconv.im2col, kernel=case.weight[2:], **arguments), x)
    assert_same_kind(result, xp, dtype)
    assert_identical(result, brute.im2col(x, definitions.conv_axes(case)), case)


@pytest.mark.parametrize("count_include_pad", [False, True])
@given(dtype=st.sampled_from(["float64", "float32"]), case=pool_cases(), seed=seeds)
def test_avg_pool(
    xp: ArrayBackend[Any], dtype: str, count_include_pad: bool, case: PoolCase, seed: int
) -> None:
    x = integers(seed, case.x, dtype)
    arguments = {**case.arguments, "count_include_pad": count_include_pad}
    result = compute(xp, partial(fcconv.avg_pool, kernel=case.kernel, **arguments), x)
    assert_same_kind(result, xp, dtype)
    exact = brute.avg_pool(x.astype(float), definitions.pool_axes(case), count_include_pad)
    # sums are exact; XLA may multiply by the reciprocal, which makes two roundings of a quotient
    assert_within_bound(result, exact, np.abs(exact), 2, case)
