"""TIFF of every kind: which of its pictures is the image, and what its tags say of the pixels."""

from __future__ import annotations

import logging
import math
import re
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import BackendError, ImageError
from fcconv.images.coordinates import Coordinates, spaced
from fcconv.images.libraries import needed
from fcconv.images.raw import Turned, open_raw
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored, check_chunk, check_series, listed, stamp
from fcconv.images.tiff_colours import check_colours, seen
from fcconv.images.tiff_coordinates import told_of
from fcconv.images.tiff_pages import ORIENTATION, check_alike, is_document, page_of

LETTERS = {"Y": "H", "X": "W", "S": "C", "C": "C", "Z": "D"}
"""Axes of an image by their letters in a TIFF."""

BESIDE = {"label", "macro", "map", "mask", "overview", "thumbnail"}
"""Words in the names of pictures that lie beside the one that a file is about."""

MASK = 4
"""Bit of NewSubfileType that says that a picture tells which pixels of another are valid."""

TRANSPOSED = range(5, 9)
"""Orientations whose rows are columns."""

# What tifffile says about odd tags; without a handler, Python would print it
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_tiff(path: Path, reading: Reading, notes: Sequence[str] = ()) -> Stored:
    """Open a picture of a TIFF: a series of pages, with its smaller levels.

    Parameters
    ----------
    path : Path
        The file.
    reading : Reading
        Which picture, and which page of it.
    notes : sequence of str
        What is noted first.
    """
    tifffile = needed("tifffile")
    tiff = tifffile.TiffFile(path)
    try:
        stored = _opened(path, tifffile, tiff, reading, notes)
    except BaseException:
        tiff.close()
        raise
    weakref.finalize(stored, tiff.close)
    return stored


def _opened(
    path: Path, tifffile: Any, tiff: Any, reading: Reading, before: Sequence[str]
) -> Stored:
    pictures, series = [_words(candidate) for candidate in tiff.series], reading.get("series")
    if not pictures:
        raise ImageError(f"{path} can't be read: it holds no picture, or is cut off")
    number = _largest(tiff.series) if series is None else check_series(path, series, pictures)
    chosen, several = tiff.series[number], len(pictures) > 1
    pages, within = (tiff.pages, tiff.series) if series is None else (chosen.pages, [chosen])
    asked = reading.get("page")
    # a layout may count other axes as pages
    paged = asked is not None and "layout" not in reading and is_document(within, pages)
    if paged:
        chosen, several = page_of(path, pages, asked), several and series is not None
    else:
        check_alike(path, chosen)
    page, axes = chosen.keyframe, chosen.axes
    levels = [level for level in chosen.levels if level.axes == axes]
    for level in levels:
        _check_tiff(path, tifffile, level)
    notes = [*before, *([_choice(tiff, pictures, number)] if several else [])]
    turned, extra = page.tags.valueof(ORIENTATION, 1), page.extrasamples
    if turned in range(2, 9):
        notes.append(f"turned and mirrored as its orientation tag {turned} says")
    made = [seen(path, level.keyframe, _array(path, level), axes) for level in levels]
    letters = "".join(LETTERS.get(axis, axis.lower()) for axis in map(str, made[0].axes))
    told = told_of(tiff, chosen)
    return Stored(
        levels=tuple(_turned(one.array, one.axes, turned) for one in made),
        axes=letters,
        alpha=bool(extra) and extra[-1] in (1, 2),  # associated or unassociated alpha
        stamp=stamp(path),
        bits=made[0].bits,
        nodata=made[0].nodata,
        series=number if several else None,
        paged=paged,
        notes=(*notes, *made[0].notes),
        coordinates=_as_turned(told.coordinates, turned),
        magnification=told.magnification,
        doubted=told.doubted,
        channel_names=told.channel_names,
    )


def _choice(tiff: Any, pictures: Sequence[str], number: int) -> str:
    """Say which of several pictures was taken, and how to take another."""
    others = listed((k, words) for k, words in enumerate(pictures) if k != number)
    said = f"series {number} of the file ({pictures[number]}); --series takes another: {others}"
    if is_document(tiff.series, tiff.pages):
        said += f"; --page takes one of its {len(tiff.pages)} pages"
    return said


