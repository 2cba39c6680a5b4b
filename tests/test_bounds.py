"""Bounds on rounding errors are true, of whatever a network is made of, and tight enough to use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import fcconv
from fcconv.certificate.bounds import Bounds
from fcconv.graph.files.load import load
from fcconv.graph.running.run import program_of
from graphs import Array, Net
from random_graphs import Case, cases
from sliding_windows import patch_shape, slid
from strategies import normal, seeds


@given(case=cases(dtypes=("float32",)), seed=seeds)
def test_errors_stay_within_their_bounds(case: Case, seed: int) -> None:
    """On two engines; in float64 the same network has the value that the bound is about."""
    shape = [3, *patch_shape(case.model)[1:]]
    images = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    bounds = Bounds()
    bounded = program_of(load(case.model)).run_batches(bounds, {}, [bounds.asarray(images)])
    for engine in ("numpy", "onnxruntime"):
        found: Any = fcconv.compile(case.model, engine)(images)
        found = found if isinstance(found, tuple) else (found,)
        for bound, scores in zip(bounded, found, strict=True):
            assert np.isfinite(bound.error).any() or scores.dtype.kind != "f", case
            _check(bound, scores, (engine, case))


@pytest.mark.parametrize(
    "op",
    ["Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
     "LeakyRelu", "Mish", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus",
     "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu", "Log", "Reciprocal"],
)  # fmt: skip
def test_functions_stay_within_their_bounds(op: str) -> None:
    """Behind a convolution, whose errors they carry on."""
    net = Net(opset=24 if op == "Swish" else 22)
    x = net.add(op, net.conv("image", 2, 2, 2, 3))
    model = net.model(net.add("MatMul", net.add("Flatten", x), net.w(96, 3)))
    images = 4 * np.random.default_rng(0).standard_normal((20, 2, 9, 8)).astype(np.float32)
    bounds = Bounds()
    (bound,) = program_of(load(model)).run_batches(bounds, {}, [bounds.asarray(images)])
    _check(bound, fcconv.compile(model)(images), op)


def test_a_bound_tells_precisions_apart() -> None:
    net = Net()
    model = net.model(net.dense(net.map(), 96))
    images = np.random.default_rng(0).standard_normal((5, 2, 9, 8)).astype(np.float32)
    bounds = Bounds()
    (bound,) = program_of(load(model)).run_batches(bounds, {}, [bounds.asarray(images)])
    half = fcconv.compile(model)(images.astype(np.float16).astype(np.float32))
    assert (np.abs(half - bound.value) > bound.error).any()


@given(case=cases(), seed=seeds)
def test_a_right_rewriting_rounds_as_the_original_does(case: Case, seed: int) -> None:
    """Its bound is the original's, but for what is summed and divided in another order."""
    sliding, images = slid(case), normal(seed, (2, *patch_shape(case.model)[1:]), case.dtype)
    both = []
    for network in (load(case.model), sliding.model):
        bounds = Bounds()
        made = program_of(network).run_batches(bounds, {}, [bounds.asarray(images)])
        both.append([y.error.reshape(len(images), -1) for y in made])
    for first, second in zip(*both, strict=True):
        assert first.shape == second.shape
        sure = np.isfinite(first)
        assert (second[sure] <= 2 * first[sure]).all(), case


def test_weights_of_0_round_nothing() -> None:
    """Few features picked out of many have the bound of a kernel that has zeros for the others."""
    picked = np.arange(5, 100, 31)
    x, weight = normal(0, (2, 100), "float32"), normal(1, (3, len(picked)), "float32")
    scattered = np.zeros((3, 100), np.float32)
    scattered[:, picked] = weight
    bounds = Bounds()
    few = bounds.dense(bounds.asarray(x[:, picked]), bounds.asarray(weight), None)
    many = bounds.dense(bounds.asarray(x), bounds.asarray(scattered), None)
    assert (many.error <= (1 + 1e-9) * few.error).all()


def test_weights_of_0_carry_no_error() -> None:
    """A number that may exceed its type beside them neither."""
    bounds = Bounds()
    x = bounds.asarray(np.array([[3e38, 1.0]], np.float32))
    small = bounds.multiply(bounds.add(x, x), bounds.asarray(np.array([1e-20], np.float32)))
    assert np.isinf(small.error[0, 0])
    weight = bounds.asarray(np.array([[0.0, 2.0], [2.0, 0.0]], np.float32))
    kept, lost = bounds.dense(small, weight, None).error[0]
    assert np.isfinite(kept)
    assert np.isinf(lost)


def _check(bound: Any, scores: Array, call: object) -> None:
    sure = np.isfinite(bound.error)
    wide = scores.astype(np.float64)
    beyond = np.abs(wide - bound.value)[sure] > 2 * bound.error[sure]
    assert not beyond.any(), call
