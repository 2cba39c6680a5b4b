"""Zarr: arrays, whose axes may have names, and images of OME-Zarr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fcconv.errors import ImageError
from fcconv.images.axis_names import LETTERS, letter_of
from fcconv.images.libraries import needed
from fcconv.images.ome_zarr import open_picture, pictures_in
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored, check_chunk, check_series, first_of
from fcconv.remote import Place, Remote


def open_zarr(path: Place, reading: Reading) -> Stored:
    """Open a Zarr array, or a group that is OME-Zarr.

    Raises
    ------
    ImageError
        If it is another group, is damaged, or has no such series.
    """
    zarr, series = needed("zarr"), reading.get("series")
    found = zarr.open(str(path), mode="r")
    version = path.stamp() if isinstance(path, Remote) else ""
    if isinstance(found, zarr.Group):
        pictures = pictures_in(path, found)
        if pictures:
            return replace(open_picture(path, pictures, series), stamp=version)
        raise ImageError(f"{path} is a group of Zarr arrays: {_within(path, found)}")
    if series is not None:
        check_series(path, series, ["the only one"])
    check_chunk(path, found)
    return Stored((found,), _axes(found), stamp=version)


def _within(path: Place, group: Any) -> str:
    """Say which arrays a group holds, so that one can be given."""
    arrays = [
        f"{path / name} of {array.shape}"
        for name, array in group.members(max_depth=None)
        if hasattr(array, "shape")
    ]
    return f"give one of {first_of(arrays)}" if arrays else "it holds none"


def _axes(array: Any) -> str:
    """Return a letter for each axis that has a name; none where the names say too little."""
    # dimension_names is of Zarr 3; xarray writes the other one into Zarr 2
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, Sequence) or len(names) != array.ndim:
        return ""
    words = [str(name or "").lower() for name in names]
    if not all(words) or not {"H", "W"} <= {LETTERS.get(word) for word in words}:
        return ""
    return "".join(map(letter_of, words))
