"""Images read by region, compared with what the whole one is to hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.images.image import Image
from fcconv.images.opening import open_images

RGB = np.random.default_rng(0).integers(0, 256, (3, 90, 70), dtype=np.uint8)
"""A picture, channels first."""

HWC = np.ascontiguousarray(RGB.transpose(1, 2, 0))


def opened(source: Any, rank: int = 2, layout: str | None = None) -> Image:
    [image], batch = open_images(source, rank, layout=layout)
    assert not batch
    return image


def whole(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, pixels) for pixels in image.size))


def check_regions(image: Image, pixels: np.ndarray) -> None:
    """Compare the whole, some regions and overviews with what the image is to hold."""
    assert (image.channels, *image.size) == pixels.shape
    assert image.dtype == pixels.dtype
    rng = np.random.default_rng(1)
    for attempt in range(8):
        starts = [int(rng.integers(0, size)) if attempt else 0 for size in image.size]
        stops = [
            int(rng.integers(start, size)) + 1 if attempt else size
            for start, size in zip(starts, image.size, strict=True)
        ]
        region = tuple(slice(*ends) for ends in zip(starts, stops, strict=True))
        part = image.read(region)
        assert type(part) is np.ndarray
        assert part.dtype == pixels.dtype
        assert part.dtype.isnative
        np.testing.assert_array_equal(part, pixels[(slice(None), *region)])
    for most in (2, 7, 1000):
        n = math.ceil(max(image.size) / most)
        every = (slice(None), *(slice(None, None, n) for _ in image.size))
        expected = pixels[every] if image.size != pixels.shape[1:2] else envelope(pixels, most)
        np.testing.assert_array_equal(image.overview(most), expected)


def envelope(pixels: np.ndarray, most: int) -> np.ndarray:
    """Return the lowest and the highest sample of each part of a recording, or all if few."""
    size = pixels.shape[1]
    each = math.ceil(size / (most // 2))
    parts = [pixels[:, k : k + each] for k in range(0, size, each)]
    ends = [end for part in parts for end in (np.nanmin(part, axis=1), np.nanmax(part, axis=1))]
    return pixels if size <= most else np.stack(ends, axis=1)


def tampered(path: Path, name: str, start: int, length: int | None = None) -> Path:
    """Write the file again with noise from `start` on, or cut off there."""
    data = path.read_bytes()
    made = path.with_name(name)
    noise = b"" if length is None else b"\xa5" * length + data[start + length :]
    made.write_bytes(data[:start] + noise)
    return made
