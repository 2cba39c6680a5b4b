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

import functools
import math

import numpy as np
import onnx_ir as ir

from fcconv.certificate.expected import first_difference, sizes_to_compare
from fcconv.certificate.expression import same_expression
from fcconv.certificate.keys import Keys
from fcconv.certificate.measure import by_windows, rounding_errors
from fcconv.certificate.report import Certificate, Rounding
from fcconv.certificate.runner import Array, FieldRunner, Grid, Ints, flat
from fcconv.certificate.weights import moved_weights
from fcconv.errors import (
    ArgumentError,
    FcconvError,
    ModelError,
    ShapeError,
    UnsupportedError,
)
from fcconv.graph.files.load import load
from fcconv.graph.rewriting.convolutionize import Windows, convolutionize
from fcconv.graph.rewriting.locality import Locality, find_locality
from fcconv.graph.rewriting.sliding import STRIDE, Sliding, told
from fcconv.graph.running.run import Program, check_batch
from fcconv_modular import Field

LARGE_WINDOW = 128**2
"""Pixels from which on two windows are compared along an axis, and not three."""

LARGEST_IMAGE = 2**27
"""Most numbers in the image of a proof."""

SMALL_IMAGES = 2**14
"""Numbers in all images of one kind whose rounding errors are measured, if one has not more."""

