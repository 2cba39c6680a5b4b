"""Grey photos and their pyramids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import skimage as ski

Image: TypeAlias = npt.NDArray[np.float32]
"""A grey image ``(H, W)`` with values from 0 to 1."""

SCALE_STEP = 0.8


def grey(photo: npt.NDArray[Any]) -> Image:
    """Convert a photo, ``(H, W)`` or ``(H, W, 3)`` of any dtype, to grey values from 0 to 1."""
    if photo.ndim == 3:
        photo = ski.color.rgb2gray(photo)
    return np.asarray(ski.util.img_as_float32(photo), np.float32)


def pyramid(image: Image, smallest: int) -> Iterator[tuple[float, Image]]:
    """Yield scales and images, each 0.8 times the one before, down to `smallest` pixels a side."""
    scale = 1.0
    while min(image.shape) * scale >= smallest:
        size = tuple(round(n * scale) for n in image.shape)
        smaller = image if scale == 1 else ski.transform.resize(image, size, anti_aliasing=True)
        yield scale, np.asarray(smaller, np.float32)
        scale *= SCALE_STEP
