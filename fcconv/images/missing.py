"""Pixels without a value, and the windows that contain some: these have no score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool]


def without_value(pixels: Array, nodata: float | None) -> Mask | None:
    """Find the pixels that have no value; None if all have one.

    One channel that is NaN or infinite is enough, as nothing can be computed from it. `nodata` has
    to be in all channels: it is often an ordinary number such as 0, which one channel may hold by
    right (a pure red has no green), and GDAL and rasterio take several bands together so, too.

    Parameters
    ----------
    pixels : array, shape (C, *S)
        A part of an image.
    nodata : float or None
        The number that stands for no value.

    Returns
    -------
    array of bool, shape (*S), or None
        True where there is no value.

    Examples
    --------
    >>> pixels = np.array([[1.0, 0.0, np.nan], [0.0, 0.0, 2.0]])  # two channels, three pixels
    >>> without_value(pixels, nodata=0)
    array([False,  True,  True])
    """
    found: Any = np.False_
    if not are_finite(pixels):
        found = ~np.isfinite(pixels).all(axis=0)
    if nodata is not None:
        with np.errstate(over="ignore"):  # a number beyond the dtype is in no pixel
            found = found | np.equal(pixels, nodata).all(axis=0)
    return found if found.any() else None


def are_finite(pixels: Array) -> bool:
    """Say whether no entry is NaN or infinite.

    One that is makes the sum so, which takes no memory; only where large numbers do, too, all are
    looked at.
    """
    if pixels.dtype.kind in "iub":
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(pixels.sum()) or np.isfinite(pixels).all())


def cleared(pixels: Array, missing: Mask | None) -> tuple[Array, Mask | None]:
    """Return pixels ``(C, *S)``, zeros where they have no value, and where that is."""
    if missing is None:
        return pixels, None
    return np.where(missing, np.zeros((), pixels.dtype), pixels), missing


def masked(scores: Array, without: Mask) -> Array:
    """Return scores ``(K, *cells)``, NaN in the cells that are to have none."""
    return np.where(without, scores.dtype.type(np.nan), scores)


def count_unscored(outputs: Iterable[Array], rank: int) -> int:
    """Count the cells that are NaN in every channel of every output, integers having none.

    A network may make a NaN of its own in some of them.
    """
    without: Mask | None = None
    for scores in outputs:
        if scores.dtype.kind in "iub":
            return 0
        for channel in scores.reshape(-1, *scores.shape[-rank:]):
            nan = np.isnan(channel)
            if not nan.any():
                return 0
            without = nan if without is None else without & nan
    return 0 if without is None else int(without.sum())


def windows_with(missing: Mask, window: Sequence[int], stride: Sequence[int]) -> Mask:
    """Find the windows that contain a pixel without a value, whether or not the network reads it.

    Parameters
    ----------
    missing : array of bool, shape (*S)
        The pixels without a value.
    window, stride : sequence of int
        Pixels of a window, and from one window to the next, along each axis.

    Returns
    -------
    array of bool, shape (*cells)
        Whether a window contains one.

    Examples
    --------
    >>> windows_with(np.array([0, 0, 0, 1, 0, 0, 0], bool), window=[3], stride=[2])
    array([False,  True, False])
    """
    for axis, (length, step) in enumerate(zip(window, stride, strict=True)):
        missing = np.moveaxis(missing, axis, 0)
        reach = 1  # entry i says whether one of the pixels from i to i + reach is missing
        while reach < length:
            further = min(reach, length - reach)
            missing = missing[:-further] | missing[further:]
            reach += further
        missing = np.moveaxis(missing[::step], 0, axis)
    return missing
