"""Zarr arrays, whose axes may have names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcconv.errors import ImageError
from fcconv.images.libraries import needed
from fcconv.images.reading import Reading
from fcconv.images.stored import MOST_LISTED, Stored, check_chunk

LETTERS = {
    **dict.fromkeys(("x", "lon", "longitude", "width", "column"), "W"),
    **dict.fromkeys(("y", "lat", "latitude", "height", "row"), "H"),
    **dict.fromkeys(("z", "depth"), "D"),
    **dict.fromkeys(("c", "channel", "channels", "band", "bands"), "C"),
    **dict.fromkeys(("n", "batch"), "N"),
}
"""Axes of an image by what they are called."""


def open_zarr(path: Path, _reading: Reading) -> Stored:
    """Open a Zarr array."""
    zarr = needed("zarr")
    found = zarr.open(path, mode="r")
    if isinstance(found, zarr.Group):
        raise ImageError(f"{path} is a group of Zarr arrays: {_within(path, found)}")
    check_chunk(path, found)
    return Stored((found,), _axes(found))


def _within(path: Path, group: Any) -> str:
    """Say which arrays a group holds, so that one can be given."""
    arrays = [
        f"{path / name} of {array.shape}"
        for name, array in group.members(max_depth=None)
        if hasattr(array, "shape")
    ]
    if not arrays:
        return "it holds none"
    more = "" if len(arrays) <= MOST_LISTED else f" and {len(arrays) - MOST_LISTED} more"
    return f"give one of {', '.join(arrays[:MOST_LISTED])}{more}"


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
    return "".join(LETTERS.get(word, word[0]) for word in words)