def _as_turned(placed: Coordinates | None, orientation: int) -> Coordinates | None:
    """Return where pixels lie that were turned: only their size is known then."""
    if placed is None or orientation not in range(2, 9):
        return placed
    if len(placed.spacing) != 2:
        return None
    sides = placed.spacing[::-1] if orientation in TRANSPOSED else placed.spacing
    return spaced(sides, placed.unit, ("y", "x"))


def _largest(series: Sequence[Any]) -> int:
    """Return the number of the largest picture that is not a label, a thumbnail and the like."""

    def rank(number: int) -> tuple[bool, int]:
        one = series[number]
        beside = BESIDE & set(re.split(r"[\W_]+", str(one.name).lower()))
        return not (beside or one.keyframe.subfiletype & MASK), _pixels(one)

    return max(range(len(series)), key=rank)  # the first of those that are equal


def _pixels(series: Any) -> int:
    """Return the pixels of a page."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return int(sizes.get("Y", 1)) * int(sizes.get("X", 1))


def _words(series: Any) -> str:
    """Name a picture, and say how large it is."""
    shape = " x ".join(map(str, series.shape))
    return f"{series.name} {shape}".strip()


def _check_tiff(path: Path, tifffile: Any, series: Any) -> None:
    """Refuse a TIFF that is cut off, can't be decoded, or has pixels that are not understood."""
    page = series.keyframe
    check_colours(path, page)
    try:
        if page.compression != 1:
            tifffile.TIFF.DECOMPRESSORS[page.compression]
        if page.predictor != 1:
            tifffile.TIFF.UNPREDICTORS[page.predictor]
    except KeyError as error:
        if "imagecodecs" not in str(error):
            raise
        raise BackendError(f"{path} can't be read: {error.args[0]}: install it with pip") from error
    check_whole(path, series)


def check_whole(path: Path, pages: Iterable[Any]) -> None:
    """Refuse a TIFF that is cut off in some pages.

    Raises
    ------
    ImageError
        It says how many bytes there are, of how many.
    """
    for page in pages:
        if page is not None:
            parts = zip(page.dataoffsets, page.databytecounts, strict=False)
            end, size = max(map(sum, parts), default=0), page.parent.filehandle.size
            if end > size:
                raise ImageError(f"{path} is cut off: {size} bytes of {end}: copy it again")


def _check_parts(path: Path, pages: Iterable[Any]) -> None:
    """Refuse a TIFF that says of some parts only where they are: others would be read as 0."""
    for page in pages:
        if page is not None:
            told = min(len(page.dataoffsets), len(page.databytecounts))
            parts = math.prod(page.chunked)
            if told < parts:
                raise ImageError(
                    f"{path} says where {told:,} of the {parts:,} strips or tiles of a page are: "
                    f"save it anew"
                )


def _array(path: Path, level: Any) -> Any:
    """Return the array of one level: raw where it is stored as it is, else read by tile."""
    page = level.keyframe
    if level.dataoffset is not None and level.transform is None:
        dtype = np.dtype(level.dtype).newbyteorder(page.parent.byteorder)
        file = Path(page.parent.filehandle.path)  # that of OME may be another one
        return open_raw(file, dtype, level.shape, level.dataoffset)
    _check_parts(path, level)
    array = needed("zarr").open_array(level.aszarr(level=0), mode="r")
    check_chunk(path, array)
    return array


def _turned(array: Any, axes: str, orientation: int) -> Any:
    """Return the array as its orientation says, with the same axes.

    The tag says which way the first row and the first column of the file lie: 6, say, the row on
    the right, the column at the top.
    """
    if orientation not in range(2, 9) or not {"Y", "X"} <= set(axes):
        return array
    row, column, order = axes.index("Y"), axes.index("X"), list(range(len(axes)))
    flipped = [row] * (orientation in (3, 4, 6, 7)) + [column] * (orientation in (2, 3, 7, 8))
    if orientation in TRANSPOSED:
        order[row], order[column] = column, row
    return Turned(array, order, flipped)
