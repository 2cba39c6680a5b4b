"""A dense layer in every form, and that the forms agree, for the tests of every way to compute."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical, assert_same_kind, assert_within_bound, compute
from fcconv.backend import ArrayBackend
from strategies import (
    EXACT,
    FLOATS,
    LAYOUTS,
    DenseCase,
    dense_cases,
    integers,
    normal,
    seeds,
)


def flatten(x: Any, order: str) -> Any:
    """Flatten blocks ``(N, C, *S)`` with their axes in `order`."""
    layout = LAYOUTS[x.ndim - 2]
    axes = [1 + layout.index(axis) for axis in order]
    moved = fcconv.backend(x).namespace.transpose(x, (0, *axes))
    return moved.reshape(x.shape[0], math.prod(x.shape[1:]))


def forms(case: DenseCase, x: Any, weight: Any, bias: Any) -> dict[str, Any]:
    """Compute the layer in every form; all give ``(N, O)``."""
    rank, n = len(case.block) - 1, x.shape[0]
    features = flatten(x, case.order)
    channels = features.reshape(*features.shape, *(1,) * rank)
    kernel = fcconv.dense_to_conv(weight, case.block, case.order)
    pixel = fcconv.dense_to_conv1x1(weight, rank)
    matrix = fcconv.conv_to_dense(kernel, case.block)
    return {
        "dense": fcconv.dense(features, weight, bias),
        "kernel = input": fcconv.conv(x, kernel, bias).reshape(n, case.outputs),
        "1x1": fcconv.conv1x1(channels, pixel, bias).reshape(n, case.outputs),
        "1x1 as convolution": fcconv.conv(channels, pixel, bias).reshape(n, case.outputs),
        "matrix": fcconv.dense(flatten(x, LAYOUTS[rank]), matrix, bias),
    }


@given(dtype=st.sampled_from(EXACT), case=dense_cases(), seed=seeds)
def equal_on_integers(xp: ArrayBackend[Any], dtype: str, case: DenseCase, seed: int) -> None:
    x = integers(seed, (case.batch, *case.block), dtype)
    weight = integers(seed + 1, (case.outputs, math.prod(case.block)), dtype)
    bias = integers(seed + 2, (case.outputs,), dtype) if case.bias else None
    expected = flatten(x, case.order).astype(int) @ weight.astype(int).T
    expected += 0 if bias is None else bias.astype(int)
    for name, result in compute(xp, partial(forms, case), x, weight, bias).items():
        assert_same_kind(result, xp, dtype)
        assert_identical(result, expected, (name, case))


@given(
    dtype=st.sampled_from(FLOATS),
    case=dense_cases(),
    seed=seeds,
    scale=st.sampled_from([1.0, 1e-3, 30.0]),
)
def agree_on_floats(
    xp: ArrayBackend[Any], dtype: str, case: DenseCase, seed: int, scale: float
) -> None:
    x = normal(seed, (case.batch, *case.block), dtype, scale)
    weight = normal(seed + 1, (case.outputs, math.prod(case.block)), dtype)
    bias = normal(seed + 2, (case.outputs,), dtype) if case.bias else None
    exact, magnitude = (
        f(flatten(x, case.order).astype(float)) @ f(weight.astype(float)).T
        + (0 if bias is None else f(bias.astype(float)))
        for f in (np.positive, np.abs)
    )
    for name, result in compute(xp, partial(forms, case), x, weight, bias).items():
        assert_same_kind(result, xp, dtype)
        assert_within_bound(result, exact, magnitude, weight.shape[1] + 1, (name, case))
