"""Gradients of the three forms under JAX, exact on integers, against products written down."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from strategies import DenseCase, PoolCase, dense_cases, integers, pool_cases, seeds
from test_three_forms import flatten, forms


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
    expected = (
        flatten(np.zeros(block), case.order),
        (upstream.T @ features).astype(dtype),
        upstream.sum(0).astype(dtype),
    )
    by_feature = (upstream @ weight.astype(float)).astype(dtype)
    for name, (by_x, by_weight, by_bias) in jacobians.items():
        assert_identical(flatten(by_x, case.order), by_feature, (name, "x", case))
        assert_identical(by_weight, expected[1], (name, "weight", case))
        assert_identical(by_bias, expected[2], (name, "bias", case))


@given(case=pool_cases(), seed=seeds, pool=st.sampled_from([fcconv.max_pool, fcconv.avg_pool]))
def test_pools_have_gradients(case: PoolCase, seed: int, pool: Callable[..., Any]) -> None:
    # distinct values, so that each maximum is one pixel
    x = np.random.default_rng(seed).permutation(math.prod(case.x)).reshape(case.x).astype(float)

    def total(x: Any) -> Any:
        return pool(x, case.kernel, **case.arguments).sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(x)
    # both pools are linear where no maximum changes hands: the gradient gives back the value
    assert math.isclose(float((gradient * x).sum()), float(value), abs_tol=1e-9)
