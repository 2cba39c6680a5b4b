"""The windows of an image one by one, and what a sliding network must be beside them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

import fcconv
from comparing import assert_identical
from fcconv.errors import UnsupportedError
from fcconv.graph.files.load import load
from fcconv.graph.rewriting.convolutionize import Windows
from fcconv.graph.running.run import program_of
from fcconv.scanning.memory import corners
from fcconv_modular import Field, field_of
from fcconv_modular.residues import Residues
from graphs import Array
from random_graphs import Case
from strategies import integers

REFUSALS = [
    "at this stride it can't pad by edge: take the default stride",
    "its padding would be as long as its kernel, which engines refuse: try the default stride",
    "at this stride it needs the dilations of opset 19: convert the model to it",
]
"""Why a network of `random_graphs` may not slide, though it does by its own stride."""


def slid(case: Case, windows: Windows = "shared") -> fcconv.Sliding:
    """Slide a network by its case's stride; by its own, if that is refused for a good reason."""
    try:
        return fcconv.convolutionize(case.model, stride=case.stride, windows=windows)
    except UnsupportedError as error:
        if case.stride is None or not any(reason in str(error) for reason in REFUSALS):
            raise
        return fcconv.convolutionize(case.model, windows=windows)


def larger(
    case: Case, sliding: fcconv.Sliding, seed: int, more: Sequence[tuple[int, int]]
) -> tuple[Array, tuple[int, ...]]:
    """Make an image of integers with some windows an axis, and say how many."""
    shape, cells = patch_shape(case.model), []
    for axis, stride, (n, rest) in zip(case.axes, sliding.stride, more, strict=False):
        shape[axis] += stride * n + rest % stride
        cells.append(n + 1)
    return integers(seed, shape, case.dtype), tuple(cells)


def smallest(case: Case, sliding: fcconv.Sliding) -> list[tuple[int, ...]]:
    """List the shapes of images of one window, or a stride more along each axis."""
    shapes = []
    large = [n + s for n, s in zip(sliding.window, sliding.stride, strict=True)]
    for size in corners(large, sliding.window, sliding.stride):
        shape = patch_shape(case.model)
        for axis, n in zip(case.axes, size, strict=True):
            shape[axis] = n
        shapes.append(tuple(shape))
    return shapes


def patch_shape(model: onnx.ModelProto) -> list[int]:
    return [1, *(n.dim_value for n in model.graph.input[0].type.tensor_type.shape.dim[1:])]


def crops(case: Case, sliding: fcconv.Sliding, image: Any, cells: Sequence[int]) -> Any:
    """Yield the windows of an image in the order of cells."""
    for cell in itertools.product(*map(range, cells)):
        yield crop(case.axes, sliding, image, cell)


def crop(axes: Sequence[int], sliding: fcconv.Sliding, image: Any, cell: Sequence[int]) -> Any:
    place = [slice(None)] * image.ndim
    for axis, i, stride, n in zip(axes, cell, sliding.stride, sliding.window, strict=True):
        place[axis] = slice(i * stride, i * stride + n)
    return image[tuple(place)]


def is_exact(case: Case, sliding: fcconv.Sliding, seed: int) -> bool:
    """Say whether a window amid an image has the scores of its crop, in a finite field."""
    shape, cell = patch_shape(case.model), []
    for axis, stride, n, (start, stop) in zip(
        case.axes, sliding.stride, sliding.window, sliding.reach, strict=True
    ):
        margin = n + max(-start, stop - n, 0)
        cell.append(-(-margin // stride))
        shape[axis] += cell[-1] * stride + margin
    field = field_of(seed)
    image = pixels(field, seed, case.dtype, shape)
    maps, scores = (
        program_of(load(model)).run(field, residues(field, model), [part])
        for model, part in (
            (sliding.model, image),
            (case.model, crop(case.axes, sliding, image, cell)),
        )
    )
    return all(
        np.array_equal(a.numbers[(0, slice(None), *cell)], b.numbers.ravel())
        for a, b in zip(maps, scores, strict=True)
    )


def assert_every_window(case: Case, sliding: fcconv.Sliding, seed: int = 0) -> None:
    """Compare all windows of images of several sizes with their crops, in a finite field."""
    field = field_of(seed)
    whole, patch = (program_of(load(model)) for model in (sliding.model, case.model))
    weights = [residues(field, model) for model in (sliding.model, case.model)]
    for more in ((0, 0, 0), (1, 2, 0), (2, 1, 1)):
        shape, cells = patch_shape(case.model), []
        for axis, stride, n in zip(case.axes, sliding.stride, more, strict=False):
            shape[axis] += stride * n + (stride - 1) * (n % 2)
            cells.append(n + 1)
        image = pixels(field, seed, case.dtype, shape)
        windows = image.of(np.concatenate([*crops(case, sliding, image.numbers, cells)]))
        maps = whole.run(field, weights[0], [image])
        scores = patch.run_batches(field, weights[1], [windows])
        for found, expected in zip(maps, scores, strict=True):
            channels = expected.numbers.reshape(math.prod(cells), -1).T
            assert_identical(
                found.numbers, channels.reshape(1, len(channels), *cells), (more, case)
            )


def pixels(field: Field, seed: int, dtype: str, shape: Sequence[int]) -> Residues:
    """Draw an image of a finite field."""
    numbers = np.random.default_rng(seed).integers(0, field.prime, shape)
    return Residues(numbers, np.dtype(dtype))


def residues(field: Field, model: Any) -> dict[str, Any]:
    return program_of(load(model)).parameters(field)


def listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def quiet() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return options


def valid(sliding: fcconv.Sliding) -> onnx.ModelProto:
    """Check that a sliding network is valid ONNX, its batch and sizes free."""
    model: onnx.ModelProto = cast("Any", ir.to_proto(sliding.model))
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
