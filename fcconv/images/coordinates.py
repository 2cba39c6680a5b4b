"""Where in the world the pixels of an image lie: microns, seconds, ground, or a patient's body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float64]

NAMES = ("z", "y", "x")
"""What distances along the axes of an image are called; of fewer axes the last ones."""


@dataclass(frozen=True)
class Coordinates:
    """An affine map from places in an image to coordinates.

    Attributes
    ----------
    names : tuple of str
        What the coordinates are called, such as ``("y", "x")``: R of them.
    unit : str
        What they are in: "µm", "mm", "m", "s", "°"; empty where that is not said.
    matrix : tuple of tuple of float, shape (R, S + 1)
        Coordinates are ``matrix @ (*place, 1)``, where a place is in pixels along each of S
        spatial axes: 0 is the beginning of the first pixel, 0.5 its centre.
    crs : str
        The system that they are of, as WKT; empty where there is none.
    is_placed : bool
        Whether it was said where the image lies; if not, it begins at 0.

    Examples
    --------
    >>> slide = spaced((0.5, 0.5), "µm", ("y", "x"))
    >>> slide.at((100, 30)), slide.spacing
    ((50.0, 15.0), (0.5, 0.5))
    """

    names: tuple[str, ...]
    unit: str
    matrix: tuple[tuple[float, ...], ...]
    crs: str = ""
    is_placed: bool = field(default=True, compare=False)

    @property
    def spacing(self) -> tuple[float, ...]:
        """The distance from one pixel to the next along each spatial axis."""
        # squares of what a file claims could overflow, hypot does not
        return tuple(np.hypot.reduce(self._linear, axis=0).tolist())

    @property
    def is_known(self) -> bool:
        """Whether all of it is, and is finite."""
        return bool(np.isfinite(self.matrix).all())

    def at(self, place: Sequence[float]) -> tuple[float, ...]:
        """Return the coordinates of a place in pixels."""
        return tuple((np.array(self.matrix) @ np.append(place, 1.0)).tolist())

    def along(self, axes: Sequence[int]) -> Coordinates | None:
        """Return the coordinates of an image that has some of the spatial axes, in this order.

        Where its coordinates depend on an axis that it lacks, only the spacing is kept; if nothing
        is known along one of its own, None is returned.
        """
        linear = self._linear
        left_out = [axis for axis in range(linear.shape[1]) if axis not in axes]
        if not set(axes) <= set(range(linear.shape[1])):
            return None
        rows = [row for row in range(len(linear)) if linear[row, axes].any() or not left_out]
        if len(rows) > len(axes) or linear[rows][:, left_out].any():
            lengths = [self.spacing[axis] for axis in axes]
            return spaced(lengths, self.unit, NAMES[-len(axes) :])
        matrix = np.array(self.matrix)[rows][:, [*axes, -1]]
        return replace(self, names=tuple(self.names[row] for row in rows), matrix=_tuples(matrix))

    def of_steps(self, step: Sequence[float], first: Sequence[float]) -> Coordinates:
        """Return the coordinates of a grid laid over the image.

        Parameters
        ----------
        step : sequence of float
            Pixels of the image from one place of the grid to the next, along each spatial axis.
        first : sequence of float
            The pixel at which the first begins.
        """
        whole = np.array(self.matrix)
        grid = np.eye(len(step) + 1)
        grid[:-1, :-1] = np.diag(step)
        grid[:-1, -1] = first
        return replace(self, matrix=_tuples(whole @ grid))

    def told(self) -> dict[str, Any]:
        """Return it for JSON; see :func:`restored`."""
        return {
            "names": list(self.names),
            "unit": self.unit,
            "matrix": [list(row) for row in self.matrix],
            "crs": self.crs,
            "is_placed": self.is_placed,
        }

    @property
    def _linear(self) -> Matrix:
        return np.array(self.matrix)[:, :-1]


def spaced(
    spacing: Sequence[float],
    unit: str,
    names: tuple[str, ...],
    first: Sequence[float] | None = None,
) -> Coordinates:
    """Return coordinates along the axes of the image.

    Parameters
    ----------
    spacing : sequence of float
        Units from one pixel to the next along each axis.
    unit : str
        What they are in.
    names : tuple of str
        What the coordinates are called.
    first : sequence of float, optional
        Where the first pixel begins; at 0, if left out.
    """
    begin = [0.0] * len(spacing) if first is None else first
    matrix = _tuples(np.column_stack([np.diag(spacing), begin]))
    return Coordinates(names, unit, matrix, is_placed=first is not None)


def restored(told: dict[str, Any]) -> Coordinates:
    """Return coordinates from what :meth:`Coordinates.told` made of them."""
    matrix = _tuples(np.array(told["matrix"], float))
    return Coordinates(
        tuple(told["names"]), told["unit"], matrix, told["crs"], bool(told["is_placed"])
    )


def _tuples(matrix: Matrix) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
