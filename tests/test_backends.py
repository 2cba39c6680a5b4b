"""A backend is a module and its row in the table: one that no file names is offered everywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fcconv
import fcconv_numpy
from comparing import assert_identical
from fcconv.backend import BACKENDS, Row, engines
from fcconv.demo.network import load_faces
from fcconv.scanning import engine as scoring
from scan_cases import picture, small_network


class Toy(np.ndarray[Any, Any]):
    """An array of the toy library."""


def of_toy(array: Any) -> Toy:
    return np.asarray(array).view(Toy)


CALLED: list[str] = []


def toy_backend(called: list[str]) -> ModuleType:
    """Make a backend of NumPy's that notes which of its functions are called."""
    module = ModuleType("fcconv_toy")
    module.__dict__.update(vars(fcconv_numpy), __name__="fcconv_toy")

    def noted(name: str) -> Any:
        function = getattr(fcconv_numpy, name)

        def call(*arguments: Any) -> Any:
            called.append(name)
            made = function(*arguments)
            return of_toy(made) if isinstance(made, np.ndarray) else made

        return call

    for name in ("asarray", "conv", "dense", "max_pool", "elementwise", "add"):
        setattr(module, name, noted(name))

    def jit(function: Any) -> Any:
        called.append("jit")
        return function

    def to_numpy(array: Toy) -> Any:
        called.append("to_numpy")
        return array.view(np.ndarray)

    own: dict[str, Any] = {
        "jit": jit,
        "to_numpy": to_numpy,
        "compiles": True,
        "owns": lambda kind: issubclass(kind, Toy),
    }
    module.__dict__.update(own)
    return module


TOY = toy_backend(CALLED)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Register the backend; yield which of its functions are called."""
    monkeypatch.setitem(sys.modules, "fcconv_toy", TOY)
    others = dict(BACKENDS)
    BACKENDS.clear()  # so that it is the first, which "auto" tries before the others
    BACKENDS.update({"toy": Row("Toy", "numpy", "fcconv_toy", "of_toy"), **others})
    CALLED.clear()
    yield CALLED
    BACKENDS.clear()
    BACKENDS.update(others)


def test_it_is_named_and_found_by_its_arrays(calls: list[str]) -> None:
    assert "toy" in fcconv.backends()
    assert "toy" in engines()
    assert fcconv.backend("toy") is fcconv.backend(of_toy([1.0])) is sys.modules["fcconv_toy"]
    assert fcconv.backend(np.ones(1)) is fcconv_numpy
    with pytest.raises(fcconv.BackendError, match=r"use 'toy', 'numpy', 'jax'"):
        fcconv.backend("tensorflow")
    with pytest.raises(fcconv.BackendError, match=r"plain Toy, NumPy, .* array \(of_toy,"):
        fcconv.max_pool([[[1.0]]], 1)  # type: ignore[type-var]
    x, weight = of_toy(np.ones((1, 1, 4))), of_toy(np.ones((1, 1, 2)))
    with pytest.raises(fcconv.BackendError, match="x is of toy, weight is of numpy"):
        fcconv.conv(x, weight.view(np.ndarray))
    calls.clear()
    assert isinstance(fcconv.conv(x, weight), Toy)
    assert calls == ["conv"]


def test_it_computes_networks(calls: list[str]) -> None:
    windows = np.random.default_rng(0).random((3, 1, 25, 25), np.float32)
    network = fcconv.compile(load_faces(), "toy")
    found = network(windows)
    assert network.engine == "toy"
    assert {"jit", "asarray", "conv", "max_pool", "elementwise"} <= {*calls}
    assert all(isinstance(weight, Toy) for weight in network.params.values())
    assert_identical(np.asarray(found), fcconv.compile(load_faces())(windows), "toy")
    calls.clear()
    sliding = fcconv.convolutionize(load_faces())
    assert isinstance(sliding(of_toy(windows)), Toy)
    assert "conv" in calls


@pytest.mark.parametrize("windows", ["shared", "exact", "crops"])
def test_it_scans(calls: list[str], windows: str) -> None:
    expected = fcconv.scan(small_network(), picture(), windows=windows, engine="numpy")
    calls.clear()
    found = fcconv.scan(small_network(), picture(), windows=windows, engine="toy")
    assert found.engine == "toy"
    assert {"jit", "conv", "to_numpy"} <= {*calls}
    assert_identical(found.scores, expected.scores, windows)


def test_auto_tries_it(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scoring, "AUTO_ENGINE_SECONDS", np.inf
    )  # the first that can compute the network wins
    assert fcconv.scan(small_network(), picture()).engine == "toy"
    assert "jit" in calls
