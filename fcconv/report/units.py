"""Boxes of pixels in the units of the world: seconds, microns, millimetres, ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.images.coordinates import Coordinates
from fcconv.report.files import COLUMNS

Box: TypeAlias = Sequence[tuple[float, float]]
"""First pixel and one past the last, for each axis."""

ASCII = {"µm": "um", "°": "deg"}
"""Units as columns of a table name them."""

PARTS_OF_A_WINDOW = 1000
"""Words give the place of a window to such a part of its length."""

MOST_DIGITS = 12

UNSAID = "units"
"""What units are called where a file has numbers without any."""


def unit_columns(coordinates: Coordinates | None, rank: int) -> list[str]:
    """Name the columns of :func:`unit_rows`: by coordinate or size, and unit.

    Examples
    --------
    >>> from fcconv.images.coordinates import spaced
    >>> unit_columns(spaced((0.5, 0.5), "µm", ("y", "x")), rank=2)
    ['x_um', 'y_um', 'width_um', 'height_um']
    """
    if coordinates is None:
        return []
    unit = ASCII.get(coordinates.unit, coordinates.unit or UNSAID)
    return [f"{name}_{unit}" for name in (*sorted(coordinates.names), *COLUMNS[rank][rank:])]


def unit_rows(
    coordinates: Coordinates | None, starts: npt.ArrayLike, sizes: npt.ArrayLike
) -> list[list[float]]:
    """Return where boxes begin, and their sizes, in the units of the world.

    Parameters
    ----------
    coordinates : Coordinates or None
        Where in the world pixels lie; rows are empty for None.
    starts : array, shape (n, S)
        The first pixels of boxes along each spatial axis.
    sizes : array, shape (n, S) or (S,)
        How many pixels there are in each, or in all.

    Returns
    -------
    list of list of float
        To 12 digits: the coordinates of the first corner of each box, and how long it is along each
        axis of the image.
    """
    first = np.asarray(starts, np.float64)
    if coordinates is None:
        return [[] for _ in first]
    matrix = np.array(coordinates.matrix)[np.argsort(coordinates.names)]
    corners = first @ matrix[:, :-1].T + matrix[:, -1]
    lengths = np.broadcast_to(np.multiply(sizes, coordinates.spacing), first.shape)
    if first.shape[1] == 2:
        lengths = lengths[:, ::-1]  # as columns of pixels are
    return [[float(f"{x:.12g}") for x in row] for row in np.hstack([corners, lengths]).tolist()]


def in_units(coordinates: Coordinates | None, box: Box) -> dict[str, float]:
    """Return where a box begins, and its size, in the units of the world; empty for None.

    Examples
    --------
    >>> from fcconv.images.coordinates import spaced
    >>> in_units(spaced((1 / 16000,), "s", ("time",)), [(8000, 24000)])
    {'time_s': 0.5, 'length_s': 1.0}
    """
    (row,) = unit_rows(coordinates, [[a for a, _ in box]], [[b - a for a, b in box]])
    return dict(zip(unit_columns(coordinates, len(box)), row, strict=True))


def in_words(coordinates: Coordinates, box: Box) -> str:
    """Say from where to where a box goes along each coordinate, in the order of :func:`heading`.

    Examples
    --------
    >>> from fcconv.images.coordinates import spaced
    >>> slide = spaced((0.5, 0.5), "µm", ("y", "x"))
    >>> heading(slide), in_words(slide, [(100, 125), (30, 55)])
    ('x, y in µm', '15.00 to 27.50, 50.00 to 62.50')
    """
    first, last = (coordinates.at([ends[k] for ends in box]) for k in (0, 1))
    digits = _digits([(b - a) * s for (a, b), s in zip(box, coordinates.spacing, strict=True)])
    ranges = sorted(zip(coordinates.names, first, last, strict=True))
    return ", ".join(f"{a:.{digits}f} to {b:.{digits}f}" for _, a, b in ranges)


def sizes_in_words(coordinates: Coordinates | None, sizes: Sequence[float]) -> str:
    """Say how long something is along each axis, in brackets; nothing for None.

    Examples
    --------
    >>> from fcconv.images.coordinates import spaced
    >>> sizes_in_words(spaced((0.5, 0.5), "µm", ("y", "x")), (25, 30))
    ' (12.5 x 15 µm)'
    """
    if coordinates is None:
        return ""
    lengths = [n * s for n, s in zip(sizes, coordinates.spacing, strict=True)]
    return f" ({' x '.join(f'{length:,.6g}' for length in lengths)} {coordinates.unit or UNSAID})"


def heading(coordinates: Coordinates) -> str:
    """Name coordinates and their unit, in the order of :func:`in_words`."""
    return f"{', '.join(sorted(coordinates.names))} in {coordinates.unit or UNSAID}"


def _digits(lengths: Sequence[float]) -> int:
    """Return how many digits after the point tell places in something of these lengths apart."""
    known = [length for length in lengths if length > 0 and math.isfinite(length)]
    needed = math.log10(PARTS_OF_A_WINDOW / min(known, default=1.0))
    return min(max(math.ceil(needed - 1e-9), 0), MOST_DIGITS)  # 3, not 4, where rounding makes 3.0
