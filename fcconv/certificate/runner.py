"""One of the two networks of a proof, and what both are shown."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.errors import ShapeError
from fcconv.graph.running.run import Program, Visit, by_image, fixed_batch
from fcconv_modular import Field
from fcconv_modular.residues import Residues

Array: TypeAlias = npt.NDArray[Any]
Ints: TypeAlias = tuple[int, ...]


class Runner:
    """A network with its weights as arrays of one backend.

    Parameters
    ----------
    program : Program
        The network.
    backend : Backend
        What computes.
    dtype : data type, optional
        What the weights are converted to first.
    """

    def __init__(self, program: Program, backend: Any, dtype: npt.DTypeLike | None = None) -> None:
        self._program, self._backend = program, backend
        self._weights = program.parameters(backend, dtype)

    def run(self, images: Array, visit: Visit | None = None) -> list[Array]:
        """Compute the outputs for a batch."""
        return pad_batch(
            lambda batch: self._computed(batch, visit), images, fixed_batch(self._program.inputs)
        )

    def _computed(self, images: Any, visit: Visit | None) -> list[Any]:
        return self._program.run_batches(self._backend, self._weights, [images], visit)


class FieldRunner(Runner):
    """A network in a finite field.

    Parameters
    ----------
    program : Program
        The network.
    field : Field
        What computes; both networks may share it, and the residues of the weights that both have.

    Attributes
    ----------
    chance : float
        A bound on the chance that one of the runs so far hides a difference.
    types : list of data type
        Those of the outputs of the last run.
    """

    def __init__(self, program: Program, field: Field) -> None:
        before = field.false_agreement()
        super().__init__(program, field)
        self.field, self.chance = field, 0.0
        self._of_weights = field.false_agreement() - before
        self.types: list[np.dtype[Any]] = []

    def run(self, images: Array, visit: Visit | None = None) -> list[Array]:
        """Compute the outputs for a batch; parts of a batch hide what they hide each by itself."""
        before = self.field.false_agreement()
        outputs = super().run(images, visit)
        parts = -(-len(images) // (fixed_batch(self._program.inputs) or len(images)))
        of_run = (self.field.false_agreement() - before) / parts
        self.chance = max(self.chance, self._of_weights + of_run)
        return outputs

    def _computed(self, images: Array, visit: Visit | None) -> list[Array]:
        declared = self._program.inputs[0].dtype
        pixels = Residues(images, np.dtype(np.float32 if declared is None else declared.numpy()))
        outputs = super()._computed(pixels, visit)
        self.types = [output.dtype for output in outputs]
        return [output.numbers for output in outputs]


@dataclass(frozen=True)
class Grid:
    """Windows of an image, of which some are compared.

    Attributes
    ----------
    patch : tuple of int
        Shape of one patch, without the batch.
    image : tuple of int
        Shape of the image.
    axes : tuple of int
        The spatial axes of a batch of images.
    stride : tuple of int
        Pixels from one window to the next, for each of them.
    most : int
        Windows to compare along each of them, the first and the last among them.
    """

    patch: Ints
    image: Ints
    axes: Ints
    stride: Ints
    most: int

    @property
    def cells(self) -> Ints:
        """Number of windows along each spatial axis."""
        return tuple(
            (self.image[axis - 1] - self.patch[axis - 1]) // stride + 1
            for axis, stride in zip(self.axes, self.stride, strict=True)
        )

    @property
    def compared(self) -> list[Ints]:
        """The windows to compare."""
        lines = [
            sorted({round(i) for i in np.linspace(0, n - 1, min(n, self.most))}) for n in self.cells
        ]
        return list(itertools.product(*lines))

    def crops(self, images: Array) -> Array:
        """Cut the windows to compare out of images ``(N, ...)``: ``(windows * N, ...)``."""
        cut = []
        for cell in self.compared:
            place = [slice(None)] * images.ndim
            for axis, i, stride in zip(self.axes, cell, self.stride, strict=True):
                place[axis] = slice(i * stride, i * stride + self.patch[axis - 1])
            cut.append(images[tuple(place)])
        return np.concatenate(cut)

    def by_window(self, maps: Sequence[Array]) -> list[Array] | None:
        """Bring maps ``(N, K, *cells)`` to ``(windows * N, K)``; None if one has other cells."""
        if any(scores.shape[2:] != self.cells for scores in maps):
            return None
        places = [int(np.ravel_multi_index(cell, self.cells)) for cell in self.compared]
        lines = [scores.reshape(*scores.shape[:2], math.prod(self.cells)) for scores in maps]
        return [np.concatenate([line[:, :, place] for place in places]) for line in lines]


def pad_batch(
    call: Callable[[Array], Sequence[Array]], images: Array, size: int | None
) -> list[Array]:
    """Call a network that computes `size` images at a time on any number of them."""
    missing = -len(images) % (size or 1)
    filled = np.concatenate([images, np.repeat(images[:1], missing, axis=0)])
    outputs = by_image(call(filled)) if len(filled) == size == 1 else call(filled)
    if not all(output.ndim for output in outputs):
        raise ShapeError("an output is a single number, for however many images")
    return [output[: len(images)] if missing else output for output in outputs]


def flat(outputs: Sequence[Array]) -> list[Array]:
    """Give each output of a patch network one axis of features."""
    return [output.reshape(in_rows(output.shape)) for output in outputs]


def in_rows(shape: Ints) -> Ints:
    """Keep the first axis of a shape, and join the others."""
    return math.prod(shape[:1]), math.prod(shape[1:])
