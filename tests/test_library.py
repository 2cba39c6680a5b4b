"""The library in Python's hands: names, prints, pickles, arguments, arrays that are gone."""

from __future__ import annotations

import copy
import functools
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

import fcconv
from fcconv.cli import app
from fcconv.errors import BackendError, FcconvError, UnsupportedError
from fcconv.scanning.network import digest
from graphs import Net
from refusing import write
from small_networks import classifier, scores

FORMS: list[Callable[[onnx.ModelProto], Any]] = [fcconv.convolutionize, fcconv.pointwise]


def test_all_names_are_listed_before_anything_is_imported() -> None:
    code = "import sys, fcconv; print(*dir(fcconv)); sys.exit('onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert {*fcconv.__all__, "__version__"} <= {*done.stdout.split()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("duplicate", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_networks_can_be_pickled(form: Any, duplicate: Any) -> None:
    network = form(classifier())
    expected = scores(network)
    network(np.zeros((1, 2, 6, 6), np.float32))  # what is compiled is no part of a pickle
    again = duplicate(network)
    assert digest(again.model) == digest(network.model)
    assert again.model.metadata_props == network.model.metadata_props
    assert str(again) == str(network)
    assert np.array_equal(scores(again), expected)
    assert fcconv.certify(classifier(), again).holds
    if form is fcconv.convolutionize:
        assert digest(again.patch) == digest(network.patch)
        for name in ("window", "stride", "field", "reach", "margins", "exact", "layers"):
            assert getattr(again, name) == getattr(network, name)


def test_a_deep_network_can_be_pickled() -> None:
    g = Net()
    x = g.map()
    for _ in range(1500):
        x = g.add("Relu", x)
    network = fcconv.convolutionize(g.model(g.dense(x, 96)))
    assert digest(pickle.loads(pickle.dumps(network)).model) == digest(network.model)


@pytest.mark.parametrize("engine", ["numpy", "jax", "onnxruntime"])
@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy])
def test_what_is_compiled_is_made_again(engine: str, duplicate: Any) -> None:
    network = fcconv.compile(classifier(), engine)
    assert repr(network) == f"<network on {engine}, x: FLOAT [N,2,6,6]>"
    with pytest.raises(UnsupportedError, match="pickle the network that it was made of"):
        duplicate(network)


def test_prints() -> None:
    sliding, padding = map(fcconv.convolutionize, (classifier(), padded()))
    assert repr(sliding) == "<Sliding window=(6, 6), stride=(1, 1), exact=True, layers=1>"
    assert str(sliding).splitlines() == [
        "window                      6x6",
        "what a score depends on     6x6",
        "pixels a cell reads         0 to 6, 0 to 6",
        "window stride               1x1",
        "every cell equals its crop  yes",
    ]
    assert str(padding).splitlines()[-1].startswith("because                     conv (Conv) reads")
    pointwise = fcconv.pointwise(classifier())
    assert repr(pointwise) == "<Pointwise layers=1, left=0>"
    assert str(pointwise) == "dense                       weight 64x3 became 3x64x1x1"
    right = fcconv.certify(classifier(), sliding)
    assert repr(right) == "<Certificate form='sliding', holds=True, exact=True>"
    wrong = fcconv.certify(classifier(), forged())
    assert repr(wrong) == (
        "<Certificate form='sliding', holds=False, exact=False, difference='dense (Conv)'>"
    )


def padded() -> onnx.ModelProto:
    model = classifier(conv={"pads": [1, 1, 1, 1], "strides": [2, 2]})
    del model.graph.initializer[1]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((36, 3), np.float32), "m"))
    return model


def forged() -> onnx.ModelProto:
    model = classifier()
    (held,) = [tensor for tensor in model.graph.initializer if tensor.name == "m"]
    weight = onnx.numpy_helper.to_array(held).copy()
    weight[0, 0] += 1
    held.CopyFrom(onnx.numpy_helper.from_array(weight, "m"))
    rewritten: onnx.ModelProto = onnx.ModelProto.FromString(
        fcconv.convolutionize(model).__reduce__()[1][1][0]
    )
    return rewritten


