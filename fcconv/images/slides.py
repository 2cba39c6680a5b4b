"""Slides of pathology, which openslide reads: one image in several levels, on white."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fcconv.errors import BackendError, ImageError
from fcconv.images.coordinates import Coordinates, spaced
from fcconv.images.lengths import positive
from fcconv.images.libraries import needed, reason
from fcconv.images.reading import Reading
from fcconv.images.stored import MOST_CHUNK, Stored, stamp
from fcconv.images.tiff import open_tiff

CACHE_BYTES = 2**26
"""Bytes of decoded tiles that a slide keeps, at most."""

BLOCK = 512
"""Pixels along each axis that are read together."""

WHITE = 255
"""What lies behind a slide."""

SIDES = ("height", "width")
"""Of a tile, as openslide names them."""


def open_slide(path: Path, _reading: Reading) -> Stored:
    """Open a slide by openslide; of a folder, the slide whose files it holds."""
    openslide = needed("openslide", "slides")
    slide, file = _opened(openslide, path)
    slide.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
    told: Mapping[str, str] = slide.properties
    vendor = told[openslide.PROPERTY_NAME_VENDOR]
    levels = tuple(Level(slide, k, *facts) for k, facts in enumerate(_levels(path, slide)))
    return Stored(
        levels=levels,
        axes="HWC",
        stamp=f"{stamp(file)}, {told.get(openslide.PROPERTY_NAME_QUICKHASH1, '')}",
        notes=(f"read by openslide {openslide.__library_version__} ({vendor})",),
        coordinates=_microns(
            told.get(openslide.PROPERTY_NAME_MPP_Y), told.get(openslide.PROPERTY_NAME_MPP_X)
        ),
        magnification=positive(told.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)),
    )


def open_tiff_slide(path: Path, reading: Reading) -> Stored:
    """Open a slide in a TIFF: by openslide where it is there and knows it, else by tifffile."""
    if {"series", "page"} & reading.keys():  # of which openslide knows one
        return open_tiff(path, reading)
    try:
        openslide = needed("openslide")
    except BackendError:
        return open_tiff(path, reading, ["read by tifffile, as openslide is not installed"])
    try:
        return open_slide(path, reading)
    except openslide.OpenSlideError as error:
        return open_tiff(
            path, reading, [f"read by tifffile, as openslide does not: {reason(error)}"]
        )


def _opened(openslide: Any, path: Path) -> tuple[Any, Path]:
    """Open a slide, and say from which file: of a folder the first that is of a slide."""
    if not path.is_dir():
        return openslide.OpenSlide(path), path
    for file in dicom_in(path):
        if openslide.OpenSlide.detect_format(file) is not None:
            return openslide.OpenSlide(file), file
    raise ImageError(f"{path} holds DICOM, but no slide: give a file of one")


def files_beside(path: Path) -> list[Path]:
    """Return the files of a slide beside the one that names it.

    Those of MRXS lie in a folder of its name, of VMS and VMU beside it under names that begin with
    its own, of DICOM in one folder.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".dcm":
        return list(dicom_in(path if path.is_dir() else path.parent))
    if suffix == ".mrxs":
        folder = path.with_suffix("")
        return list(folder.iterdir()) if folder.is_dir() else []
    return [file for file in path.parent.iterdir() if file.name.startswith(path.stem)]


def dicom_in(folder: Path) -> Iterator[Path]:
    """Yield the files of DICOM in a folder."""
    return (file for file in sorted(folder.iterdir()) if file.suffix.lower() == ".dcm")


def _levels(path: Path, slide: Any) -> Iterator[tuple[tuple[int, int, int], float]]:
    """Yield the shape of each level, and its factor."""
    for number, (width, height) in enumerate(slide.level_dimensions):
        sides = (
            slide.properties.get(f"openslide.level[{number}].tile-{side}", 1) for side in SIDES
        )
        size = 4 * math.prod(map(int, sides))
        if size > MOST_CHUNK:
            raise ImageError(
                f"{path} is stored in tiles of {size} bytes in its level {number}, more than the "
                f"{MOST_CHUNK} that are read as a whole: convert it to smaller ones"
            )
        yield (height, width, 3), slide.level_downsamples[number]


def _microns(high: str | None, wide: str | None) -> Coordinates | None:
    spacing = [positive(high), positive(wide)]
    return spaced([n for n in spacing if n], "µm", ("y", "x")) if all(spacing) else None


@dataclass(frozen=True, eq=False)
class Level:
    """A level of a slide, pixels ``(H, W, 3)``; threads may read at the same time.

    The slide is closed when no level of it is left.

    Attributes
    ----------
    slide : openslide.OpenSlide
        The slide.
    number : int
        Which level it is.
    shape : tuple of int
        Pixels along each axis, and channels.
    factor : float
        How many pixels of the slide openslide takes one of the level for.
    """

    slide: Any
    number: int
    shape: tuple[int, int, int]
    factor: float
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)
    chunks: ClassVar[tuple[int, int, int]] = (BLOCK, BLOCK, 3)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part."""
        rows, columns, channels = (
            range(*part.indices(n)) for part, n in zip(index, self.shape, strict=True)
        )
        if not (rows and columns and channels):
            return np.empty((len(rows), len(columns), len(channels)), np.uint8)
        whole = self._read(range(rows[0], rows[-1] + 1), range(columns[0], columns[-1] + 1))
        return whole[:: rows.step, :: columns.step, channels.start : channels.stop]

    def _read(self, rows: range, columns: range) -> np.ndarray:
        """Read some rows and columns."""
        if self.factor.is_integer():
            return self._at(rows, columns)
        # openslide counts where a region begins in pixels of the slide, and resamples what then
        # lies between those of the level: blocks that always begin at the same place make a pixel
        # the same whichever region it is read with
        made = np.empty((len(rows), len(columns), 3), np.uint8)
        starts = (range(part.start // BLOCK * BLOCK, part.stop, BLOCK) for part in (rows, columns))
        for corner in itertools.product(*starts):
            parts = [
                range(max(start, whole.start), min(start + BLOCK, whole.stop))
                for start, whole in zip(corner, (rows, columns), strict=True)
            ]
            block = self._at(*(range(s, part.stop) for s, part in zip(corner, parts, strict=True)))
            there = (
                slice(part.start - whole.start, part.stop - whole.start)
                for part, whole in zip(parts, (rows, columns), strict=True)
            )
            here = (slice(p.start - s, None) for s, p in zip(corner, parts, strict=True))
            made[*there] = block[*here]
        return made

    def _at(self, rows: range, columns: range) -> np.ndarray:
        """Read some rows and columns by one call, on white."""
        place = round(columns.start * self.factor), round(rows.start * self.factor)
        region = self.slide.read_region(place, self.number, (len(columns), len(rows)))
        pixels = np.asarray(region)
        colours, alpha = pixels[..., :3], pixels[..., 3:]
        if alpha.min() == WHITE:
            return colours
        opaque = alpha.astype(np.uint16)
        return ((colours * opaque + WHITE * (WHITE - opaque) + WHITE // 2) // WHITE).astype(
            np.uint8
        )
