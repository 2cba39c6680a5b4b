"""Which axis of what is stored is which axis of an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcconv.arguments import as_integer
from fcconv.errors import ImageError

SPATIAL = {1: "W", 2: "HW", 3: "DHW"}
"""Letters of the axes that a network slides along, by their number."""

PLANES = {"z": "D", "time": "Tt"}
"""Keywords that choose an entry of an axis, and the letters that it may have."""

ALL = "all"
"""What chooses every entry of an axis."""


def unit(rank: int) -> str:
    """Name what lies along the axes of an image, by their number."""
    return "samples" if rank == 1 else "pixels"


def axes_in_words(count: int) -> str:
    """Count axes: 1 axis, 2 axes."""
    return "1 axis" if count == 1 else f"{count} axes"


def find_axes(
    name: str,
    stored: str,
    shape: tuple[int, ...],
    rank: int,
    layout: str | None,
    page: int | None = None,
    planes: Mapping[str, int | str] | None = None,
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
    planes : mapping of str to int or str, optional
        Which entry of the axes that have a keyword in :data:`PLANES`, or "all".

    Returns
    -------
    axes : str
        The letters; "*" for an axis of which all entries are read, one after the other.
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
    >>> find_axes("a.tif", "tDHWC", (5, 4, 90, 70, 3), 2, None, planes={"time": "all", "z": 3})
    ('*.HWC', (0, 3, 0, 0, 0))
    """
    spatial = SPATIAL[rank]
    if layout is not None:
        if not isinstance(layout, str):
            raise ImageError(f"layout needs a letter for each axis, such as HWC, got {layout!r}")
        axes = _spread(name, layout.upper(), shape)
    else:
        known = {rank: spatial, rank + 1: f"C{spatial}", rank + 2: f"NC{spatial}"}
        axes = stored or known.get(len(shape), "")
    axes, at = _at_planes(name, axes, shape, spatial, planes or {})
    if stored and layout is None:
        axes = _squeezed(axes, shape, spatial)
    if page is not None and axes:
        axes, of_page = _at_page(name, axes, shape, spatial, page)
        at = tuple(map(sum, zip(at, of_page, strict=True)))  # no axis is in both
    _check(name, axes, shape, spatial)
    return axes, at


def channels_as_pages(layout: str) -> str:
    """Return a layout in which what was the channels are pages, of which one can be taken."""
    return layout.replace("C", "T" if "N" in layout else "N")


def _at_planes(
    name: str,
    axes: str,
    shape: tuple[int, ...],
    spatial: str,
    planes: Mapping[str, int | str],
) -> tuple[str, tuple[int, ...]]:
    """Leave out the axes of which an entry was chosen, and mark those of which all were."""
    at = [0] * len(shape)
    for keyword, wanted in planes.items():
        found = [axis for axis, letter in enumerate(axes) if letter in PLANES[keyword]]
        if len(found) != 1 or axes[found[0]] in spatial:
            known = f"its axes are {axes.upper()}" if axes else "say with layout which is which"
            raise ImageError(
                f"{name} has no axis to take one of by {keyword} (--{keyword}): the network slides "
                f"along {spatial}, {known}"
            )
        (axis,) = found
        entry = 0 if wanted == ALL else as_integer(wanted)
        if entry is None or not 0 <= entry < shape[axis]:
            raise ImageError(
                f"{name} has {shape[axis]} planes along {keyword} (--{keyword}), 0 to "
                f"{shape[axis] - 1}, or 'all': there is no {wanted!r}"
            )
        at[axis] = entry
        axes = axes[:axis] + ("*" if wanted == ALL else ".") + axes[axis + 1 :]
    return axes, tuple(at)


def _at_page(
    name: str, axes: str, shape: tuple[int, ...], spatial: str, page: Any
) -> tuple[str, tuple[int, ...]]:
    """Leave out the axes that are not the image's, and find a page along them."""
    own = f".*C{spatial}"
    lengths = [1 if letter in own else n for letter, n in zip(axes, shape, strict=True)]
    count, number = math.prod(lengths), as_integer(page)
    if number is None or not 0 <= number < count:
        pages = f"{count} pages, 0 to {count - 1}" if count != 1 else "one page, 0"
        hint, channels = "", dict(zip(axes, shape, strict=True)).get("C", 1)
        if channels > 1 and not _are_chosen(axes, shape):
            known = zip(axes.upper(), shape, strict=True)
            told = channels_as_pages("".join(letter for letter, n in known if n > 1))
            hint = f"; layout={told!r} (--layout {told}) takes its {channels} channels for pages"
        raise ImageError(f"{name} has the shape {shape}, {pages}: there is no page {page!r}{hint}")
    left = "".join(letter if letter in own else "." for letter in axes)
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
        if letter not in f".*NC{spatial}":
            raise ImageError(
                f"{name} has the shape {shape}{named}: no image has an axis {letter.upper()} of "
                f"{length}; the network slides along {spatial}: {_choices(axes, shape, spatial)}"
            )
    letters = axes.replace(".", "").replace("*", "")
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
    other = [axis for axis, letter in enumerate(axes) if letter not in f".*NC{spatial}"]
    if not set(spatial) <= set(axes):
        return f"say with layout which axis is which, in the letters NC{spatial}"
    pages = math.prod(
        n for letter, n in zip(axes, shape, strict=True) if letter not in f".*C{spatial}"
    )
    ways = [f"take one of its {pages} pages with page (--page 0 to {pages - 1})"]
    for keyword, letters in PLANES.items():
        ways += [
            # not how many: a volume has its slices along another axis where z is asked for
            f"one along {keyword}, or all of them (--{keyword} K, or all)"
            for axis in other
            if axes[axis] in letters
        ]
    if len(other) == 1 and not _are_chosen(axes, shape):
        for letter, what in (("C", "channels"), ("N", "images of a batch")):
            if letter not in axes:
                told = axes.replace(axes[other[0]], letter).replace(".", "")
                ways.append(f"read them as {what} with layout={told!r}")
    return ", or ".join(ways)


def _are_chosen(axes: str, shape: Sequence[int]) -> bool:
    """Say whether entries of an axis were chosen, whose letter a layout would need, too."""
    return any(
        letter == "*" or (letter == "." and n > 1) for letter, n in zip(axes, shape, strict=True)
    )


def _spread(name: str, layout: str, shape: tuple[int, ...]) -> str:
    """Return a layout for all axes, or for those that are longer than 1, as one for all."""
    is_of_letters = not {".", "*"} & set(layout)  # which mark axes that were chosen from
    if is_of_letters and len(layout) == len(shape):
        return layout
    if not is_of_letters or len(layout) != sum(length > 1 for length in shape):
        raise ImageError(
            f"{name} has the shape {shape}, but the layout {layout!r} is of "
            f"{axes_in_words(len(layout))}: "
            "give a letter for each"
        )
    letters = iter(layout)
    return "".join(next(letters) if length > 1 else "." for length in shape)


def _squeezed(axes: str, shape: tuple[int, ...], spatial: str) -> str:
    """Leave out axes of length 1 that are not needed, and all but one of channels."""
    made = ""
    for letter, length in zip(axes, shape, strict=True):
        twice = letter == "C" and axes.count("C") > 1
        made += "." if length == 1 and (twice or letter not in f"*C{spatial}") else letter
    return made
