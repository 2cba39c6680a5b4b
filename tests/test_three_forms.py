"""A dense layer equals a convolution over its whole input, a 1x1 convolution, and a matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import fcconv
import three_forms
from comparing import assert_identical, assert_same_kind, compute, to_numpy
from fcconv.backend import ArrayBackend
from strategies import (
    EXACT,
    ConvCase,
    DenseCase,
    conv_cases,
    dense_cases,
    integers,
    normal,
    seeds,
)


def test_forms_are_equal_on_integers(xp: ArrayBackend[Any]) -> None:
    three_forms.equal_on_integers(xp)


def test_forms_agree_on_floats(xp: ArrayBackend[Any]) -> None:
    three_forms.agree_on_floats(xp)


@given(dtype=st.sampled_from(EXACT), case=conv_cases(), seed=seeds)
def test_every_convolution_is_a_matrix(
    xp: ArrayBackend[Any], dtype: str, case: ConvCase, seed: int
) -> None:
    def both(x: Any, weight: Any) -> tuple[Any, Any, Any]:
        matrix = fcconv.conv_to_dense(weight, case.x[1:], **case.arguments)
        product = fcconv.dense(x.reshape(len(x), math.prod(case.x[1:])), matrix)
        convolved = fcconv.conv(x, weight, **case.arguments)
        return matrix, product.reshape(convolved.shape), convolved

    x, weight = integers(seed, case.x, dtype), integers(seed + 1, case.weight, dtype)
    matrix, product, convolved = compute(xp, both, x, weight)
    assert_same_kind(matrix, xp, dtype)
    assert_identical(product, to_numpy(convolved), case)


@given(case=dense_cases(), seed=seeds)
def test_weights_are_moved_not_recomputed(
    xp: ArrayBackend[Any], case: DenseCase, seed: int
) -> None:
    weight = normal(seed, (case.outputs, math.prod(case.block)), "float32")
    weight[0, 0] = np.nan

    def kernels(weight: Any) -> list[Any]:
        return [
            fcconv.dense_to_conv(weight, case.block, case.order),
            fcconv.dense_to_conv1x1(weight, len(case.block) - 1),
            fcconv.conv_to_dense(fcconv.dense_to_conv(weight, case.block), case.block),
        ]

    for kernel in compute(xp, kernels, weight):
        bits = np.sort(to_numpy(kernel).reshape(case.outputs, -1).view(np.uint32))
        assert np.array_equal(bits, np.sort(weight.view(np.uint32))), case
