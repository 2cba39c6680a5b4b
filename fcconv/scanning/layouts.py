"""Which axis of what is stored is which axis of an image."""

from __future__ import annotations

from fcconv.errors import ImageError

SPATIAL = {1: "W", 2: "HW", 3: "DHW"}
"""Letters of the axes that a network slides along, by their number."""


def unit(rank: int) -> str:
    """Name what lies along the axes of an image, by their number."""
    return "samples" if rank == 1 else "pixels"


def find_axes(name: str, stored: str, shape: tuple[int, ...], rank: int, layout: str | None) -> str:
    """Return a letter for each axis, "." for those of length 1 that are left out.

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

    Raises
    ------
    ImageError
        If these are no axes of an image, or do not fit the shape.
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
    named = f" with the axes {axes.upper()}" if axes else ""
    hint = (
        f"the network slides along {spatial}: say with layout which axis is which, in the letters "
        f"NC{spatial}, or save the part to scan by itself"
    )
    for letter, length in zip(axes, shape, strict=bool(axes)):
        if letter not in f".NC{spatial}":
            raise ImageError(
                f"{name} has the shape {shape}{named}: no image has an axis {letter.upper()} of "
                f"{length}; {hint}"
            )
    letters = axes.replace(".", "")
    if not set(spatial) <= set(letters) or len(set(letters)) < len(letters):
        raise ImageError(
            f"{name} has the shape {shape}{named}, but each of {spatial} is needed once, and N and "
            f"C at most once; {hint}"
        )
    return axes


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
