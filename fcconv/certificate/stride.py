"""The stride of a network that does not tell it: found by how many cells it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcconv.certificate.runner import Ints, Runner, runner_in
from fcconv.errors import ModelError
from fcconv.graph.running.run import Program
from fcconv_modular import field_of

LONGEST_STRIDE = 2**14
"""Pixels between windows up to which the stride is sought."""


def find_stride(program: Program, patch: Ints, axes: Ints) -> Ints:
    """Find the pixels from a second window to a third; from the next, if a patch has more.

    Parameters
    ----------
    program : Program
        The network that slides.
    patch : tuple of int
        Shape of one patch, without the batch.
    axes : tuple of int
        The input axes that slide.

    Raises
    ------
    ModelError
        If it does not slide along one of them.
    """
    counter = _Counter(runner_in(field_of(0), program), patch, axes)
    return tuple(map(counter.step, range(len(axes))))


@dataclass(frozen=True)
class _Counter:
    """Counts the cells of a network in images larger than a patch."""

    runner: Runner
    patch: Ints
    axes: Ints

    def step(self, k: int) -> int:
        """Return the pixels from a cell to the next along the `k`-th axis."""
        native = max(self._cells(k, 0), 1)
        return self._pixels_to(k, native + 2) - self._pixels_to(k, native + 1)

    def _cells(self, k: int, pixels: int) -> int:
        size = list(self.patch)
        size[self.axes[k] - 1] += pixels
        image = np.random.default_rng(0).integers(0, self.runner.field.prime, (1, *size))
        shape = self.runner.run(image)[0].shape
        if len(shape) != 2 + len(self.axes):
            raise ModelError(
                f"the rewritten network gives scores of shape {shape}, which is not a map of "
                f"windows"
            )
        return int(shape[2 + k])

    def _pixels_to(self, k: int, count: int) -> int:
        """Return how many pixels more than a patch it takes to have so many cells."""
        low, high = 0, 1
        while self._cells(k, high) < count:
            low, high = high, 2 * high
            if high > 2 * LONGEST_STRIDE:
                raise ModelError(
                    f"the rewritten network has no cell {count} along axis {self.axes[k]} in an "
                    f"image {high} pixels longer: it does not slide along axis {self.axes[k]}"
                )
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._cells(k, middle) >= count else (middle, high)
        return high
