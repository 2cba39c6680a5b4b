"""Pages of a TIFF that is a document: each may be of a size, a palette and a way up of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.arguments import as_integer
from fcconv.errors import ImageError
from fcconv.images.libraries import needed

ORIENTATION = 274
"""Tag."""

COLOURS_BY = {"PALETTE": 320, "SEPARATED": 34675}
"""Tags that say which colours samples have: a palette, and a colour profile."""

DOCUMENTS = {"generic", "uniform"}
"""What tifffile calls pictures of pages that nothing but their shape and type holds together."""


def is_document(pictures: Sequence[Any], pages: Sequence[Any]) -> bool:
    """Say whether pages are a document: not a stack, a pyramid, or what a format puts in pages."""
    return len(pages) > 1 and all(picture.kind in DOCUMENTS for picture in pictures)


def page_of(path: Path, pages: Sequence[Any], page: Any) -> Any:
    """Return a page as a picture of its own, with its own size and tags.

    Parameters
    ----------
    path : Path
        The file, for errors.
    pages : sequence of TiffPage
        All of them.
    page : int
        Number of the page.

    Raises
    ------
    ImageError
        If there is no such page.
    """
    number = as_integer(page)
    if number is None or not 0 <= number < len(pages):
        raise ImageError(
            f"{path} has {len(pages)} pages, 0 to {len(pages) - 1}: there is no page {page!r}"
        )
    one = pages[number].aspage()
    series: Any = needed("tifffile").TiffPageSeries
    return series([one], one.shape, one.dtype, one.axes, kind="generic")


def check_alike(path: Path, picture: Any) -> None:
    """Refuse pages that can't be read as one array, though they are of one shape and type.

    Raises
    ------
    ImageError
        If they lie differently, or the same number is another colour in some of them.
    """
    if picture.kind not in DOCUMENTS:
        return
    pages, kind = picture.pages, repr(picture.keyframe.photometric)
    tags = [ORIENTATION, *(tag for name, tag in COLOURS_BY.items() if name in kind)]
    told = {
        repr([np.asarray(page.aspage().tags.valueof(tag)).tolist() for tag in tags])
        for page in pages
    }
    if len(told) > 1:
        raise ImageError(
            f"{path} has {len(pages)} pages, which differ in their orientation or in what colours "
            f"their pixels are: take one of them with page (--page 0 to {len(pages) - 1})"
        )
