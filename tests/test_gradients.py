"""Gradients of the three forms under JAX, exact on integers, against products written down."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv import rounding
from strategies import DenseCase, PoolCase, dense_cases, integers, pool_cases, seeds
from three_forms import flatten, forms


@settings(max_examples=20)
@given(dtype=st.sampled_from(["float64", "float32", "bfloat16"]), case=dense_cases(), seed=seeds)
def test_forms_have_equal_gradients(dtype: str, case: DenseCase, seed: int) -> None:
    block = (case.batch, *case.block)
    x = integers(seed, block, dtype, -1)
    weight = integers(seed + 1, (case.outputs, math.prod(case.block)), dtype, -1)
    bias = integers(seed + 2, (case.outputs,), dtype)
    upstream = integers(seed + 3, (case.batch, case.outputs), "float64", -1)

    def losses(x: Any, weight: Any, bias: Any) -> dict[str, Any]:
        results = forms(case, x, weight, bias)
        return {name: (y.astype("float64") * upstream).sum() for name, y in results.items()}

    jacobians = jax.jit(jax.jacrev(losses, argnums=(0, 1, 2)))(x, weight, bias)
    features = flatten(x, case.order).astype(float)
    of_features = (upstream @ weight.astype(float)).astype(dtype)
    of_weight = (upstream.T @ features).astype(dtype)
    of_bias = upstream.sum(0).astype(dtype)
    for name, (by_x, by_weight, by_bias) in jacobians.items():
        assert_identical(flatten(by_x, case.order), of_features, (name, "x", case))
        assert_identical(by_weight, of_weight, (name, "weight", case))
        assert_identical(by_bias, of_bias, (name, "bias", case))


@given(case=pool_cases(), seed=seeds)
def test_max_pool_has_gradients(case: PoolCase, seed: int) -> None:
    # distinct integers: each maximum is one pixel, and the gradient counts how often it wins
    x = np.random.default_rng(seed).permutation(math.prod(case.x)).reshape(case.x).astype(float)

    def maxima(x: Any) -> Any:
        return fcconv.max_pool(x, case.kernel, **case.arguments)

    wins = jax.jit(jax.grad(lambda x: maxima(x).sum()))(x)
    expected = np.zeros(x.size)
    np.add.at(expected, np.searchsorted(np.sort(x.ravel()), np.asarray(maxima(x)).ravel()), 1)
    assert_identical(np.asarray(wins).ravel()[np.argsort(x.ravel())], expected, case)


@given(case=pool_cases(), seed=seeds)
def test_avg_pool_has_gradients(case: PoolCase, seed: int) -> None:
    x = integers(seed, case.x, "float64")

    def total(x: Any) -> Any:
        return fcconv.avg_pool(x, case.kernel, **case.arguments).sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(x)
    # a mean is linear: gradient times x gives back the value, up to rounding
    products = np.asarray(gradient) * x
    terms = 30 * x.size + 2  # each pixel is in at most 27 windows
    bound = 2 * rounding.dot_bound(np.abs(products).sum(), terms, "float64")
    assert abs(products.sum() - float(value)) <= bound
