"""The pixels of an image of any channels and type, as they are shown."""

from __future__ import annotations

import reprlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.errors import ShapeError
from fcconv.images.preparation import LUMA

Bytes: TypeAlias = npt.NDArray[np.uint8]

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
"""Percentiles between which pixels are stretched."""


def check_overview(overview: Any, rank: int) -> None:
    """Check that what is to be shown is an image along some axes.

    Raises
    ------
    ShapeError
        If it is not.
    """
    if np.ndim(overview) != rank + 1 or not np.size(overview):
        shape = getattr(overview, "shape", reprlib.repr(overview))
        raise ShapeError(f"the overview needs a channel axis and {rank} spatial axes, got {shape}")


def rgb(overview: npt.NDArray[Any]) -> Bytes:
    """Show an image of any channels and type.

    Parameters
    ----------
    overview : array, shape (C, h, w)
        One channel is shown as grey, of more than two the first three as red, green and blue.
        Bytes are taken as they are, other numbers stretched between percentiles of the finite
        ones; a pixel that is not finite in one of them has no value, and is white.

    Returns
    -------
    array of uint8, shape (h, w, 3)

    Raises
    ------
    ShapeError
        If it is not an image.
    """
    check_overview(overview, 2)
    shown = overview[:3] if len(overview) > 2 else overview[[0, 0, 0]]
    return np.ascontiguousarray(_bytes(np.asarray(shown)).transpose(1, 2, 0))


def grey(image: Bytes) -> Bytes:
    """Take the colours out of an image, ``(h, w)``, so that those of scores stand out."""
    return np.asarray(np.rint(image @ np.array(LUMA)), np.uint8)


def _bytes(image: npt.NDArray[Any]) -> Bytes:
    if image.dtype == np.uint8:
        return image
    floats = image.astype(np.float64)
    finite = np.isfinite(floats)
    low, high = _ends(floats[finite])
    stretched = (np.where(finite.all(axis=0), floats, high) - low) / (high - low)
    return np.rint(np.clip(stretched, 0, 1) * 255).astype(np.uint8)


def _ends(pixels: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Choose what becomes black and white: percentiles, or the extremes if these are equal."""
    if not pixels.size:
        return 0.0, 1.0
    low = float(np.percentile(pixels, LOW_PERCENTILE, method="lower"))
    high = float(np.percentile(pixels, HIGH_PERCENTILE, method="higher"))
    if low == high:
        low, high = float(pixels.min()), float(pixels.max())
    return low, high if low < high else low + 1
