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
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv import geometry
from fcconv_jax.convolution import FORMS
from fcconv_jax.forms import MANY_TERMS, MOST_SLICES, PLATFORMS, Form
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


@pytest.mark.parametrize("form", [Form.PRODUCT, Form.PADDED, Form.SHIFTED])
@given(case=conv_cases(), seed=seeds, dtype=st.sampled_from(["float64", "int64"]))
def test_forms_equal_lax(form: Form, case: ConvCase, seed: int, dtype: str) -> None:
    if form is Form.SHIFTED:  # a group is a channel
        shape, groups = (case.weight[0] * case.x[1], 1, *case.weight[2:]), case.x[1]
    else:  # one group reads all channels
        shape, groups = (case.weight[0], case.x[1], *case.weight[2:]), 1
    x, weight = integers(seed, case.x, dtype), integers(seed + 1, shape, dtype)
    window = geometry.window(x.shape[2:], shape[2:], case.stride, case.padding, case.dilation)
    found, expected = (
        jax.jit(partial(FORMS[f], window=window, groups=groups, precision=None))(x, weight)
        for f in (form, Form.LAX)
    )
    assert found.dtype == expected.dtype
    assert_identical(found, np.asarray(expected), case)


def chosen(
    x: tuple[int, ...],
    weight: tuple[int, ...],
    groups: int = 1,
    platform: str = "cpu",
    **arguments: Any,
) -> Form:
    window = geometry.window(x[2:], weight[2:], **arguments)
    return PLATFORMS[platform](x, weight, window, groups)


