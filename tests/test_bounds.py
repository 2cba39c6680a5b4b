"""Bounds on rounding errors are true, of whatever a network is made of, and tight enough to use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import fcconv
from fcconv.certificate.bounds import Bounds
from fcconv.graph.load import load
from fcconv.graph.run import Program
from graphs import Array, Net
from random_graphs import Case, cases
from sliding_windows import patch_shape
from strategies import seeds


@given(case=cases(dtypes=("float32",)), seed=seeds)
def test_errors_stay_within_their_bounds(case: Case, seed: int) -> None:
    """On two engines; in float64 the same network has the value that the bound is about."""
    shape = [3, *patch_shape(case.model)[1:]]
    images = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    bounds = Bounds()
    bounded = Program(load(case.model)).run_batches(bounds, {}, [bounds.asarray(images)])
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
    (bound,) = Program(load(model)).run_batches(bounds, {}, [bounds.asarray(images)])
    _check(bound, fcconv.compile(model)(images), op)


def test_a_bound_tells_precisions_apart() -> None:
    net = Net()
    model = net.model(net.dense(net.map(), 96))
    images = np.random.default_rng(0).standard_normal((5, 2, 9, 8)).astype(np.float32)
    bounds = Bounds()
    (bound,) = Program(load(model)).run_batches(bounds, {}, [bounds.asarray(images)])
    half = fcconv.compile(model)(images.astype(np.float16).astype(np.float32))
    assert (np.abs(half - bound.value) > bound.error).any()


def _check(bound: Any, scores: Array, call: object) -> None:
    sure = np.isfinite(bound.error)
    wide = scores.astype(np.float64)
    beyond = np.abs(wide - bound.value)[sure] > 2 * bound.error[sure]
    assert not beyond.any(), call
