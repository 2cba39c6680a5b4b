"""Opening images: files, arrays, and batches of them, of which regions are read later."""

from __future__ import annotations

import copyreg
import os
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from fcconv.backend import library, to_numpy
from fcconv.errors import ImageError
from fcconv.images.channels import find_channels
from fcconv.images.formats import files_of, open_file
from fcconv.images.image import Image
from fcconv.images.layouts import ALL, PLANES, find_axes, unit
from fcconv.images.libraries import reason
from fcconv.images.reading import ANY_IMAGE, Reading, as_reading
from fcconv.images.stored import Stored
from fcconv.images.watched import Watched
from fcconv.remote import Remote, is_remote


def open_images(source: Any, rank: int, **reading: Unpack[Reading]) -> tuple[list[Image], bool]:
    """Open an image or a batch of images, of which regions will be read.

    Parameters
    ----------
    source : array, str or path
        Anything with ``shape``, ``dtype`` and slices (NumPy, JAX, PyTorch, Zarr, HDF5, ...); or a
        file that Pillow, tifffile, openslide, NumPy, soundfile or nibabel reads, or a Zarr folder,
        or the address of one, such as ``s3://bucket/slide.zarr``. Pixels are read by region, but
        those of Pillow's formats all at once.
    rank : int
        Axes that the network slides along, 1 to 3.
    **reading
        How it is opened, see :class:`fcconv.images.reading.Reading`.

    Returns
    -------
    images : list of Image
        One, or those of the batch.
    batch : bool
        Whether the source is a batch.

    Raises
    ------
    ImageError
        If there is no such image, its axes or dtype do not fit, or it can't be opened so.
    ArgumentError
        If there is no such keyword.
    BackendError
        If a library is missing that reads the format.

    Examples
    --------
    >>> import numpy as np
    >>> images, batch = open_images(np.zeros((600, 400, 3), np.uint8), rank=2, layout="WHC")
    >>> images[0].channels, images[0].size, batch
    (3, (400, 600), False)
    """
    asked: Reading = as_reading({**reading})
    name, stored, watched = _found(source, asked)
    layout, page = asked.get("layout"), asked.get("page")
    shape = tuple(int(length) for length in stored.levels[0].shape)
    _check_dtype(name, stored.levels[0].dtype)
    planes: dict[str, Any] = {name: value for name, value in asked.items() if name in PLANES}
    of_axes = 0 if stored.paged else page
    axes, at = find_axes(name, stored.axes, shape, rank, layout, of_axes, planes)
    if 0 in shape:
        raise ImageError(f"{name} has the shape {shape}, which holds no {unit(rank)}")
    told = {"series": stored.series, "page": page, **planes}
    name += "".join(f", {k} {entry}" for k, entry in told.items() if entry not in (None, ALL))
    letters = axes.replace("N", ".").replace("*", ".")
    image = _with_channels(Image(name, stored, letters, at, watched=watched, asked=asked))
    if letters == axes:
        return [image], False
    entries = [
        range(n) if letter in "N*" else (entry,)
        for letter, n, entry in zip(axes, shape, at, strict=True)
    ]
    return [
        replace(image, name=f"{name}[{k}]", at=one) for k, one in enumerate(product(*entries))
    ], True


def _found(source: Any, asked: Reading) -> tuple[str, Stored, Watched]:
    """Return what a source is called, what it holds, and what is watched of it."""
    if isinstance(source, Remote) or is_remote(source):
        place = source if isinstance(source, Remote) else Remote(source)
        return place.name, open_file(place, asked), Watched()
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        watched = Watched.at(*files_of(path))  # before it is opened
        return path.name, open_file(path, asked), watched
    return "array", _array(source, asked), Watched()


def _with_channels(image: Image) -> Image:
    """Return an image with the channels that were asked for, or all but opacity."""
    stored, asked, has_axis = image.stored, image.asked, "C" in image.axes
    last = stored.levels[0].shape[image.axes.index("C")] - 1 if has_axis else 0
    layout = asked.get("layout")
    if "channels" in asked:
        chosen = find_channels(image.name, asked["channels"], last + 1, stored.channel_names)
        numbers = tuple(place + 1 for place in chosen)
        image = replace(
            image,
            name=f"{image.name}, channels {','.join(map(str, numbers))}",
            asked={**asked, "channels": numbers},
            chosen=chosen,
        )
    elif stored.alpha and layout is None and has_axis:
        if stored.masks:
            return replace(image, chosen=tuple(range(last)), masks=stored.masks)
        return replace(image, alpha=True)
    if stored.alpha and (layout is not None or last in (image.chosen or ())):
        return image  # what is opacity by its tag is a channel
    return replace(image, masks=stored.masks)


def _array(source: Any, asked: Reading) -> Stored:
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
    for name in asked.keys() - ANY_IMAGE:
        raise ImageError(f"{name} says how a file is read, but the image is an array: leave it out")
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


def _reopened(path: Path, rank: int, asked: Reading, at: tuple[int, ...]) -> Image:
    """Open an image again, in another process perhaps: of a batch the one that it was."""
    images, _ = open_images(path, rank, **asked)
    return next(image for image in images if image.at == at)


def _packed(image: Image) -> tuple[Any, ...]:
    """Pickle an image of a file as what opens it: another process reads the file for itself."""
    path = image.watched.path
    if path is not None:
        return _reopened, (path, len(image.size), image.asked, image.at)
    return Image, tuple(getattr(image, field.name) for field in fields(image))


copyreg.pickle(Image, _packed)
