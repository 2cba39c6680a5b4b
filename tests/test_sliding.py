"""One pass of a sliding network gives every window the scores of its crop, and the proof says so."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical, compute
from fcconv.backend import Backend
from fcconv.errors import ShapeError, UnsupportedError
from fcconv.graph.load import load
from fcconv.graph.run import Program
from fcconv_modular import Field, P
from random_graphs import Array, Case, Graph, cases
from strategies import integers, normal, seeds

ONNXRUNTIME = ("float32",)
"""What it convolves; a certificate measures its rounding errors."""

REFUSALS = [
    "at this stride it can't pad by edge: take the default stride",
    "its padding would be as long as its kernel, which engines refuse: take the default stride",
    "at this stride it needs the dilations of opset 19: convert the model to it",
]
"""Why a network of `random_graphs` may not slide, though it does by its own stride."""

extras = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=3, max_size=3)
"""For each axis the windows after the first one, and pixels that no further window fits into."""


# Random networks ------------------------------------------------------------------------------


@given(case=cases(whole=True, pads=False), seed=seeds, more=extras)
def test_one_pass_equals_the_crops(case: Case, seed: int, more: Any) -> None:
    check_crops(fcconv.backend("numpy"), case, seed, more)


@settings(max_examples=8)
@given(case=cases(whole=True, pads=False), seed=seeds, more=extras)
def test_one_pass_equals_the_crops_on_jax(case: Case, seed: int, more: Any) -> None:
    check_crops(fcconv.backend("jax"), case, seed, more)


@given(case=cases(dtypes=ONNXRUNTIME), seed=seeds)
def test_verdict_and_proof_agree(case: Case, seed: int) -> None:
    sliding = slid(case)
    assert sliding.exact == is_exact(case, sliding, seed), case
    certificate = fcconv.certify(case.model, sliding)
    assert certificate.holds, (certificate, case)
    assert certificate.native_exact, (certificate, case)
    assert all(certificate.weights.values()), (certificate, case)
    assert certificate.exact or not sliding.exact, (certificate, case)


@given(case=cases(whole=True, dtypes=ONNXRUNTIME), seed=seeds, more=extras)
def test_the_written_network_is_onnx(case: Case, seed: int, more: Any) -> None:
    sliding = slid(case)
    model = valid(sliding)
    image, cells = larger(case, sliding, seed, more)
    patch = next(crops(case, sliding, image, cells))
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet())
    for pixels in (patch, image, np.concatenate([patch, patch])):
        expected = sliding(pixels)
        for found, scores in zip(session.run(None, {"image": pixels}), listed(expected), strict=True):
            assert_identical(found, scores, case)
    for found, scores in zip(
        listed(sliding(patch)), listed(fcconv.compile(case.model)(patch)), strict=True
    ):
        assert_identical(found.reshape(scores.shape), scores, case)


def slid(case: Case) -> fcconv.Sliding:
    """Slide a network by its case's stride; by its own, if that is refused for a good reason."""
    try:
        return fcconv.convolutionize(case.model, stride=case.stride)
    except UnsupportedError as error:
        assert case.stride is not None, case
        assert any(reason in str(error) for reason in REFUSALS), (error, case)
        return fcconv.convolutionize(case.model)


def larger(
    case: Case, sliding: fcconv.Sliding, seed: int, more: Sequence[tuple[int, int]]
) -> tuple[Array, tuple[int, ...]]:
    """Make an image of integers with some windows an axis, and say how many."""
    shape, cells = patch_shape(case.model), []
    for axis, stride, (n, rest) in zip(case.axes, sliding.stride, more, strict=False):
        shape[axis] += stride * n + rest % stride
        cells.append(n + 1)
    return integers(seed, shape, case.dtype), tuple(cells)


def patch_shape(model: onnx.ModelProto) -> list[int]:
    return [1, *(n.dim_value for n in model.graph.input[0].type.tensor_type.shape.dim[1:])]


def crops(case: Case, sliding: fcconv.Sliding, image: Array, cells: Sequence[int]) -> Any:
    """Yield the windows of an image in the order of cells."""
    for cell in itertools.product(*map(range, cells)):
        yield crop(case.axes, sliding, image, cell)


def crop(
    axes: Sequence[int], sliding: fcconv.Sliding, image: Array, cell: Sequence[int]
) -> Array:
    place = [slice(None)] * image.ndim
    for axis, i, stride, n in zip(axes, cell, sliding.stride, sliding.window, strict=True):
        place[axis] = slice(i * stride, i * stride + n)
    return image[tuple(place)]


def check_crops(xp: Backend[Any], case: Case, seed: int, more: Any) -> None:
    sliding = slid(case)
    assert sliding.exact, case
    image, cells = larger(case, sliding, seed, more)
    one_by_one = listed(fcconv.compile(case.model)(np.concatenate([*crops(case, sliding, image, cells)])))
    network = fcconv.compile(sliding.model, NAMES[xp])
    maps = listed(compute(xp, lambda image: network(image), image))
    for scores, expected in zip(maps, one_by_one, strict=True):
        channels = expected.reshape(len(expected), -1).T
        assert_identical(scores, channels.reshape(1, len(channels), *cells), case)


def is_exact(case: Case, sliding: fcconv.Sliding, seed: int) -> bool:
    """Say whether a window amid an image has the scores of its crop, in a finite field."""
    shape, cell = patch_shape(case.model), []
    for axis, stride, n, (start, stop) in zip(
        case.axes, sliding.stride, sliding.window, sliding.reach, strict=True
    ):
        margin = max(-start, stop - n, 0)
        margin += n if margin else 0
        cell.append(-(-margin // stride))
        shape[axis] += cell[-1] * stride + margin
    field = Field(seed)
    image = np.random.default_rng(seed).integers(0, P, shape)
    maps, scores = (
        Program(load(model)).run(field, residues(field, model), [pixels])
        for model, pixels in (
            (sliding.model, image),
            (case.model, crop(case.axes, sliding, image, cell)),
        )
    )
    return all(
        np.array_equal(a[(0, slice(None), *cell)], b.ravel())
        for a, b in zip(maps, scores, strict=True)
    )


def residues(field: Field, model: Any) -> dict[str, Any]:
    return {n: field.asarray(w) for n, w in Program(load(model)).parameters().items()}


def listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def quiet() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return options


def valid(sliding: fcconv.Sliding) -> onnx.ModelProto:
    """Check that a sliding network is valid ONNX, its batch and sizes free."""
    model: Any = ir.to_proto(sliding.model)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    rank = len(sliding.window)
    free = [n.dim_param for n in model.graph.input[0].type.tensor_type.shape.dim if n.dim_param]
    assert free == ["N", *(f"size_{k}" for k in range(rank))]
    for output in model.graph.output:
        batch, channels, *cells = output.type.tensor_type.shape.dim
        assert batch.dim_param == "N"
        assert channels.dim_value
        assert len({n.dim_param for n in cells} - {""}) == rank
    return model
