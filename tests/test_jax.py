"""What only JAX offers: transformations, and the precision of products."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import fcconv
from comparing import assert_identical
from strategies import ConvCase, conv_cases, integers, seeds


@settings(max_examples=15)
@given(case=conv_cases(), seed=seeds)
def test_vmap_is_a_loop(case: ConvCase, seed: int) -> None:
    x = jnp.asarray(integers(seed, (2, *case.x), "float32"))
    weight = jnp.asarray(integers(seed + 1, (2, *case.weight), "float32"))
    convolve = jax.jit(partial(fcconv.conv, **case.arguments))
    expected = [np.asarray(convolve(*pair)) for pair in zip(x, weight, strict=True)]
    assert_identical(jax.jit(jax.vmap(convolve))(x, weight), np.stack(expected), case)


def precisions(function: Any, *arrays: Any) -> set[str]:
    """Name the precisions of the products that a function traces to."""
    equations = jax.make_jaxpr(function)(*arrays).eqns
    products = [e for e in equations if e.primitive.name in ("dot_general", "conv_general_dilated")]
    assert products
    return {str(e.params["precision"][0]) if e.params["precision"] else "none" for e in products}


@pytest.mark.parametrize(
    ("function", "weight"),
    [(fcconv.dense, (3, 4)), (fcconv.conv, (3, 2, 2)), (fcconv.conv1x1, (3, 2))],
)
def test_float32_stays_whole_unless_asked(function: Any, weight: tuple[int, ...]) -> None:
    x, w = jnp.ones((1, 2, 4), jnp.float32), jnp.ones(weight, jnp.float32)
    assert precisions(function, x, w) == {"HIGHEST"}
    with jax.default_matmul_precision("tensorfloat32"):
        assert precisions(function, x, w) == {"HIGH"}


def test_results_stay_on_their_device() -> None:
    code = """
import jax, jax.numpy as jnp, fcconv
first, second = jax.devices()
x = jax.device_put(jnp.ones((1, 2, 4)), second)
w = jax.device_put(jnp.ones((3, 2, 2)), second)
b = w[:, 0, 0]
i = x.astype(int)
kernel = fcconv.dense_to_conv(w[:, :, 0], (1, 2))
results = [
    fcconv.dense(x[..., :2], w[:, :, 0], b), fcconv.conv(x, w, b), fcconv.conv1x1(x, w[:, :, 0], b),
    fcconv.conv(i, i[..., :2]), fcconv.im2col(x, 2), fcconv.max_pool(x, 2), fcconv.avg_pool(x, 2),
    fcconv.max_pool(x, 2, dilation=2), kernel, fcconv.dense_to_conv1x1(w[:, :, 0]),
    fcconv.conv_to_dense(w, (2, 4)),
]
print({result.device == second for result in results}, second != first)
"""
    # the CPU plays two devices
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**os.environ, **devices}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "{True} True\n"


def test_integers_avoid_the_convolution_that_gpus_lack() -> None:
    x, weight = jnp.ones((1, 2, 4), jnp.int32), jnp.ones((3, 2, 2), jnp.int32)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(fcconv.conv)(x, weight))


def test_floats_go_through_lax() -> None:
    x, weight = jnp.ones((1, 2, 4), jnp.bfloat16), jnp.ones((3, 2, 2), jnp.bfloat16)
    program = str(jax.make_jaxpr(fcconv.conv)(x, weight))
    assert "conv_general_dilated" in program
    assert "preferred_element_type=None" in program  # operands are widened: gradients need that
