"""Samples that become brightness, or red, green and blue, where they are read."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.errors import ImageError
from fcconv.images.libraries import needed

Samples: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Inverted:
    """Grey of which 0 is white, seen with 0 as black.

    Attributes
    ----------
    array : array
        What is read.
    most : int
        The number that is black in it.
    """

    array: Any
    most: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Entries along each axis."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the entries."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Entries that are read as a whole along each axis, if there are chunks."""
        return getattr(self.array, "chunks", None)

    def __getitem__(self, index: tuple[slice, ...]) -> Samples:
        """Read a part."""
        pixels = np.asarray(self.array[index])
        return ~pixels if pixels.dtype == bool else pixels.dtype.type(self.most) - pixels


@dataclass(frozen=True, eq=False)
class Coloured:
    """Pixels of any samples, seen as red, green and blue along a last axis, in 8 bits each.

    Attributes
    ----------
    array : array, shape (*S, samples) or (*S)
        What is read.
    samples : int
        How many there are along its last axis; 0 where it has no such axis.
    colours : callable
        ``colours(pixels)`` makes ``(*S, 3)`` of a part of it, which has all samples.
    """

    array: Any
    samples: int
    colours: Callable[[Samples], Samples]

    @property
    def shape(self) -> tuple[int, ...]:
        """Entries along each axis."""
        return (*self._spatial(self.array.shape), 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the entries."""
        return np.dtype(np.uint8)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Entries that are read as a whole along each axis, if there are chunks."""
        chunks = getattr(self.array, "chunks", None)
        return None if chunks is None else (*self._spatial(chunks), 3)

    def __getitem__(self, index: tuple[slice, ...]) -> Samples:
        """Read a part."""
        *place, channels = index
        stored = (*place, slice(0, self.samples)) if self.samples else tuple(place)
        return self.colours(np.asarray(self.array[stored]))[..., channels]

    def _spatial(self, lengths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(lengths[:-1] if self.samples else lengths)


def of_palette(array: Any, palette: Samples) -> Coloured:
    """Return the colours that numbers stand for.

    Parameters
    ----------
    array : array of int or bool
        The numbers.
    palette : array of uint16, shape (3, numbers)
        The colours in 16 bits; where none needs more than 8, they are of 8.
    """
    table = (palette if palette.max() < 256 else palette >> 8).astype(np.uint8).T
    return Coloured(array, 0, lambda pixels: table[pixels.astype(np.intp)])


def of_ycbcr(array: Any) -> Coloured:
    """Return the colours of brightness and two colour differences, along the last axis."""

    def colours(pixels: Samples) -> Samples:
        return np.asarray(_picture("YCbCr", pixels).convert("RGB")).reshape(pixels.shape)

    return Coloured(array, 3, colours)


def of_cmyk(array: Any, transform: Any) -> Coloured:
    """Return the colours of four inks, along the last axis; see :func:`cmyk_transform`."""

    def colours(pixels: Samples) -> Samples:
        made = needed("PIL.ImageCms").applyTransform(_picture("CMYK", pixels), transform)
        return np.asarray(made).reshape(*pixels.shape[:-1], 3)

    return Coloured(array, 4, colours)


def cmyk_transform(path: Path, profile: bytes | None) -> tuple[Any, str]:
    """Return what turns four inks into sRGB by their ICC profile, and say so.

    Parameters
    ----------
    path : Path
        The file, for errors.
    profile : bytes or None
        The profile that it holds.

    Raises
    ------
    ImageError
        If there is none: what colours the inks have is not known then. If it is of other colours.
    """
    if not profile:
        code = f"from PIL import Image; Image.open({str(path)!r}).convert('RGB').save('rgb.png')"
        raise ImageError(
            f"{path} is CMYK without a colour profile: give it the one that it was made with, or, "
            f"where rough colours will do, convert it: {shlex.join(['python', '-c', code])}"
        )
    cms = needed("PIL.ImageCms")
    inks = cms.ImageCmsProfile(io.BytesIO(profile))
    name = " ".join(cms.getProfileDescription(inks).split())
    if inks.profile.xcolor_space.strip() != "CMYK":
        raise ImageError(
            f"{path} is CMYK, but its colour profile ({name}) is of "
            f"{inks.profile.xcolor_space.strip()}: give it the one that it was made with"
        )
    transform = cms.buildTransform(inks, cms.createProfile("sRGB"), "CMYK", "RGB")
    return transform, f"CMYK made sRGB by its colour profile ({name}), perceptual"


def _picture(mode: str, pixels: Samples) -> Any:
    """Return pixels, their samples along the last axis, as a picture of one row."""
    size = pixels.size // pixels.shape[-1], 1
    return needed("PIL.Image").frombytes(mode, size, np.ascontiguousarray(pixels))