@pytest.mark.parametrize("wrong", [2.5, "x", None, object(), (1, "x"), [2.0, 3.0], {2: 3}.items])
@pytest.mark.parametrize("name", ["stride", "spatial_axes", "window", "seed"])
def test_arguments_of_wrong_types(name: str, wrong: Any) -> None:
    model, sliding = classifier(), fcconv.convolutionize(classifier())
    uses: list[Callable[..., Any]] = [lambda **given: fcconv.convolutionize(model, **given)]
    if name == "window":
        uses.append(lambda **given: fcconv.compile(model, **given))
        uses.append(lambda **given: fcconv.pointwise(model, **given))
        uses.append(lambda **given: fcconv.certify(model, sliding, **given))
    if name == "seed":
        uses = [lambda **given: fcconv.certify(model, sliding, **given)]
    for use in uses:
        if wrong is None:  # as if it were left out
            assert use(**{name: wrong})
            continue
        with pytest.raises(FcconvError, match=name):
            use(**{name: wrong})


@pytest.mark.parametrize("seed", [-1, 2**128, True])
def test_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(FcconvError, match=f"seed needs an integer from 0 .*, got {seed}"):
        fcconv.certify(classifier(), fcconv.convolutionize(classifier()), seed=seed)


def test_axes_are_integers_of_any_library() -> None:
    given: list[Any] = [np.array([2, 3]), (np.int64(-2), -1), [2, 3]]
    for axes in given:
        assert fcconv.convolutionize(classifier(), spatial_axes=axes).window == (6, 6)


def gone(*shape: int) -> jax.Array:
    array = jnp.zeros(shape, jnp.float32)
    array.delete()
    return array


def donated(*shape: int) -> jax.Array:
    array = jnp.zeros(shape, jnp.float32)
    jax.jit(lambda x: x + 1, donate_argnums=0)(array).block_until_ready()
    return array


@pytest.mark.parametrize("lost", [gone, donated])
def test_arrays_that_are_gone(lost: Callable[..., jax.Array]) -> None:
    x, weight, image = jnp.zeros((1, 2, 5, 5)), jnp.zeros((3, 2, 3, 3)), lost(1, 2, 6, 6)
    x, weight = x.astype(jnp.float32), weight.astype(jnp.float32)
    uses: list[Callable[[], Any]] = [
        lambda: fcconv.conv(lost(1, 2, 5, 5), weight),
        lambda: fcconv.conv(x, lost(3, 2, 3, 3)),
        lambda: fcconv.conv(x, weight, lost(3)),
        lambda: fcconv.dense(lost(1, 2), lost(3, 2)),
        lambda: fcconv.max_pool(image, 2),
        lambda: fcconv.dense_to_conv(lost(3, 8), (2, 2, 2)),
        lambda: fcconv.convolutionize(classifier())(image),
        lambda: fcconv.pointwise(classifier())(image),
    ]
    for engine in ("numpy", "jax", "onnxruntime"):
        uses.append(functools.partial(fcconv.compile(classifier(), engine), image))
    jitted = fcconv.compile(classifier(), "jax")
    params = {name: lost(*array.shape) for name, array in jitted.params.items()}
    uses.append(lambda: jitted.apply(params, jnp.zeros((1, 2, 6, 6), jnp.float32)))
    for use in uses:
        with pytest.raises(BackendError, match=r"was deleted, or given away .* donated"):
            use()


def test_labels_that_are_not_text(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a command line takes as bytes comes in as text that can't be written."""
    write(path, classifier())
    image = tmp_path / "image.npy"
    np.save(image, np.zeros((2, 9, 9), np.float32))
    arguments = ["scan", str(path), str(image), "--labels", "a,b,\udcff"]
    assert app.run([*arguments, "--report", str(tmp_path / "page.html")]) == 2
    assert "labels needs text in UTF-8" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("form", FORMS)
def test_names_that_no_file_has(path: Path, form: Any) -> None:
    for name in (f"{path}\0.onnx", "x" * 300, path.parent, path / "below"):
        with pytest.raises(FcconvError, match=r"can't be written: .*: save it elsewhere"):
            form(classifier()).save(name)
    assert list(path.parent.iterdir()) == []