@pytest.mark.parametrize("batch", [0, 1, 32])
def test_the_form_follows_from_the_shape(batch: int) -> None:
    assert chosen((batch, 512, 7, 7), (4096, 512, 7, 7)) is Form.PRODUCT
    assert chosen((batch, 512, 7, 7), (100, 512, 7, 7), padding=3) is Form.LAX
    assert chosen((batch, 2, 999), (2, 2, 999)) is Form.PRODUCT  # no tap is named
    assert chosen((batch, 2, 999), (9999, 2, MOST_SLICES + 1)) is Form.LAX
    assert chosen((batch, 64, 56, 56), (64, 64, 1, 1), stride=2) is Form.PRODUCT
    assert chosen((batch, 64, 56, 56), (64, 32, 1, 1), groups=2) is Form.LAX
    assert chosen((batch, 1, 2, 2), (2, 1, 2, 2)) is Form.LAX  # no work
    assert chosen((batch, 8, 7), (16, 8, 4)) is Form.PRODUCT  # 4 cells
    assert chosen((batch, 8, 8), (16, 8, 4)) is Form.LAX
    assert chosen((batch, 8, 7), (64, 4, 4), groups=2) is Form.LAX
    assert chosen((batch, 32, 112, 112), (64, 1, 3, 3), groups=32, padding=1) is Form.SHIFTED
    assert chosen((batch, 1, 112, 112), (8, 1, 3, 3)) is Form.LAX
    assert chosen((batch, 4, 999), (4, 1, MOST_SLICES), groups=4) is Form.SHIFTED
    assert chosen((batch, 4, 999), (4, 1, MOST_SLICES + 1), groups=4) is Form.LAX
    assert chosen((batch, 64, 56, 56), (64, 64, 3, 3), padding=1) is Form.LAX
    assert chosen((batch, 512, 22, 22), (1024, 512, 7, 7)) is Form.PRODUCT
    assert chosen((batch, 128, 56, 56), (128, 128, 3, 3)) is Form.PADDED
    assert chosen((batch, 256, 999), (256, 256, 9)) is Form.LAX  # one axis
    assert chosen((batch, MANY_TERMS // 4, 8, 8), (64, MANY_TERMS // 4, 2, 2)) is Form.PADDED
    assert chosen((batch, MANY_TERMS // 4 - 1, 8, 8), (64, MANY_TERMS // 4 - 1, 2, 2)) is Form.LAX


def test_a_gpu_takes_products_as_a_cpu_does_and_lax_for_all_else() -> None:
    on_gpu = partial(chosen, platform="cuda")
    assert on_gpu((1, 512, 7, 7), (4096, 512, 7, 7)) is Form.PRODUCT
    assert on_gpu((1, 512, 22, 22), (4096, 512, 7, 7)) is Form.PRODUCT
    assert on_gpu((1, 64, 56, 56), (64, 64, 1, 1)) is Form.PRODUCT
    assert on_gpu((1, 512, 14, 14), (512, 512, 3, 3), padding=1) is Form.LAX
    assert on_gpu((1, 256, 56, 56), (256, 256, 3, 3), padding=1) is Form.LAX
    assert on_gpu((1, 32, 112, 112), (64, 1, 3, 3), groups=32, padding=1) is Form.LAX


SHAPES = {
    "covering": ((2, 16, 5, 5), (120, 16, 5, 5), 1, "dot_general"),
    "1x1": ((2, 8, 9, 9), (4, 8, 1, 1), 1, "dot_general"),
    "few cells": ((2, 8, 4, 4), (64, 8, 3, 3), 1, "dot_general"),
    "depthwise": ((2, 8, 9, 9), (16, 1, 3, 3), 8, "multiply"),
}
"""Shapes with a form of their own, and the operation that it is made of."""


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("transformed", ["as it is", "vmap", "grad"])
def test_the_platform_chooses(kind: str, transformed: str) -> None:
    x_shape, weight_shape, groups, operation = SHAPES[kind]

    def convolve(x: Any, weight: Any) -> Any:
        return fcconv.conv(x, weight, groups=groups)

    function: Any = {
        "as it is": convolve,
        "vmap": jax.vmap(convolve),
        "grad": jax.grad(lambda x, weight: jnp.square(convolve(x, weight)).sum(), argnums=(0, 1)),
    }[transformed]
    lead = (3,) if transformed == "vmap" else ()
    traced = jax.jit(function).trace(jnp.ones(lead + x_shape), jnp.ones(lead + weight_shape))
    cpu, cuda, tpu = (
        traced.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda", "tpu")
    )
    assert f"stablehlo.{operation}" in cpu
    assert "stablehlo.convolution" not in cpu
    assert "stablehlo.convolution" in tpu
    assert "stablehlo.dot_general" not in tpu
    assert ("stablehlo.convolution" in cuda) == (kind == "depthwise")
    assert ("stablehlo.dot_general" in cuda) == (kind != "depthwise")
    # one branch is left, and nothing decides while it runs
    assert "conditional(" not in str(traced.lower().compile().as_text())


@pytest.mark.parametrize("kind", SHAPES)
def test_forms_of_a_cpu_have_the_gradients_of_lax(kind: str) -> None:
    x_shape, weight_shape, groups, _ = SHAPES[kind]
    x, weight = integers(0, x_shape, "float64"), integers(1, weight_shape, "float64")
    window = geometry.window(x_shape[2:], weight_shape[2:])
    plain = partial(FORMS[Form.LAX], window=window, groups=groups, precision=None)

    def gradients(function: Any) -> Any:
        return jax.jit(jax.grad(lambda x, w: jnp.square(function(x, w)).sum(), argnums=(0, 1)))(
            jnp.asarray(x), jnp.asarray(weight)
        )

    found, expected = gradients(partial(fcconv.conv, groups=groups)), gradients(plain)
    for ours, theirs in zip(found, expected, strict=True):
        assert_identical(ours, np.asarray(theirs), kind)


@pytest.mark.parametrize("kind", ["covering", "1x1", "few cells"])
def test_products_of_a_cpu_keep_float32_whole(kind: str) -> None:
    x, weight = (jnp.ones(shape, jnp.float32) for shape in SHAPES[kind][:2])

    def program() -> str:
        return str(jax.jit(fcconv.conv).trace(x, weight).lower().as_text())

    assert "precision = [HIGHEST, HIGHEST]" in program()
    with jax.default_matmul_precision("tensorfloat32"):
        assert "precision = [HIGH, HIGH]" in program()
