"""Opening images: files, arrays, and batches of them, of which regions are read later."""

from __future__ import annotations

import copyreg
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.backend import library, to_numpy
from fcconv.errors import ImageError
from fcconv.images.formats import open_file, reason
from fcconv.images.image import Image
from fcconv.images.layouts import find_axes, unit
from fcconv.images.stored import Asked, Stored
from fcconv.images.watched import Watched
from fcconv.remote import Remote, is_remote


def open_images(
    source: Any,
    rank: int,
    layout: str | None = None,
    series: int | None = None,
    page: int | None = None,
) -> tuple[list[Image], bool]:
    """Open an image or a batch of images, of which regions will be read.

    Parameters
    ----------
    source : array, str or path
        Anything with ``shape``, ``dtype`` and slices (NumPy, JAX, PyTorch, Zarr, HDF5, ...); or a
        file that Pillow, tifffile, NumPy, soundfile or nibabel reads, or a Zarr folder, or the
        address of one, such as ``s3://bucket/slide.zarr``. Pixels are read by region, but those of
        Pillow's formats all at once.
    rank : int
        Axes that the network slides along, 1 to 3.
    layout : str, optional
        A letter for each axis of the source: N for the images of a batch, C for channels, and W,
        HW or DHW for the spatial ones. By default what the format says; of an array without or
        with channels first, or a batch of these. Where it names C, every entry along that axis is
        a channel, be it tagged as opacity or not.
    series : int, optional
        Which picture of a file that holds several; by default the largest that is not a label, a
        macro image or a thumbnail.
    page : int, optional
        Which one to take where there are other axes, such as time, depth or those of a batch,
        counted with the last of these axes fastest.

    Returns
    -------
    images : list of Image
        One, or those of the batch.
    batch : bool
        Whether the source is a batch.

    Raises
    ------
    ImageError
        If there is no such image, or its axes or dtype do not fit.
    BackendError
        If a library is missing that reads the format.

    Examples
    --------
    >>> import numpy as np
    >>> images, batch = open_images(np.zeros((600, 400, 3), np.uint8), rank=2, layout="WHC")
    >>> images[0].channels, images[0].size, batch
    (3, (400, 600), False)
    """
    if isinstance(source, Remote) or is_remote(source):
        place = source if isinstance(source, Remote) else Remote(source)
        name, stored, watched = place.name, open_file(place, series), Watched()
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        watched = Watched.at(path)
        name, stored = path.name, open_file(path, series)
    else:
        name, stored, watched = "array", _array(source, series), Watched()
    shape = tuple(int(length) for length in stored.levels[0].shape)
    _check_dtype(name, stored.levels[0].dtype)
    axes, at = find_axes(name, stored.axes, shape, rank, layout, page)
    if 0 in shape:
        raise ImageError(f"{name} has the shape {shape}, which holds no {unit(rank)}")
    if stored.series is not None:
        name += f", series {stored.series}"
    if page is not None:
        name += f", page {page}"
    asked = Asked(layout, series, page)
    alpha = stored.alpha and layout is None and "C" in axes
    if "N" not in axes:
        return [Image(name, stored, axes, at, alpha, watched, asked)], False
    batch, axes = axes.index("N"), axes.replace("N", ".")
    return [
        Image(
            f"{name}[{k}]", stored, axes, (*at[:batch], k, *at[batch + 1 :]), alpha, watched, asked
        )
        for k in range(shape[batch])
    ], True


def _array(source: Any, series: int | None) -> Stored:
    """Check that a source is an array from which something can be read."""
    if isinstance(source, np.ma.MaskedArray):
        raise ImageError("the image is a masked array: fill what is hidden first, with .filled(0)")
    try:
        is_array = all(hasattr(source, needed) for needed in ("shape", "dtype", "__getitem__"))
    except Exception as error:  # of an array in a file that has been closed, say
        kind = type(source).__name__
        raise ImageError(f"the image, a {kind}, can't be read: {reason(error)}") from error
    if not is_array:
        raise ImageError(f"an image is an array or the path of a file, got {type(source).__name__}")
    if series is not None:
        raise ImageError("series chooses among the pictures of a file, but this is an array")
    has_dtypes_of_its_own = not isinstance(source.dtype, np.dtype) and library(source)
    return Stored((to_numpy(source) if has_dtypes_of_its_own else source,))


def _check_dtype(name: str, dtype: Any) -> None:
    """Refuse entries that are not real numbers."""
    try:
        kind = np.dtype(dtype).kind
    except TypeError:
        kind = ""
    if kind not in ("b", "u", "i", "f"):
        raise ImageError(f"{name} has dtype {dtype}: convert it to integers or floats of NumPy")


def _reopened(path: Path, rank: int, asked: Asked, at: tuple[int, ...]) -> Image:
    """Open an image again, in another process perhaps: of a batch the one that it was."""
    images, _ = open_images(path, rank, *asked)
    return next(image for image in images if image.at == at)


def _packed(image: Image) -> tuple[Any, ...]:
    """Pickle an image of a file as what opens it: another process reads the file for itself."""
    path = image.watched.path
    if path is not None:
        return _reopened, (path, len(image.size), image.asked, image.at)
    return Image, tuple(getattr(image, field.name) for field in fields(image))


copyreg.pickle(Image, _packed)
