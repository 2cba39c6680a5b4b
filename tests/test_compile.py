"""A network as a callable: on each backend, with any batch, and as a function of its weights."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import onnx
import pytest

import fcconv
from comparing import to_numpy
from fcconv.backend import ONNXRUNTIME
from fcconv.demo.network import SHAPE, load_faces
from tested_backends import TESTED


def windows(count: int) -> Any:
    return np.random.default_rng(0).random((count, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def fixed() -> onnx.ModelProto:
    """The face classifier with its batch fixed to two."""
    network = load_faces()
    network.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    network.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2
    return network


@pytest.mark.parametrize("engine", [*TESTED, ONNXRUNTIME])
def test_engines_agree(engine: str) -> None:
    x = windows(5)
    expected = fcconv.compile(load_faces())(x)
    found = fcconv.compile(load_faces(), engine)(x)
    assert found.shape == (5, 1)
    # four layers: the worst case bound is far above what rounding does
    assert np.abs(to_numpy(found) - expected).max() <= 1e-4


@pytest.mark.parametrize("engine", TESTED)
def test_a_fixed_batch_is_free_all_the_same(engine: str, fixed: onnx.ModelProto) -> None:
    compiled = fcconv.compile(fixed, engine)
    x = windows(6)
    parts = [to_numpy(compiled(x[start : start + 2])) for start in (0, 2, 4)]
    assert np.array_equal(to_numpy(compiled(x)), np.concatenate(parts))
    with pytest.raises(fcconv.ShapeError, match="2 images at a time, got a batch of 5"):
        compiled(x[:5])


def test_jax_trains_a_sliding_network() -> None:
    sliding = fcconv.convolutionize(load_faces())
    network = fcconv.compile(sliding.model, "jax")
    image = jax.numpy.asarray(np.random.default_rng(0).random((1, 1, 31, 28), np.float32))

    def loss(params: dict[str, jax.Array]) -> jax.Array:
        return jax.numpy.square(network.apply(params, image)).mean()

    before, gradient = jax.jit(jax.value_and_grad(loss))(network.params)
    assert set(gradient) == set(network.params)
    assert all(float(jax.numpy.abs(g).max()) > 0 for g in gradient.values())
    stepped = jax.tree.map(lambda p, g: p - 1e-5 * g, network.params, gradient)
    assert float(loss(stepped)) < float(before)


def test_results_stay_in_the_library_of_the_input() -> None:
    sliding = fcconv.convolutionize(load_faces())
    image = np.zeros((1, 1, 25, 25), np.float32)
    assert isinstance(sliding(image), np.ndarray)
    assert isinstance(sliding(jax.numpy.asarray(image)), jax.Array)


@pytest.mark.parametrize("engine", [*TESTED, ONNXRUNTIME])
def test_inputs_are_checked(engine: str) -> None:
    compiled = fcconv.compile(load_faces(), engine)
    with pytest.raises(fcconv.ShapeError, match=r"input 'window' needs the shape .*got"):
        compiled(np.zeros((1, 1, 24, 25), np.float32))
    with pytest.raises(fcconv.DtypeError, match="needs dtype float32, got float16"):
        compiled(np.zeros((1, *SHAPE), np.float16))
    with pytest.raises(fcconv.ArgumentError, match="needs window, got 2 arrays"):
        compiled(windows(1), windows(1))


def test_unknown_engines_are_named() -> None:
    with pytest.raises(fcconv.BackendError, match="unknown backend 'tensorflow'"):
        fcconv.compile(load_faces(), "tensorflow")


def test_too_small_an_image_is_named() -> None:
    sliding = fcconv.convolutionize(load_faces())
    with pytest.raises(fcconv.ShapeError, match=r"\(20, 40\) pixels is smaller than the window"):
        sliding(np.zeros((1, 1, 20, 40), np.float32))
