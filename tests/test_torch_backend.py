"""What PyTorch's users expect beyond numbers: modules, gradients, compiled and exported functions.

That the numbers are right say the tests of every backend.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
import fcconv_torch
from comparing import assert_identical, to_numpy
from fcconv import geometry, rounding
from fcconv.demo.network import SHAPE, load_faces
from fcconv.graph.engines.compiling import Engine
from fcconv_torch import namespace
from fcconv_torch.convolution import in_whole_float32, summed_product
from fcconv_torch.dtypes import of_numpy
from graphs import Graph
from scan_cases import picture, small_network
from strategies import (
    ConvCase,
    DenseCase,
    PoolCase,
    any_integers,
    conv_cases,
    dense_cases,
    integers,
    normal,
    pool_cases,
    seeds,
)
from three_forms import flatten, forms

UNSIGNED = ["uint16", "uint32", "uint64"]

follows_caches = pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru")


def images(count: int, rows: int = SHAPE[1]) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.random((count, 1, rows, SHAPE[2]), np.float32))


@pytest.fixture(scope="module")
def sliding() -> fcconv.Sliding:
    return fcconv.convolutionize(load_faces())


def compiled(model: Any) -> Any:
    """Compile a network; it is a module, which no type of fcconv says."""
    network = fcconv.compile(model, "torch")
    assert isinstance(network, torch.nn.Module)
    assert isinstance(network, fcconv.Compiled)
    return network


# modules


def test_weights_are_parameters_by_name(sliding: fcconv.Sliding) -> None:
    network, other = compiled(sliding.model), compiled(sliding.model)
    expected = fcconv.compile(sliding.model).params
    assert {*network.state_dict()} == {*network.params} == {*expected}
    assert {"conv1.weight", "dense1/kernel"} <= {*expected}
    assert all(isinstance(p, torch.nn.Parameter) for p in network.params.values())
    for name, weight in expected.items():
        assert_identical(network.params[name], weight, name)
    x = images(2, 31)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(0.5)
        assert not torch.equal(network(x), other(x))
        other.load_state_dict(network.state_dict())
        assert torch.equal(network(x), other(x))


def test_weights_are_not_those_of_the_model(sliding: fcconv.Sliding) -> None:
    before = fcconv.compile(sliding.model)(to_numpy(images(1)))
    with torch.no_grad():
        compiled(sliding.model).params["conv1.weight"].zero_()
    assert_identical(fcconv.compile(sliding.model)(to_numpy(images(1))), before, "model")


def test_names_that_modules_have_themselves_get_another_path() -> None:
    graph = Graph(1, 2, 2)
    x = "image"
    odd = ["a", "a.b", "forward", "params", "x..y", "z.train", ".c"]
    for factor, name in enumerate(odd, 2):
        graph.constants[name] = np.array(factor, np.float32)
        x = graph.add("Mul", x, name)
    model = graph.model(x, rank=4)
    network = compiled(model)
    assert {*network.params} == {*odd}
    paths = {*network.state_dict()}
    assert len(paths) == len(odd)
    assert {"a", "z_train_"} <= paths
    assert "a.b" not in paths
    compiled(model).load_state_dict(network.state_dict())
    ones = torch.ones(1, 1, 2, 2)
    assert torch.equal(network(ones), math.factorial(8) * ones)


def test_statistics_need_no_gradients() -> None:
    module = torch.nn.BatchNorm2d(2)
    graph = Graph(2, 3, 3)
    weights = [w.detach().numpy() for n, w in module.state_dict().items() if w.ndim]
    network = compiled(graph.model(graph.add("BatchNormalization", "image", *weights), rank=4))
    needed = {name for name, weight in network.params.items() if weight.requires_grad}
    assert needed == network.trainable
    assert len(needed) == 2
    assert len(network.params) == 4


def test_tuned_weights_come_home(sliding: fcconv.Sliding) -> None:
    network = compiled(sliding)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(0.5)
    home = fcconv.patch_of(sliding, network.params)
    again = fcconv.compile(fcconv.convolutionize(home.model)).params
    for name, weight in network.params.items():
        assert_identical(weight, again[name], name)


def test_other_weights_are_computed_with(sliding: fcconv.Sliding) -> None:
    network, x = compiled(sliding.model), images(2)
    expected = network(x)
    zeros = {name: torch.zeros_like(weight) for name, weight in network.params.items()}
    assert torch.equal(network.apply(zeros, x), torch.zeros_like(expected))
    assert torch.equal(torch.func.functional_call(network, zeros, x), torch.zeros_like(expected))
    assert torch.equal(network(x), expected)
    seen: list[torch.nn.Module] = []
    assert network.apply(seen.append) is network  # as of any module
    assert {*seen} == {*network.modules()}
    assert len(seen) > 1


def test_it_moves_as_a_module_does(sliding: fcconv.Sliding) -> None:
    network = compiled(sliding.model).to("meta")  # a device that every machine has
    assert {p.device.type for p in network.params.values()} == {"meta"}
    assert network(images(1, 31).to("meta")).device.type == "meta"
    assert network(to_numpy(images(1, 31))).device.type == "meta"
    assert network.apply(network.params, images(1, 31).to("meta")).shape == (1, 1, 3, 1)


def test_a_sliding_network_follows_its_image(sliding: fcconv.Sliding) -> None:
    x = images(1, 31).requires_grad_()
    scores = sliding(x)
    scores.sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).any())
    assert not sliding(x.detach()).requires_grad  # nobody could ask for gradients of its weights
    assert sliding(x.detach().to("meta")).device.type == "meta"


def test_it_is_not_pickled(sliding: fcconv.Sliding) -> None:
    with pytest.raises(fcconv.UnsupportedError, match="compile that again"):
        copy.deepcopy(compiled(sliding.model))


def test_scans_keep_nothing_for_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []

    def conv(*arguments: Any) -> torch.Tensor:
        made = convolution(*arguments)
        kept.append(made.requires_grad)
        return made

    convolution = fcconv_torch.conv
    monkeypatch.setattr(fcconv_torch, "conv", conv)
    image = torch.from_numpy(picture())
    found = fcconv.scan(small_network(), image, engine="torch")
    assert_identical(found.scores, fcconv.scan(small_network(), picture()).scores, "scan")
    assert found.engine == "torch"
    assert kept
    assert not any(kept)
    assert fcconv.compile(small_network(), "torch")(np.zeros((1, 2, 7, 8), "f")).requires_grad
    assert kept[-1]


# compiled, exported, transformed


def test_networks_are_exported(sliding: fcconv.Sliding) -> None:
    network, count = compiled(sliding.model), torch.export.Dim("count")
    exported: Any = torch.export.export(network, (images(2, 31),), dynamic_shapes=(({0: count},),))
    assert {*exported.state_dict} == {*network.params}
    x = images(5, 31)
    assert torch.equal(exported.module()(x), network(x))


@follows_caches
def test_networks_are_compiled_whole(sliding: fcconv.Sliding) -> None:
    network, x = compiled(sliding.model), images(2, 31)
    quick: Any = torch.compile(network, fullgraph=True, backend="aot_eager")
    expected, found = network(x), quick(x)
    assert torch.equal(found, expected)
    tuned = [network.params[name] for name in network.trainable]
    gradients = [torch.autograd.grad(y.sum(), tuned) for y in (found, expected)]
    assert all(map(torch.equal, *gradients))
    with torch.no_grad():
        network.params["conv1.weight"].zero_()
    assert torch.equal(quick(x), network(x))


def _layers(x: Any, weight: Any, bias: Any) -> dict[str, Any]:
    """Call every array function."""
    y = fcconv.conv(x, weight, bias, padding=((1, 0), (1, 2)), stride=2, groups=2)
    return {
        "conv": y,
        "max_pool": fcconv.max_pool(y, 3, stride=2, padding=1, ceil_mode=True),
        "avg_pool": fcconv.avg_pool(y, 3, stride=2, padding=1, ceil_mode=True),
        "im2col": fcconv.im2col(x, 3, dilation=2),
        "dense": fcconv.dense(y.reshape(y.shape[0] * 6, 6), weight.reshape(18, 6)),
        "conv1x1": fcconv.conv1x1(y, weight[:, :, 1, 1].repeat(1, 3), bias),
        "dense_to_conv": fcconv.dense_to_conv(weight.reshape(6, 18), (2, 3, 3), "HWC"),
        "dense_to_conv1x1": fcconv.dense_to_conv1x1(weight.reshape(6, 18)),
        "conv_to_dense": fcconv.conv_to_dense(weight, (4, 5, 5), groups=2, padding="same"),
    }


def _operands(batch: int) -> list[torch.Tensor]:
    shapes = (batch, 4, 5, 5), (6, 2, 3, 3), (6,)
    return [torch.from_numpy(integers(7, shape, "float32")) for shape in shapes]


@follows_caches
def test_functions_are_compiled_whole_and_exported() -> None:
    class Layers(torch.nn.Module):
        def forward(self, x: Any, weight: Any, bias: Any) -> Any:
            return _layers(x, weight, bias)

    batch = torch.export.Dim("batch")
    exported: Any = torch.export.export(
        Layers(), tuple(_operands(2)), dynamic_shapes=({0: batch}, None, None)
    ).module()
    quick = torch.compile(_layers, fullgraph=True, backend="aot_eager", dynamic=True)
    for count in (2, 3):
        expected = _layers(*_operands(count))
        for found in (exported(*_operands(count)), quick(*_operands(count))):
            assert found.keys() == expected.keys()
            for name, y in expected.items():
                assert torch.equal(found[name], y), name


def test_functions_are_mapped() -> None:
    x, weight, bias = (torch.stack([t, t + 1, 2 * t]) for t in _operands(2))
    mapped = torch.func.vmap(_layers)(x, weight, bias)
    for k in range(len(x)):
        for name, y in _layers(x[k], weight[k], bias[k]).items():
            assert torch.equal(mapped[name][k], y), name


# gradients


@settings(max_examples=20)
@given(dtype=st.sampled_from(["float64", "float32", "bfloat16"]), case=dense_cases(), seed=seeds)
def test_forms_have_equal_gradients(dtype: str, case: DenseCase, seed: int) -> None:
    block = (case.batch, *case.block)
    x = integers(seed, block, dtype, -1)
    weight = integers(seed + 1, (case.outputs, math.prod(case.block)), dtype, -1)
    bias = integers(seed + 2, (case.outputs,), dtype)
    upstream = integers(seed + 3, (case.batch, case.outputs), "float64", -1)
    operands = [fcconv_torch.asarray(array).requires_grad_() for array in (x, weight, bias)]
    features = flatten(x, case.order).astype(float)
    of_features = (upstream @ weight.astype(float)).astype(x.dtype)
    of_weight = (upstream.T @ features).astype(x.dtype)
    of_bias = upstream.sum(0).astype(x.dtype)
    for name, y in forms(case, *operands).items():
        made = torch.autograd.grad(y, operands, fcconv_torch.asarray(upstream).to(y.dtype))
        by_x, by_weight, by_bias = map(to_numpy, made)
        assert_identical(flatten(by_x, case.order), of_features, (name, "x", case))
        assert_identical(by_weight, of_weight, (name, "weight", case))
        assert_identical(by_bias, of_bias, (name, "bias", case))


@settings(max_examples=30)
@given(case=conv_cases(), seed=seeds)
def test_convolutions_are_linear_in_each_operand(case: ConvCase, seed: int) -> None:
    x, weight = (torch.from_numpy(integers(seed + k, shape, "float64")).requires_grad_()
                 for k, shape in enumerate((case.x, case.weight)))  # fmt: skip
    y = fcconv.conv(x, weight, **case.arguments)
    upstream = torch.from_numpy(integers(seed + 2, tuple(y.shape), "float64"))
    value = (y * upstream).sum()
    for operand, gradient in zip((x, weight), torch.autograd.grad(value, (x, weight)), strict=True):
        assert (operand * gradient).sum().item() == value.item()  # of integers, so exactly


@settings(max_examples=30)
@given(case=pool_cases(), seed=seeds)
def test_max_pool_has_gradients(case: PoolCase, seed: int) -> None:
    # distinct integers: each maximum is one pixel, and the gradient counts how often it wins
    x = np.random.default_rng(seed).permutation(math.prod(case.x)).reshape(case.x).astype(float)
    tensor = torch.from_numpy(x).requires_grad_()
    maxima = fcconv.max_pool(tensor, case.kernel, **case.arguments)
    (wins,) = torch.autograd.grad(maxima.sum(), tensor)
    expected = np.zeros(x.size)
    np.add.at(expected, np.searchsorted(np.sort(x.ravel()), to_numpy(maxima).ravel()), 1)
    assert_identical(to_numpy(wins).ravel()[np.argsort(x.ravel())], expected, case)


@settings(max_examples=30)
@given(case=pool_cases(), seed=seeds)
def test_avg_pool_has_gradients(case: PoolCase, seed: int) -> None:
    x = torch.from_numpy(integers(seed, case.x, "float64")).requires_grad_()
    value = fcconv.avg_pool(x, case.kernel, **case.arguments).sum()
    (gradient,) = torch.autograd.grad(value, x)
    # a mean is linear: gradient times x gives back the value, up to rounding
    products = to_numpy(gradient * x)
    terms = 30 * math.prod(x.shape) + 2  # each pixel is in at most 27 windows
    bound = 2 * rounding.dot_bound(np.abs(products).sum(), terms, "float64")
    assert abs(products.sum() - value.item()) <= bound


def test_it_trains_a_sliding_network(sliding: fcconv.Sliding) -> None:
    network, x = compiled(sliding.model), images(1, 31)
    descent = torch.optim.SGD(network.parameters(), lr=1e-5)
    before = network(x).square().mean()
    before.backward()
    assert all(network.params[n].grad.abs().max().item() > 0 for n in network.trainable)
    descent.step()
    assert network(x).square().mean().item() < before.item()


# devices that are named


def test_it_computes_on_the_device_that_it_is_told() -> None:
    engine = Engine("torch", device="meta")  # which every machine has, and which holds no numbers
    network = engine.compile(load_faces())
    assert {weight.device.type for weight in network.params.values()} == {"meta"}
    found = fcconv.scan(small_network(), picture(), engine="torch", device="cpu")
    expected = fcconv.scan(small_network(), picture(), engine="numpy")
    assert found.computed_by == "torch (cpu)"
    assert_identical(found.scores, expected.scores, "torch")


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("meta", "Cannot copy out of meta tensor"),
        ("gpu", "Expected one of cpu, cuda"),
        ("cuda:-1", "Invalid device string"),
        ("cuda:999", ""),  # other words with and without CUDA
    ],
)
def test_devices_that_are_not_there_are_refused(device: str, why: str) -> None:
    said = f"device (--device) {device!r}: PyTorch can't compute there: {why}"
    with pytest.raises(fcconv.BackendError, match=re.escape(said)) as refused:
        fcconv.scan(small_network(), picture(), engine="torch", device=device)
    assert "\n" not in str(refused.value)


# dtypes, and what other devices compute


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "complex64", "float16", "bfloat16"])
def test_dtypes_are_named_as_in_numpy(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    array = np.array([[0, 1, 3], [2, 1, 0]]).astype(kind)
    for view in (array, array[::-1, ::2]):
        tensor = fcconv_torch.asarray(view)
        assert str(tensor.dtype) == f"torch.{dtype}"
        assert fcconv_torch.dtype(tensor.dtype) == kind
        assert_identical(tensor, view, dtype)
    assert_identical(fcconv_torch.asarray(np.arange(3, dtype=">i4")), np.arange(3), "big-endian")
    held = fcconv_torch.asarray(array)
    array[...] = 0
    assert bool(fcconv_torch.to_numpy(held).any())  # it was copied


def test_dtypes_of_one_library_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(fcconv.DtypeError, match="PyTorch has no arrays of dtype int4"):
        fcconv_torch.asarray(np.zeros(1, ml_dtypes.int4))
    with pytest.raises(fcconv.DtypeError, match=r"NumPy has no torch\.qint8"):
        of_numpy(torch.qint8)
    assert not fcconv_torch.missing_dtype(np.dtype("float64"))
    monkeypatch.setattr(torch, "get_default_device", lambda: torch.device("mps"))
    assert "mps" in fcconv_torch.missing_dtype(np.dtype("float64"))


@pytest.mark.parametrize("dtype", UNSIGNED)
def test_unsigned_integers_are_those_of_numpy(dtype: str) -> None:
    a, b = any_integers(1, (2, 3, 8), dtype), any_integers(2, (2, 3, 8), dtype) | np.array(1, dtype)
    window = geometry.window((8,), 3, 2, 1, ceil_mode=True)
    calls: dict[str, Callable[[Any, Any, Any], Any]] = {
        "max_pool": lambda xp, a, _b: xp.max_pool(a, window),
        "im2col": lambda xp, a, _b: xp.im2col(a, window),
        "reduce_max": lambda xp, a, _b: xp.reduce_max(a, [0, 2]),
        "reduce_sum": lambda xp, a, _b: xp.reduce_sum(a, [0, 2]),
        "add": lambda xp, a, b: xp.add(a, b),
        "subtract": lambda xp, a, b: xp.subtract(a, b),
        "divide": lambda xp, a, b: xp.divide(a, b),
        "greater": lambda xp, a, b: xp.elementwise("", lambda _xp, a, b: a > b, a, b),
        "argmax": lambda xp, a, _b: xp.along("", lambda xp, a: xp.argmax(a, axis=1), a, 1),
        "flip": lambda xp, a, _b: xp.namespace.flip(a, 2),
        "take": lambda xp, a, _b: xp.namespace.take(a, np.array([[2, 0]]), axis=1),
    }
    for name, call in calls.items():
        expected = call(fcconv.backend("numpy"), a, b)
        found = call(fcconv_torch, *map(fcconv_torch.asarray, (a, b)))
        assert fcconv_torch.dtype(found.dtype) == expected.dtype, name
        assert_identical(found, expected, name)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pads_are_those_of_numpy(mode: str) -> None:
    x, widths = integers(0, (3, 4, 5), "int32"), [(0, 0), (2, 1), (3, 0)]
    pad = partial(namespace.pad, torch.from_numpy(x), widths, mode=mode)
    assert_identical(pad(), np.pad(x, widths, mode), mode)  # type: ignore[call-overload]
    if mode == "constant":
        filled = np.pad(x, widths, constant_values=7)
        assert_identical(pad(constant_values=7), filled, mode)
        assert_identical(pad(constant_values=torch.tensor(7, dtype=torch.int32)), filled, mode)


@pytest.mark.parametrize(
    ("a", "b"), [((4, 600), (600, 3)), ((2, 1, 4, 5), (3, 5, 2)), ((5,), (5,)), ((5,), (2, 5, 3)),
                 ((2, 3, 5), (5,)), ((3, 0), (0, 2))]
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_integers_have_products_without_a_kernel(
    a: tuple[int, ...], b: tuple[int, ...], dtype: str
) -> None:
    left, right = any_integers(0, a, dtype), any_integers(1, b, dtype)
    found = summed_product(torch.from_numpy(left), torch.from_numpy(right))
    assert_identical(found, left @ right, (a, b))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, ((0, 1), (0, 0))])
def test_a_kernel_as_large_as_its_input(groups: int, padding: Any) -> None:
    x, weight = integers(0, (2, 4, 3, 2), "float32"), integers(1, (6, 4 // groups, 3, 2), "float32")
    tensors = torch.from_numpy(x), torch.from_numpy(weight)
    found = fcconv.conv(*tensors, padding=padding, groups=groups)
    assert_identical(found, fcconv.conv(x, weight, padding=padding, groups=groups), "numpy")


@given(case=conv_cases(), seed=seeds)
def test_the_call_without_tf32_is_the_same_convolution(case: ConvCase, seed: int) -> None:
    case = ConvCase(**{**vars(case), "padding": 1, "x": (2, *case.x[1:])})
    x, weight = (torch.from_numpy(normal(seed, s, "float32")) for s in (case.x, case.weight))
    arguments = {name: case.arguments[name] for name in ("stride", "padding", "dilation")}
    try:
        window = geometry.window(case.x[2:], case.weight[2:], **arguments)
    except fcconv.ShapeError:
        return
    bias = weight.flatten()[: len(weight)]
    found = in_whole_float32(x, weight, bias, window, [1] * len(window.kernel), case.groups)
    expected = getattr(torch.nn.functional, f"conv{len(window.kernel)}d")(
        x, weight, bias, **arguments, groups=case.groups
    )
    assert torch.equal(found, expected)


def test_onnx_of_a_module_keeps_its_names() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
    weights = {name: w.detach().numpy() for name, w in module.state_dict().items()}
    graph = Graph(1, 5, 5)
    graph.constants.update(weights)
    model = graph.model(graph.add("Relu", graph.add("Conv", "image", *weights)), rank=4)
    assert isinstance(model, onnx.ModelProto)
    network, x = compiled(model), torch.rand(2, 1, 5, 5)
    assert torch.equal(network(x), module(x))
    torch.nn.init.ones_(module[0].weight)  # type: ignore[arg-type]
    network.load_state_dict(module.state_dict())
    assert torch.equal(network(x), module(x))
