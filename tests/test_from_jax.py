"""JAX functions as networks of ONNX's operators: what takes a network takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from jax import lax

import fcconv
from fcconv.errors import ArgumentError, UnsupportedError
from sliding_windows import quiet

SHAPE = (9, 10, 3)


def weights(*shape: int) -> Any:
    draw = np.random.default_rng(sum(shape)).integers(-2, 3, shape)
    return jnp.asarray(draw, jnp.float32)


def convolved(x: Any, outputs: int, padding: str = "SAME") -> Any:
    kernel = weights(3, 3, x.shape[-1], outputs)
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x[None], kernel, (1, 1), padding, dimension_numbers=numbers)[0]


def pooled(x: Any) -> Any:
    x = jax.nn.relu(convolved(x, 4))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (2, 2, 1), (2, 2, 1), "VALID")
    return x.reshape(-1) @ weights(x.size, 5)


def averaged(x: Any) -> Any:
    x = lax.reduce_window(convolved(x, 2), 0.0, lax.add, (2, 3, 1), (1, 2, 1), "SAME")
    return {"sums": x.sum((0, 1)), "places": jnp.argmax(x.max((0, 1)))}


def gated(x: Any) -> Any:
    x = convolved(x, 4, "VALID")
    gate = jnp.clip(x.sum((0, 1)) @ weights(4, 4), -1, 1)
    return jnp.where(x > 2, x * gate[None, None], -x).transpose(2, 0, 1).max((1, 2))


def attention(x: Any) -> Any:
    tokens = convolved(x, 4)[1::4, ::5].reshape(-1, 4)
    scores = jnp.einsum("ic,jc->ij", tokens @ weights(4, 4), tokens)
    return (jnp.maximum(scores, 0) @ tokens).sum(0)


def padded_and_cut(x: Any) -> Any:
    x = jnp.pad(x, ((1, 2), (0, 3), (0, 0)), constant_values=2)[:, 1:-1:2]
    return jnp.concatenate([x, -x], axis=-1).sum((0, 1))


@pytest.mark.parametrize("f", [pooled, averaged, gated, attention, padded_and_cut])
def test_the_network_computes_the_function(f: Callable[..., Any]) -> None:
    """Bit for bit on integers, in onnxruntime, in NumPy and, slid exactly, in every window."""
    model = fcconv.from_jax(f, SHAPE)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    images = np.random.default_rng(0).integers(-3, 4, (2, *SHAPE)).astype(np.float32)
    expected = jax.tree.leaves(jax.vmap(f)(images))
    session: Any = onnxruntime.InferenceSession(proto.SerializeToString(), quiet())
    ours = fcconv.compile(model)(images)
    for found in (session.run(None, {"patch": images}), ours):
        arrays = found if isinstance(found, list | tuple) else [found]
        for one, other in zip(arrays, expected, strict=True):
            assert np.array_equal(one, other)
            assert one.dtype == other.dtype
    sliding = fcconv.convolutionize(model, stride=2, spatial_axes=(1, 2), windows="exact")
    assert fcconv.certify(model, sliding).exact


def numbers(x: Any) -> list[Any]:
    y = x / 4 + 1.5  # above 0
    return [
        jnp.exp(x), jnp.log(y), jnp.log1p(y), jnp.expm1(x), jnp.tanh(x), jax.nn.sigmoid(x),
        lax.rsqrt(y), jnp.sqrt(y), jnp.square(x), x**3, y**x, lax.erfc(x), lax.erf(x), jnp.abs(x),
        jnp.sign(x), jnp.floor(x), jnp.ceil(x), jnp.round(x * 2), -x, jnp.sin(x), jnp.cos(x),
        jnp.arctan(x), jnp.sinh(x), jnp.clip(x, -0.5, 1), jax.nn.gelu(x), jax.nn.silu(x),
        jax.nn.softplus(x), jax.nn.elu(x), jax.nn.leaky_relu(x), jax.nn.softmax(x), jnp.isfinite(x),
        (x != y) & ~(x > y) | (x <= 0), x.astype(jnp.int32),
    ]  # fmt: skip


def test_functions_entry_by_entry() -> None:
    """Each is a chain of at most eight functions right to 4 units, of slopes of at most 4."""
    x = np.linspace(-1.7, 1.8, 24, dtype=np.float32)
    expected = numbers(jnp.asarray(x))
    found = fcconv.compile(fcconv.from_jax(numbers, (24,)))(x[None])
    assert len(found) == len(expected)
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.dtype == other.dtype
        scale = np.maximum(np.abs(np.asarray(other, np.float64)), 1)
        error = np.abs(np.asarray(one[0], np.float64) - np.asarray(other, np.float64))
        assert np.all(error <= 8 * 4 * 4 * np.finfo(np.float32).eps * scale), k


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: lax.cumsum(x), "cumsum .*test_from_jax.py:.* is not an operator of ONNX"),
        (lambda x: lax.reduce_precision(x, 5, 10), "reduce_precision .* is not an operator of"),
        (lambda x: (x, jnp.ones(3)), "does not depend on the patch"),
    ],
)
def test_what_is_not_onnx_is_refused(f: Callable[..., Any], said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        fcconv.from_jax(lambda x: f(x), (4, 4))


def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(ArgumentError, match="f needs to be a function of a patch, got 3"):
        fcconv.from_jax(3, (4, 4))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"dtype needs a type of numbers .* got 'no'"):
        fcconv.from_jax(lambda x: x, (4, 4), dtype="no")
    with pytest.raises(ArgumentError, match="f needs to return an array"):
        fcconv.from_jax(lambda x: (), (4, 4))
    with pytest.raises(TypeError) as caught:
        fcconv.from_jax(lambda x: x @ "no", (4, 4))
    assert any("on a patch of shape (4, 4)" in note for note in caught.value.__notes__)
