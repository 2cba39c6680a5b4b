"""The proof of a sliding network: in a finite field, one pass agrees with every crop.

Three statements, each decidable. *Weights*: each new kernel holds the old weights, bit for bit.
*Function*: in a finite field, under random keys, the rewritten network agrees with the original on
every window (see :mod:`fcconv_modular`). *Rounding*: what floats add, measured beside the original.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

import fcconv_numpy
from fcconv.certificate.report import Certificate, Rounding
from fcconv.errors import ShapeError, UnsupportedError
from fcconv.graph.engines import compile as compile_network
from fcconv.graph.load import load
from fcconv.graph.node import Node
from fcconv.graph.run import Program
from fcconv.graph.slide import convolutionize
from fcconv_modular import Field, P, false_agreement

LARGE_WINDOW = 128**2
"""Pixels from which on a proof takes two windows an axis instead of three."""

LARGEST_IMAGE = 2**27
"""Most numbers in the image of a proof."""

LONGEST_STRIDE = 4096
"""Pixels between windows up to which the stride of a network that does not tell it is sought."""

Ints = tuple[int, ...]
Array = npt.NDArray[Any]


class Proof:
    """A patch network beside its sliding form."""

    def __init__(
        self, original: ir.Model, rewritten: ir.Model, axes: Ints, rng: np.random.Generator
    ) -> None:
        self.models = original, rewritten
        self.original, self.rewritten = Program(original), Program(rewritten)
        self.axes, self.rng = axes, rng
        shape = self.original.inputs[0].shape
        self.shape = tuple(int(str(n)) for n in shape.dims[1:]) if shape is not None else ()
        self.window = tuple(self.shape[axis - 1] for axis in axes)
        self.stride = self._stride()
        each = 3 if math.prod(self.window) < LARGE_WINDOW and len(axes) < 3 else 2
        self.cells = (each,) * len(axes)
        if math.prod(self._image_shape()) > LARGEST_IMAGE:
            raise ShapeError(
                f"windows {self.stride} pixels apart need an image of {self._image_shape()} for "
                f"the proof: too large, take a smaller stride"
            )

    def certificate(self, keys: Sequence[int]) -> Certificate:
        """Compare every window under every key, and the native size."""
        windows = math.prod(self.cells)
        agree = np.ones(windows, bool)
        native = True
        for key in keys:
            image, patch = self._residues(self._image_shape()), self._residues(self.shape)
            field = _Side(self.original, Field(key)), _Side(self.rewritten, Field(key))
            if agree.any():  # a window that differs under one key differs
                agree &= self._agreeing(*field, image, self.cells)
            native &= bool(self._agreeing(*field, patch, (1,) * len(self.axes)).all())
        exact = native and bool(agree.all())
        difference, reasons = (None, ()) if exact else self._why(keys[0])
        return Certificate(
            form="sliding",
            stride=self.stride,
            exact=exact,
            native_exact=native,
            holds=native and difference is None,
            windows=windows,
            equal=int(agree.sum()),
            false_pass_probability=false_agreement(len(self.rewritten.steps), len(keys)),
            difference=difference,
            reasons=reasons,
            weights=moved_weights(*self.models),
            errors=self._rounding(exact),
        )

    def _stride(self) -> Ints:
        """Read the window stride, or find it: the pixels that it takes to a second window."""
        told = self.models[1].metadata_props.get("fcconv.stride", "")
        if told:
            return tuple(int(n) for n in told.split())
        side = _Side(self.rewritten, Field(0))
        found = []
        for k, axis in enumerate(self.axes):
            for step in range(1, LONGEST_STRIDE):
                size = list(self.shape)
                size[axis - 1] += step
                if side.run(self._residues(tuple(size)))[0].shape[2 + k] > 1:
                    found.append(step)
                    break
            else:
                raise ShapeError(f"no second window within {LONGEST_STRIDE} pixels")
        return tuple(found)

    def _image_shape(self) -> Ints:
        """Leave as many pixels over as the last window can leave."""
        size = list(self.shape)
        for axis, stride, cells in zip(self.axes, self.stride, self.cells, strict=True):
            size[axis - 1] += stride * cells - 1
        return tuple(size)

    def _residues(self, shape: Ints) -> Array:
        return self.rng.integers(0, P, (1, *shape))

    def _agreeing(self, first: _Side, second: _Side, image: Array, cells: Ints) -> Array:
        """Say for each window whether one pass gives it the scores of its crop."""
        crops = first.run(self._crops(image, cells))
        try:
            maps = second.run(image)
        except ShapeError:  # too small an image for what the network became
            return np.zeros(math.prod(cells), bool)
        agree = np.ones(math.prod(cells), bool)
        for crop, scores in zip(crops, maps, strict=True):
            expected = crop.reshape(len(crop), -1)
            if scores.shape != (1, expected.shape[1], *cells):
                return np.zeros_like(agree)
            agree &= (expected == scores.reshape(expected.shape[1], -1).T).all(axis=1)
        return agree

    def _crops(self, image: Array, cells: Ints) -> Array:
        crops = []
        for cell in itertools.product(*map(range, cells)):
            place = [slice(None)] * image.ndim
            for axis, i, stride, n in zip(self.axes, cell, self.stride, self.window, strict=True):
                place[axis] = slice(i * stride, i * stride + n)
            crops.append(image[tuple(place)])
        return np.concatenate(crops)

    def _why(self, key: int) -> tuple[str | None, tuple[str, ...]]:
        """Tell a wrong rewriting from a right one of a network that pads."""
        channels = [a for a in range(1, 1 + len(self.shape)) if a not in self.axes]
        if len(channels) > 1:
            return "the outputs", ()
        try:
            expected = convolutionize(self.models[0], stride=self.stride, spatial_axes=self.axes)
        except UnsupportedError as error:
            return "the outputs", (str(error),)
        image = self._residues(self._image_shape())
        difference = _first_difference(
            _Side(Program(load(expected.model)), Field(key)),
            _Side(self.rewritten, Field(key)),
            image,
        )
        if difference is None and expected.exact:
            difference = "the outputs: a defect of fcconv's rules, please report it"
        return difference, expected.reasons

    def _rounding(self, exact: bool) -> tuple[Rounding, ...]:
        """Measure each engine against the original in float64."""
        cells = self.cells if exact else (1,) * len(self.axes)
        shape = self._image_shape() if exact else self.shape
        image = self.rng.standard_normal((1, *shape))
        crops = self._crops(image, cells)
        truth = _Side(self.original, fcconv_numpy, np.float64).run(crops)
        dtype = self.original.inputs[0].dtype
        narrow = np.float32 if dtype is None else dtype.numpy()
        rows = []
        for engine in ("numpy", "onnxruntime"):
            if importlib.util.find_spec(engine) is None:
                continue
            try:
                patch, one_pass = (compile_network(model, engine) for model in self.models)
            except UnsupportedError:  # onnxruntime has no float64 convolution, for one
                continue
            patches = _outputs(patch(crops.astype(narrow)))
            maps = _outputs(one_pass(image.astype(narrow)))
            lined = [m.reshape(*m.shape[1:2], -1).T for m in maps]
            rows.append(Rounding(engine, _error(truth, patches), _error(truth, lined)))
        return tuple(rows)


class _Side:
    """A network with its weights as arrays of one backend."""

    def __init__(self, program: Program, backend: Any, dtype: Any = None) -> None:
        self.program, self.backend = program, backend
        self.weights = {
            name: backend.asarray(weight if dtype is None else weight.astype(dtype))
            for name, weight in program.parameters().items()
        }

    def run(self, images: Array, visit: Any = None) -> list[Array]:
        """Compute the outputs for a batch."""
        return self.program.run_batches(self.backend, self.weights, [images], visit)


def _first_difference(expected: _Side, found: _Side, image: Array) -> str | None:
    """Name the first node that does not compute what the node of its name should."""
    wanted: dict[str, Array] = {}
    made: list[tuple[Node, Array]] = []
    results = expected.run(image, lambda node, outputs: wanted.update({node.name: outputs[0]}))
    try:
        outputs = found.run(image, lambda node, outputs: made.append((node, outputs[0])))
    except ShapeError as error:
        return str(error)
    for node, output in made:
        if node.name in wanted and not np.array_equal(wanted[node.name], output):
            return str(node)
    same = all(np.array_equal(a, b) for a, b in zip(results, outputs, strict=True))
    return None if same else "the outputs"


def moved_weights(original: ir.Model, rewritten: ir.Model) -> dict[str, bool]:
    """Say for each layer of both networks whether its weights are the same, bit for bit.

    Copies of all of them count as the same; zeros may be added.
    """
    before, after = _weights(original), _weights(rewritten)
    found = {}
    for name, old in before.items():
        if name in after:
            a, b = (np.sort(_bits(w[w != 0])) for w in (old, after[name]))
            copies = len(b) // max(len(a), 1)
            found[name] = np.array_equal(np.repeat(a, copies), b)
    return found


def _weights(model: ir.Model) -> dict[str, Array]:
    """Return the matrix or kernel of each layer by the name of its node."""
    weights = {}
    for ir_node in model.graph:
        for value in ir_node.inputs[1:2]:
            tensor = None if value is None else value.const_value
            if ir_node.op_type in ("Gemm", "MatMul", "Conv") and tensor is not None:
                weights[str(ir_node.name)] = tensor.numpy()
    return weights


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def _outputs(results: Any) -> list[Array]:
    return list(results) if isinstance(results, tuple) else [results]


def _error(truth: Sequence[Array], found: Sequence[Array]) -> float:
    """Return the largest difference of floating point outputs."""
    return max(
        (
            float(np.abs(a.reshape(len(a), -1) - b.reshape(len(a), -1)).max())
            for a, b in zip(truth, found, strict=True)
            if b.dtype.kind == "f"
        ),
        default=0.0,
    )