MOST_IMAGES = 16
"""Most images of one kind."""

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
        Draws the keys and the images.
    """

    def __init__(
        self, original: ir.Model, rewritten: ir.Model, axes: Ints, rng: np.random.Generator
    ) -> None:
        self._models = original, rewritten
        self._programs = Program(original), Program(rewritten)
        for program in self._programs:
            check_batch(program.inputs)
        self._axes, self._rng = axes, rng
        shape = self._programs[0].inputs[0].shape
        self._shape = () if shape is None else tuple(int(str(n)) for n in shape.dims[1:])
        self._window = tuple(self._shape[axis - 1] for axis in axes)

    def certificate(self) -> Certificate:
        """Compare the two networks, and say what follows for all images."""
        keys = Keys(self._rng)
        native, agree = self._compared(keys)
        pads = any(map(any, self._locality.margins))
        everywhere = self._locality.has_cells(self._stride) and not pads
        exact = native and bool(agree.all()) and everywhere
        difference, unproved, reasons = (
            (None, None, ()) if exact else self._why(native, agree, keys)
        )
        errors: list[Rounding] = []
        if native and difference is None:
            try:
                errors = self._measured(self._near if exact else self._native)
            except UnsupportedError as error:
                difference = str(error)
            worst = next((row for row in errors if row.beyond is not None), None)
            if worst is not None:
                difference = f"the outputs, in {worst.engine}: {worst.beyond}"
        return Certificate(
            form="sliding",
            window=self._window,
            stride=self._stride,
            exact=exact and difference is None,
            native_exact=native,
            holds=native and difference is None and unproved is None,
            windows=len(agree),
            equal=int(agree.sum()),
            false_pass_probability=keys.false_pass,
            difference=difference,
            unproved=unproved,
            reasons=reasons,
            weights=moved_weights(*self._models),
            errors=tuple(errors),
        )

    def _compared(self, keys: Keys) -> tuple[bool, Array]:
        """Say whether both agree at the native size, and which windows of a larger image do."""
        agree = np.ones(0, bool)
        for key in keys:
            field = Field(key)
            first, second = (FieldRunner(program, field) for program in self._programs)
            if not len(agree):
                agree = self._agreeing(first, second, self._near, batch=1)
            if not self._agreeing(first, second, self._native, batch=2).all():
                return False, agree
            keys.agreed(max(first.chance, second.chance))
        return True, agree

    def _measured(self, grid: Grid) -> list[Rounding]:
        images = max(1, min(MOST_IMAGES, SMALL_IMAGES // math.prod(grid.image)))
        pair = by_windows(*self._models, grid, images)
        declared = self._programs[0].inputs[0].dtype
        dtype = np.dtype(np.float32 if declared is None else declared.numpy())
        return rounding_errors(pair, [(images, *grid.image)], [dtype], self._rng)

    @functools.cached_property
    def _stride(self) -> Ints:
        return told(self._models[1], STRIDE, len(self._axes)) or self._find_stride()

    @functools.cached_property
    def _locality(self) -> Locality:
        return find_locality(self._models[1].graph, self._axes, self._window)

    @functools.cached_property
    def _native(self) -> Grid:
        return Grid(self._shape, self._shape, self._axes, self._stride, 1)

    @functools.cached_property
    def _near(self) -> Grid:
        """Windows of an image in which they have neighbours."""
        pairs = zip(self._window, self._stride, strict=True)
        image = self._image([n + max(n, s) + s - 1 for n, s in pairs])
        if math.prod(image) > LARGEST_IMAGE:
            raise ShapeError(
                f"windows of {self._window} pixels, {self._stride} apart, need an image of {image} "
                f"for the proof: too large, take a smaller stride"
            )
        small = len(self._axes) < 3 and math.prod(self._window) < LARGE_WINDOW
        return Grid(self._shape, image, self._axes, self._stride, 3 if small else 2)

    def _image(self, sizes: Ints | list[int]) -> Ints:
        """Return the shape of an image of such sizes, without the batch."""
        image = list(self._shape)
        for axis, size in zip(self._axes, sizes, strict=True):
            image[axis - 1] = size
        return tuple(image)

    def _residues(self, runner: FieldRunner, batch: int, shape: Ints) -> Array:
        return self._rng.integers(0, runner.field.prime, (batch, *shape))

    def _find_stride(self) -> Ints:
        """Find the pixels from a second window to a third; from the next, if a patch has more."""
        runner = FieldRunner(self._programs[1], Field(0))

        def cells(k: int, pixels: int) -> int:
            size = list(self._shape)
            size[self._axes[k] - 1] += pixels
            shape = runner.run(self._residues(runner, 1, tuple(size)))[0].shape
            if len(shape) != 2 + len(self._axes):
                raise ModelError(
                    f"the rewritten network gives scores of shape {shape}, "
                    f"which is not a map of windows"
                )
            return int(shape[2 + k])

        def pixels_to(k: int, count: int) -> int:
            low, high = 0, 1
            while cells(k, high) < count:
                low, high = high, 2 * high
                if high > 2 * LONGEST_STRIDE:
                    raise ModelError(
                        f"the rewritten network has no cell {count} along axis {self._axes[k]} in "
                        f"an image {high} pixels longer: it does not slide along axis "
                        f"{self._axes[k]}"
                    )
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if cells(k, middle) >= count else (middle, high)
            return high

        def step(k: int) -> int:
            native = max(cells(k, 0), 1)
            return pixels_to(k, native + 2) - pixels_to(k, native + 1)

        return tuple(map(step, range(len(self._axes))))

    def _agreeing(self, first: FieldRunner, second: FieldRunner, grid: Grid, batch: int) -> Array:
        """Say for each window whether one pass gives it the scores of its crop."""
        images = self._residues(first, batch, grid.image)
        crops = flat(first.run(grid.crops(images)))
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
        if native and expected.cost is None and same_expression(right, self._models[1]):
            return None, None, expected.reasons
        if native and agree.all() and self._locality.outside is not None:
            return None, self._unknown, ()
        difference = self._difference(right, [self._near.image], keys)
        if difference is not None or not native:
            return difference or "the outputs", None, ()
        return self._at_every_size(expected, right, keys)

    def _expected(self) -> Sliding | FcconvError:
        """Rewrite the original as the other network was, by its looks: exactly if nothing pads."""
        pads = self._locality.outside is not None or any(map(any, self._locality.margins))
        ways: list[Windows] = ["shared", "exact"] if pads else ["exact"]
        stride, axes = self._stride, self._axes
        errors: list[FcconvError] = []
        for windows in ways:
            try:
                return convolutionize(
                    self._models[0], stride=stride, spatial_axes=axes, windows=windows
                )
            except (ArgumentError, ShapeError, UnsupportedError) as error:
                errors.append(error)
        return errors[0]

    @property
    def _unknown(self) -> str:
        return f"{self._locality.outside} is not known to treat all places alike"

    def _at_every_size(
        self, expected: Sliding, right: ir.Model, keys: Keys
    ) -> tuple[str | None, str | None, tuple[str, ...]]:
        """Compare the maps of two networks that agree where windows have few neighbours."""
        if self._locality.outside is not None:
            return None, self._unknown, ()
        known = find_locality(right.graph, self._axes, self._window)
        numbers = math.prod(self._shape) // math.prod(self._window)
        sizes = sizes_to_compare(self._locality, known, self._window, numbers)
        if sizes is None:
            return None, "padding that reaches too far for images of every size", ()
        difference = self._difference(right, [self._image(size) for size in sizes], keys)
        if difference is None and expected.exact:
            difference = "the outputs: a defect of fcconv's rules, please report it"
        return difference, None, expected.reasons

    def _difference(self, right: ir.Model, images: list[Ints], keys: Keys) -> str | None:
        """Name the first node that differs from what it should be, on images of such shapes."""
        program = Program(right)
        chance = Keys(self._rng)
        for key in chance:
            field = Field(key)
            wanted, found = FieldRunner(program, field), FieldRunner(self._programs[1], field)
            for shape in images:
                difference = first_difference(wanted, found, self._residues(wanted, 1, shape))
                if difference is not None:
                    return difference
            chance.agreed(max(wanted.chance, found.chance))
        keys.false_pass = max(keys.false_pass, chance.false_pass)
        return None
