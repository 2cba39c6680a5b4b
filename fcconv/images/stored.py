"""What a file stores: arrays that are read where they are sliced, and what its tags say of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.arguments import as_integer
from fcconv.errors import ImageError
from fcconv.images.coordinates import Coordinates
from fcconv.remote import Place

MOST_CHUNK = 2**26
"""Bytes of a compressed part that is read as a whole; a larger one would not be bounded memory."""

MOST_LISTED = 8
"""Pictures or arrays of a file that a message lists."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What is stored, as arrays that are read where they are sliced.

    Attributes
    ----------
    levels : tuple of array
        The array, and the same in ever fewer pixels where the file is a pyramid.
    axes : str
        A letter for each axis: N, C, D, H, W, or in lower case what no image has. Empty where their
        number says which they are.
    alpha : bool
        Whether the last channel is opacity, which has to be full, unless there is a mask of it.
    stamp : str
        Size and date of the file; empty where there is no single file.
    bits : int, optional
        Bits of an unsigned integer that are in use; all those of its dtype where left out.
    nodata : float, optional
        The value that stands for no data; may be NaN.
    masks : tuple of array
        Where pixels of each level have no value, truth values that are read where they are sliced:
        in the shape of the level, or with one channel for all. Empty where nothing says so.
    series : int, optional
        Which picture of the file it is, where there are several.
    paged : bool
        Whether it is the page that was asked for, alone.
    notes : tuple of str
        What was decided, or found, that changes what the pixels mean.
    coordinates : Coordinates, optional
        Where in the world the pixels lie, along those of `axes` that are D, H or W, in their order;
        NaN along one of which nothing is known.
    magnification : float, optional
        The power of the objective that took it.
    doubted : str
        What the file says of the size of its pixels that is not believed, and why, in words.
    channel_names : tuple of str
        What the channels are called, "" for one without a name; empty where the file does not say.
    """

    levels: tuple[Any, ...]
    axes: str = ""
    alpha: bool = False
    stamp: str = ""
    bits: int | None = None
    nodata: float | None = None
    masks: tuple[Any, ...] = ()
    series: int | None = None
    paged: bool = False
    notes: tuple[str, ...] = ()
    coordinates: Coordinates | None = None
    magnification: float | None = None
    doubted: str = ""
    channel_names: tuple[str, ...] = ()


def stamp(path: Path) -> str:
    """Say how large a file is, and when it was last written."""
    status = path.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns} ns"


def check_chunk(path: Place, array: Any) -> None:
    """Refuse an array of which a part that is compressed as a whole is too large.

    Raises
    ------
    ImageError
        It says how large parts may be.
    """
    size = int(np.prod(array.chunks, dtype=object)) * int(array.dtype.itemsize)
    if size > MOST_CHUNK:
        raise ImageError(
            f"{path} is compressed in parts of {array.chunks} entries, {size} bytes, more than the "
            f"{MOST_CHUNK} that are read as a whole: convert it to tiles, such as of 512 x 512"
        )


def check_series(path: Place, series: Any, pictures: Sequence[str]) -> int:
    """Return the number of the picture that was asked for.

    Parameters
    ----------
    path : Path
        The file, for errors.
    series : int
        What was asked for.
    pictures : sequence of str
        The pictures that the file holds, in words.

    Raises
    ------
    ImageError
        If the file does not hold it.
    """
    number = as_integer(series)
    if number is None or not 0 <= number < len(pictures):
        raise ImageError(
            f"{path} has no series {series!r}: choose one of {listed(enumerate(pictures))}"
        )
    return number


def listed(pictures: Iterable[tuple[int, str]]) -> str:
    """List pictures by their numbers; only the first of many."""
    return first_of([f"{number} ({picture})" for number, picture in pictures])


def first_of(words: Sequence[str]) -> str:
    """List words; only the first of many."""
    more = len(words) - MOST_LISTED
    return ", ".join(words[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
