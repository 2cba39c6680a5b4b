"""Which axis of what is stored is which axis of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fcconv.arguments import as_integer
from fcconv.errors import ImageError

SPATIAL = {1: "W", 2: "HW", 3: "DHW"}
"""Letters of the axes that a network slides along, by their number."""


def unit(rank: int) -> str:
    """Name what lies along the axes of an image, by their number."""
    return "samples" if rank == 1 else "pixels"


def find_axes(
    name: str,
    stored: str,
    shape: tuple[int, ...],
    rank: int,
    layout: str | None,
    page: int | None = None,
) -> tuple[str, tuple[int, ...]]:
    """Return a letter for each axis, "." for those of which one entry is read, and that entry.

    Parameters
    ----------
    name : str
        Name of the image, for errors.
    stored : str
        A letter for each axis as its format says; empty where it says nothing.
    shape : tuple of int
        What is stored.
    rank : int
        Axes that the network slides along.
    layout : str, optional
        What the user says instead.
    page : int, optional
        Which entry of the axes that are neither channels nor slid along, the last of them fastest.

    Returns
    -------
    axes : str
        The letters.
    at : tuple of int
        The entry of each axis that is ".", and 0 for the others.

    Raises
    ------
    ImageError
        If these are not the axes of an image, do not fit the shape, or there is no such page.

    Examples
    --------
    >>> find_axes("a.tif", "tDHWC", (5, 4, 90, 70, 3), 2, None, page=6)
    ('..HWC', (1, 2, 0, 0, 0))
    """
    spatial = SPATIAL[rank]
    if layout is not None:
        if not isinstance(layout, str):
            raise ImageError(f"layout needs a letter for each axis, such as HWC, got {layout!r}")
        axes = _spread(name, layout.upper(), shape)
    elif stored:
        axes = _squeezed(stored, shape, spatial)
    else:
        known = {rank: spatial, rank + 1: f"C{spatial}", rank + 2: f"NC{spatial}"}
        axes = known.get(len(shape), "")
    at = (0,) * len(shape)
    if page is not None and axes:
        axes, at = _at_page(name, axes, shape, spatial, page)
    _check(name, axes, shape, spatial)
    return axes, at


def channels_as_pages(layout: str) -> str:
    """Return a layout in which what was the channels are pages, of which one can be taken."""
    return layout.replace("C", "T" if "N" in layout else "N")


def _at_page(
    name: str, axes: str, shape: tuple[int, ...], spatial: str, page: Any
) -> tuple[str, tuple[int, ...]]:
    """Leave out the axes that are not the image's, and find a page along them."""
    lengths = [1 if letter in f"C{spatial}" else n for letter, n in zip(axes, shape, strict=True)]
    count, number = math.prod(lengths), as_integer(page)
    if number is None or not 0 <= number < count:
        pages = f"{count} pages, 0 to {count - 1}" if count != 1 else "one page, 0"
        hint, channels = "", dict(zip(axes, shape, strict=True)).get("C", 1)
        if channels > 1:
            known = zip(axes.upper(), shape, strict=True)
            told = channels_as_pages("".join(letter for letter, n in known if n > 1))
            hint = f"; layout={told!r} (--layout {told}) takes its {channels} channels for pages"
        raise ImageError(f"{name} has the shape {shape}, {pages}: there is no page {page!r}{hint}")
    left = "".join(letter if letter in f"C{spatial}" else "." for letter in axes)
    return left, tuple(int(place) for place in np.unravel_index(number, lengths))


def _check(name: str, axes: str, shape: tuple[int, ...], spatial: str) -> None:
    """Refuse axes that are not those of images.

    Raises
    ------
    ImageError
        It says what would do.
    """
    named = f" with the axes {axes.upper()}" if axes else ""
    for letter, length in zip(axes, shape, strict=bool(axes)):
        if letter not in f".NC{spatial}":
            raise ImageError(
                f"{name} has the shape {shape}{named}: no image has an axis {letter.upper()} of "
                f"{length}; the network slides along {spatial}: {_choices(axes, shape, spatial)}"
            )
    letters = axes.replace(".", "")
    if not set(spatial) <= set(letters) or len(set(letters)) < len(letters):
        hint = "an image of as many axes is needed"
        if len(shape) >= len(spatial):
            hint = (
                "say with layout which axis is which, in these letters, and others, such as T, for "
                "axes of which page (--page) is to take one entry"
            )
        raise ImageError(
            f"{name} has the shape {shape}{named}, but each of {spatial} is needed once, and N and "
            f"C at most once; the network slides along {spatial}: {hint}"
        )


def _choices(axes: str, shape: Sequence[int], spatial: str) -> str:
    """Say what can be done about axes that no image has."""
    other = [axis for axis, letter in enumerate(axes) if letter not in f".NC{spatial}"]
    if not set(spatial) <= set(axes):
        return f"say with layout which axis is which, in the letters NC{spatial}"
    pages = math.prod(
        n for letter, n in zip(axes, shape, strict=True) if letter not in f".C{spatial}"
    )
    ways = [f"take one of its {pages} pages with page (--page 0 to {pages - 1})"]
    if len(other) == 1:
        for letter, what in (("C", "channels"), ("N", "images of a batch")):
            if letter not in axes:
                told = axes.replace(axes[other[0]], letter).replace(".", "")
                ways.append(f"read them as {what} with layout={told!r}")
    return ", or ".join(ways)


def _spread(name: str, layout: str, shape: tuple[int, ...]) -> str:
    """Return a layout for all axes, or for those that are longer than 1, as one for all."""
    if len(layout) == len(shape) and "." not in layout:
        return layout
    if len(layout) != sum(length > 1 for length in shape) or "." in layout:
        raise ImageError(
            f"{name} has the shape {shape}, but the layout {layout!r} is of {len(layout)} axes: "
            "give a letter for each"
        )
    letters = iter(layout)
    return "".join(next(letters) if length > 1 else "." for length in shape)


def _squeezed(axes: str, shape: tuple[int, ...], spatial: str) -> str:
    """Leave out axes of length 1 that are not needed, and all but one of channels."""
    made = ""
    for letter, length in zip(axes, shape, strict=True):
        twice = letter == "C" and axes.count("C") > 1
        made += "." if length == 1 and (twice or letter not in f"C{spatial}") else letter
    return made
