"""The proof of a sliding network: in a finite field, one pass agrees with every crop.

Both networks run under random keys (see :mod:`fcconv_modular`) on images of several sizes; a
network at its native size, on a batch of two. Where they differ, the rules of
:mod:`fcconv.graph` are asked what should have come out, node by node.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from fcconv.certificate.measure import rounding_errors
from fcconv.certificate.reach import reach
from fcconv.certificate.report import Certificate, Rounding
from fcconv.certificate.side import Array, Grid, Ints, Side, flat
from fcconv.certificate.weights import moved_weights
from fcconv.errors import FcconvError, ModelError, ShapeError, UnsupportedError
from fcconv.graph.load import load
from fcconv.graph.node import Node
from fcconv.graph.run import Program
from fcconv.graph.slide import convolutionize
from fcconv.graph.sliding import STRIDE, told
from fcconv_modular import Field

LARGE_WINDOW = 128**2
"""Pixels from which on two windows are compared along an axis, and not three."""

LARGEST_IMAGE = 2**27
"""Most numbers in the image of a proof."""

LONGEST_STRIDE = 2**14
"""Pixels between windows up to which the stride of a network that does not tell it is sought."""


class Proof:
    """A patch network beside its sliding form.

    Parameters
    ----------
    original, rewritten : onnx_ir.Model
        The two networks.
    axes : tuple of int
        The input axes that slide.
    rng : numpy.random.Generator
        Draws the images.
    """

    def __init__(
        self, original: ir.Model, rewritten: ir.Model, axes: Ints, rng: np.random.Generator
    ) -> None:
        self._models = original, rewritten
        self._programs = Program(original), Program(rewritten)
        self._axes, self._rng = axes, rng
        shape = self._programs[0].inputs[0].shape
        self._shape = () if shape is None else tuple(int(str(n)) for n in shape.dims[1:])
        self._window = tuple(self._shape[axis - 1] for axis in axes)
        self._stride = told(rewritten, STRIDE, len(axes)) or self._find_stride()
        small = len(axes) < 3 and math.prod(self._window) < LARGE_WINDOW
        self._most = 3 if small else 2
        self._reach = reach(rewritten.graph, len(axes))
        self._native = Grid(self._shape, self._shape, axes, self._stride, 1)
        # once large enough for a window to have neighbours, once for all that a score can see
        near = [n + max(n, s) + s - 1 for n, s in zip(self._window, self._stride, strict=True)]
        far = [
            n + max(n, r, s) + 2 * s
            for n, r, s in zip(self._window, self._reach, self._stride, strict=True)
        ]
        self._grids = [self._grid(near), self._grid(far)]

    def certificate(self, keys: Sequence[int]) -> Certificate:
        """Compare every window under every key, and the native size."""
        native, agree, false_pass = True, np.ones(0, bool), 1.0
        for key, grid in zip(keys, self._grids, strict=True):
            fields = Field(key), Field(key)
            first, second = map(Side, self._programs, fields)
            native &= bool(self._agreeing(first, second, self._native, batch=2).all())
            if agree.all():  # one window that differs is enough
                agree = np.append(agree, self._agreeing(first, second, grid, batch=1))
            false_pass *= max(field.false_agreement() for field in fields)
        exact = native and bool(agree.all())
        difference, reasons = (None, ()) if exact else self._why(keys)
        errors: list[Rounding] = []
        if native and difference is None:
            try:
                grid = self._grids[0] if exact else self._native
                errors = rounding_errors(*self._models, grid, self._rng)
            except UnsupportedError as error:
                difference = str(error)
        return Certificate(
            form="sliding",
            window=self._window,
            stride=self._stride,
            exact=exact and difference is None,
            native_exact=native,
            holds=native and difference is None,
            windows=len(agree),
            equal=int(agree.sum()),
            false_pass_probability=min(false_pass, 1.0),
            difference=difference,
            reasons=reasons,
            weights=moved_weights(*self._models),
            errors=tuple(errors),
        )

    def _grid(self, sizes: Sequence[int]) -> Grid:
        """Lay windows over an image of such sizes."""
        image = list(self._shape)
        for axis, size in zip(self._axes, sizes, strict=True):
            image[axis - 1] = size
        if math.prod(image) > LARGEST_IMAGE:
            raise ShapeError(
                f"windows {self._stride} pixels apart that depend on {self._reach} pixels need an "
                f"image of {tuple(image)} for the proof: too large, take a smaller stride"
            )
        return Grid(self._shape, tuple(image), self._axes, self._stride, self._most)

    def _residues(self, side: Side, batch: int, shape: Ints) -> Array:
        return self._rng.integers(0, side.backend.prime, (batch, *shape))

    def _find_stride(self) -> Ints:
        """Find the pixels that it takes from a second window to a third."""
        side = Side(self._programs[1], Field(0))

        def cells(k: int, pixels: int) -> int:
            size = list(self._shape)
            size[self._axes[k] - 1] += pixels
            shape = side.run(self._residues(side, 1, tuple(size)))[0].shape
            if len(shape) != 2 + len(self._axes):
                raise ModelError(f"the rewritten network gives scores of shape {shape}, no map")
            return int(shape[2 + k])

        def pixels_to(k: int, count: int) -> int:
            low, high = 0, 1
            while cells(k, high) < count:
                low, high = high, 2 * high
                if high > 2 * LONGEST_STRIDE:
                    raise ModelError(f"no window {count} within {high} pixels more")
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if cells(k, middle) >= count else (middle, high)
            return high

        return tuple(pixels_to(k, 3) - pixels_to(k, 2) for k in range(len(self._axes)))

    def _agreeing(self, first: Side, second: Side, grid: Grid, batch: int) -> Array:
        """Say for each window whether one pass gives it the scores of its crop."""
        images = self._residues(first, batch, grid.image)
        crops = flat(first.run(grid.crops(images)))
        agree = np.ones((len(grid.compared) * batch), bool)
        try:
            scores = grid.by_window(second.run(images))
        except FcconvError:  # an image that the rewritten network can't read
            scores = None
        alike = scores is not None and [a.shape for a in crops] == [b.shape for b in scores]
        if scores is None or not alike:
            return np.zeros_like(agree)
        for a, b in zip(crops, scores, strict=True):
            agree &= (a == b).all(axis=1)
        return agree

    def _why(self, keys: Sequence[int]) -> tuple[str | None, tuple[str, ...]]:
        """Tell a wrong rewriting from a right one of a network that pads."""
        if len(self._shape) > 1 + len(self._axes):
            return "the outputs", ()
        try:
            expected = convolutionize(self._models[0], stride=self._stride, spatial_axes=self._axes)
        except UnsupportedError as error:
            return f"the outputs; the original can't slide: {error}", ()
        program = Program(load(expected.model))
        for key in keys:
            right, found = Side(program, Field(key)), Side(self._programs[1], Field(key))
            images = self._residues(right, 1, self._grids[0].image)
            difference = first_difference(right, found, images)
            if difference is not None:
                return difference, expected.reasons
        right_reach = reach(expected.model.graph, len(self._axes))
        if any(found > right for found, right in zip(self._reach, right_reach, strict=True)):
            return f"the outputs: they depend on {self._reach} pixels, not {right_reach}", ()
        if expected.exact:
            return "the outputs: a defect of fcconv's rules, please report it", ()
        return None, expected.reasons


def first_difference(expected: Side, found: Side, images: Array) -> str | None:
    """Name the first node that does not compute what the node of its name should.

    Outputs decide whether there is a difference; names only help to say where.
    """
    wanted: dict[str, Array] = {}
    made: list[tuple[Node, Array]] = []
    results = expected.run(images, lambda node, outputs: wanted.update({node.name: outputs[0]}))
    failure = "the outputs"
    outputs: list[Array] = []
    try:
        outputs = found.run(images, lambda node, arrays: made.append((node, arrays[0])))
    except FcconvError as error:
        failure = str(error)
    if len(results) == len(outputs) and all(map(np.array_equal, results, outputs)):
        return None
    for node, output in made:
        if node.name in wanted and not np.array_equal(wanted[node.name], output):
            return str(node)
    return failure
