"""The proof of a sliding network: in a finite field, one pass agrees with every crop.

Where all operators of the rewritten network are local (:mod:`fcconv.graph.local`) and none
reads padding, its cells are all the same function of the pixels that they see, in an image of any
size. So it is enough that the one cell of a window agrees with the patch network, under random keys
(see :mod:`fcconv_modular`), and that the number of cells is right for every size, which integers
tell; some windows of a larger image are compared beside. So are windows that stand in the batch, as
in a network that scores each exactly. A network that pads is compared with the one that the rules
of :mod:`fcconv.graph` make.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from fcconv.certificate.expected import first_difference, sizes_to_compare
from fcconv.certificate.expression import same_expression
from fcconv.certificate.keys import Keys
from fcconv.certificate.measure import by_windows, rounding_errors
from fcconv.certificate.report import Certificate, Rounding
from fcconv.certificate.runner import Array, Grid, Ints, Runner, flatten_outputs, runner_in
from fcconv.certificate.stride import find_stride
from fcconv.certificate.weights import moved_weights
from fcconv.errors import (
    ArgumentError,
    FcconvError,
    ShapeError,
    UnsupportedError,
)
from fcconv.graph.files.load import load
from fcconv.graph.rewriting.convolutionize import Windows, convolutionize
from fcconv.graph.rewriting.locality import Locality, find_locality
from fcconv.graph.rewriting.sliding import STRIDE, Sliding, read_metadata
from fcconv.graph.running.run import Program, check_batch, program_of
from fcconv_modular import field_of

LARGE_WINDOW = 128**2
"""Pixels from which on two windows are compared along an axis, and not three."""

LARGEST_IMAGE = 2**27
"""Most numbers in the image of a proof."""

SMALL_IMAGES = 2**14
"""Numbers in all images of one kind whose rounding errors are measured, if one has not more."""

MOST_IMAGES = 16
"""Most images of one kind."""


def prove_sliding(
    original: ir.Model, rewritten: ir.Model, axes: Ints, rng: np.random.Generator
) -> Certificate:
    """Compare a patch network with its sliding form.

    Parameters
    ----------
    original, rewritten : onnx_ir.Model
        The two networks.
    axes : tuple of int
        The input axes that slide.
    rng : numpy.random.Generator
        Draws the keys and the images.

    Raises
    ------
    ModelError
        If the rewritten network does not slide.
    ShapeError
        If the images that a proof takes would be too large.
    """
    programs = program_of(original), program_of(rewritten)
    for program in programs:
        check_batch(program.inputs)
    declared = programs[0].inputs[0].shape
    shape = () if declared is None else tuple(int(str(n)) for n in declared.dims[1:])
    window = tuple(shape[axis - 1] for axis in axes)
    stride = read_metadata(rewritten, STRIDE, len(axes)) or find_stride(programs[1], shape, axes)
    native = Grid(shape, shape, axes, stride, 1)
    near = _neighbours(shape, axes, window, stride)
    locality = find_locality(rewritten.graph, axes, window)
    proof = SlidingProof((original, rewritten), programs, axes, rng, locality, native, near)
    return proof.certificate()


def _neighbours(shape: Ints, axes: Ints, window: Ints, stride: Ints) -> Grid:
    """Return windows of an image in which they have neighbours."""
    pairs = zip(window, stride, strict=True)
    image = image_of(shape, axes, [n + max(n, s) + s - 1 for n, s in pairs])
    if math.prod(image) > LARGEST_IMAGE:
        raise ShapeError(
            f"windows of {window} pixels, {stride} apart, need an image of {image} for the proof: "
            f"too large, take a smaller stride"
        )
    small = len(axes) < 3 and math.prod(window) < LARGE_WINDOW
    return Grid(shape, image, axes, stride, 3 if small else 2)


def image_of(shape: Ints, axes: Ints, sizes: Ints | list[int]) -> Ints:
    """Return the shape of an image of such sizes, without the batch."""
    image = list(shape)
    for axis, size in zip(axes, sizes, strict=True):
        image[axis - 1] = size
    return tuple(image)


@dataclass(frozen=True, eq=False)
class SlidingProof:
    """A patch network beside its sliding form.

    Attributes
    ----------
    models : tuple of onnx_ir.Model
        The two networks.
    programs : tuple of Program
        Their nodes.
    axes : tuple of int
        The input axes that slide.
    rng : numpy.random.Generator
        Draws the keys and the images.
    locality : Locality
        How far the cells of the sliding form see.
    native, near : Grid
        The patch by itself, and windows of an image in which they have neighbours.
    """

    models: tuple[ir.Model, ir.Model]
    programs: tuple[Program, Program]
    axes: Ints
    rng: np.random.Generator
    locality: Locality
    native: Grid
    near: Grid

    @property
    def shape(self) -> Ints:
        """Shape of one patch, without the batch."""
        return self.native.patch

    @property
    def window(self) -> Ints:
        """Pixels of a window along each axis that slides."""
        return tuple(self.shape[axis - 1] for axis in self.axes)

    @property
    def stride(self) -> Ints:
        """Pixels from one window to the next along each of them."""
        return self.native.stride

    def certificate(self) -> Certificate:
        """Compare the two networks, and say what follows for all images."""
        keys = Keys(self.rng)
        native, agree = self._compared(keys)
        pads = any(map(any, self.locality.margins))
        everywhere = self.locality.has_cells(self.stride) and not pads
        exact = native and bool(agree.all()) and everywhere
        difference, unproved, reasons = (
            (None, None, ()) if exact else self._why(native, agree, keys)
        )
        errors: list[Rounding] = []
        if native and difference is None:
            try:
                errors = self._measured(self.near if exact else self.native)
            except UnsupportedError as error:
                difference = str(error)
            worst = next((row for row in errors if row.beyond is not None), None)
            if worst is not None:
                difference = f"the outputs, in {worst.engine}: {worst.beyond}"
        return Certificate(
            form="sliding",
            window=self.window,
            stride=self.stride,
            exact=exact and difference is None,
            native_exact=native,
            holds=native and difference is None and unproved is None,
            windows=len(agree),
            equal=int(agree.sum()),
            false_pass_probability=keys.false_pass,
            difference=difference,
            unproved=unproved,
            reasons=reasons,
            weights=moved_weights(*self.models),
            errors=tuple(errors),
        )

    def _compared(self, keys: Keys) -> tuple[bool, Array]:
        """Say whether both agree at the native size, and which windows of a larger image do."""
        agree = np.ones(0, bool)
        for key in keys:
            field = field_of(key)
            first, second = (runner_in(field, program) for program in self.programs)
            if not len(agree):
                agree = self._agreeing(first, second, self.near, batch=1)
            if not self._agreeing(first, second, self.native, batch=2).all():
                return False, agree
            keys.agreed(max(first.chance, second.chance))
        return True, agree

    def _measured(self, grid: Grid) -> list[Rounding]:
        images = max(1, min(MOST_IMAGES, SMALL_IMAGES // math.prod(grid.image)))
        pair = by_windows(*self.models, grid, images)
        declared = self.programs[0].inputs[0].dtype
        dtype = np.dtype(np.float32 if declared is None else declared.numpy())
        return rounding_errors(pair, [(images, *grid.image)], [dtype], self.rng)

    def _residues(self, runner: Runner, batch: int, shape: Ints) -> Array:
        return self.rng.integers(0, runner.field.prime, (batch, *shape))

    def _agreeing(self, first: Runner, second: Runner, grid: Grid, batch: int) -> Array:
        """Say for each window whether one pass gives it the scores of its crop."""
        images = self._residues(first, batch, grid.image)
        crops = flatten_outputs(first.run(grid.crops(images)))
        agree = np.ones((len(grid.compared) * batch), bool)
        try:
            scores = grid.by_window(second.run(images))
        except FcconvError:  # an image that the rewritten network can't read
            scores = None
        alike = scores is not None and [a.shape for a in crops] == [b.shape for b in scores]
        alike = alike and first.types == second.types and {*map(len, crops)} <= {len(agree)}
        if scores is None or not alike:
            return np.zeros_like(agree)
        for a, b in zip(crops, scores, strict=True):
            agree &= (a == b).all(axis=1)
        return agree

    def _why(
        self, native: bool, agree: Array, keys: Keys
    ) -> tuple[str | None, str | None, tuple[str, ...]]:
        """Tell a wrong rewriting from a right one of a network that pads, and from unproved ones.

        Returns
        -------
        difference, unproved : str, optional
            Where a wrong one differs; what forbids to conclude.
        reasons : tuple of str
            Why a right one is not exact.
        """
        expected = self._expected()
        if not isinstance(expected, Sliding):
            return f"the outputs; the original can't slide: {expected}", None, ()
        right = load(expected.model)
        if native and expected.cost is None and same_expression(right, self.models[1]):
            return None, None, expected.reasons
        if native and agree.all() and self.locality.outside is not None:
            return None, self._unknown, ()
        difference = self._difference(right, [self.near.image], keys)
        if difference is not None or not native:
            return difference or "the outputs", None, ()
        return self._at_every_size(expected, right, keys)

    def _expected(self) -> Sliding | FcconvError:
        """Rewrite the original as the other network was, by its looks: exactly if nothing pads."""
        pads = self.locality.outside is not None or any(map(any, self.locality.margins))
        ways: list[Windows] = ["shared", "exact"] if pads else ["exact"]
        stride, axes = self.stride, self.axes
        errors: list[FcconvError] = []
        for windows in ways:
            try:
                return convolutionize(
                    self.models[0], stride=stride, spatial_axes=axes, windows=windows
                )
            except (ArgumentError, ShapeError, UnsupportedError) as error:
                errors.append(error)
        return errors[0]

    @property
    def _unknown(self) -> str:
        return f"{self.locality.outside} is not known to treat all places alike"

    def _at_every_size(
        self, expected: Sliding, right: ir.Model, keys: Keys
    ) -> tuple[str | None, str | None, tuple[str, ...]]:
        """Compare the maps of two networks that agree where windows have few neighbours."""
        if self.locality.outside is not None:
            return None, self._unknown, ()
        known = find_locality(right.graph, self.axes, self.window)
        numbers = math.prod(self.shape) // math.prod(self.window)
        sizes = sizes_to_compare(self.locality, known, self.window, numbers)
        if sizes is None:
            return None, "padding that reaches too far for images of every size", ()
        difference = self._difference(
            right, [image_of(self.shape, self.axes, size) for size in sizes], keys
        )
        if difference is None and expected.exact:
            difference = "the outputs: a defect of fcconv's rules, please report it"
        return difference, None, expected.reasons

    def _difference(self, right: ir.Model, images: list[Ints], keys: Keys) -> str | None:
        """Name the first node that differs from what it should be, on images of such shapes."""
        program = program_of(right)
        chance = Keys(self.rng)
        for key in chance:
            field = field_of(key)
            wanted, found = runner_in(field, program), runner_in(field, self.programs[1])
            for shape in images:
                difference = first_difference(wanted, found, self._residues(wanted, 1, shape))
                if difference is not None:
                    return difference
            chance.agreed(max(wanted.chance, found.chance))
        keys.false_pass = max(keys.false_pass, chance.false_pass)
        return None
