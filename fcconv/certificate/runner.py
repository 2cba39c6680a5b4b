"""One of the two networks of a proof, and what both are shown."""

from __future__ import annotations

import dataclasses
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


@dataclass
class Runner:
    """A network in a finite field; :func:`runner_in` makes it.

    Attributes
    ----------
    program : Program
        The network.
    field : Field
        What computes; both networks may share it, and the residues of the weights that both have.
    weights : dict of str to Residues
        Its weights.
    of_weights : float
        A bound on the chance that these hide a difference.
    chance : float
        A bound on the chance that one of the runs so far hides a difference.
    types : list of data type
        Those of the outputs of the last run.
    """

    program: Program
    field: Field
    weights: dict[str, Residues]
    of_weights: float
    chance: float = 0.0
    types: list[np.dtype[Any]] = dataclasses.field(default_factory=list)

    def run(self, images: Array, visit: Visit | None = None) -> list[Array]:
        """Compute the outputs for a batch; parts of a batch hide what they hide each by itself."""
        before, size = self.field.false_agreement(), fixed_batch(self.program.inputs)
        outputs = pad_batch(lambda batch: self._computed(batch, visit), images, size)
        parts = -(-len(images) // (size or len(images)))
        of_run = (self.field.false_agreement() - before) / parts
        self.chance = max(self.chance, self.of_weights + of_run)
        return outputs

    def _computed(self, images: Array, visit: Visit | None) -> list[Array]:
        declared = self.program.inputs[0].dtype
        pixels = Residues(images, np.dtype(np.float32 if declared is None else declared.numpy()))
        outputs = self.program.run_batches(self.field, self.weights, [pixels], visit)
        self.types = [output.dtype for output in outputs]
        return [output.numbers for output in outputs]


def runner_in(field: Field, program: Program) -> Runner:
    """Bring a network into a finite field."""
    before = field.false_agreement()
    weights = program.parameters(field)
    return Runner(program, field, weights, field.false_agreement() - before)


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


def flatten_outputs(outputs: Sequence[Array]) -> list[Array]:
    """Give each output of a patch network one axis of features."""
    return [output.reshape(in_rows(output.shape)) for output in outputs]


def in_rows(shape: Ints) -> Ints:
    """Keep the first axis of a shape, and join the others."""
    return math.prod(shape[:1]), math.prod(shape[1:])
