"""How large the pixels of a TIFF are: what OME, ImageJ, Aperio and its tags say of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

MICRONS = {
    **dict.fromkeys(("um", "µm", "μm", "\\u00b5m", "micron", "microns", "micrometer"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
    **dict.fromkeys(("inch", "in"), 25400.0),
}
"""Microns in a unit, by what files call it, in lower case; the two letters µ look alike."""

TAG_UNITS = {2: "inch", 3: "cm"}
"""Units of the resolution tags; 1 is none."""

MOST_MICRONS = 10.0
"""Microns of a pixel by resolution tags, at most: beyond, it is 72, 96 or 300 dots per inch, which
programs write without knowing, or a flatbed scanner's."""


@dataclass(frozen=True)
class Told:
    """What a file tells of the size of its pixels.

    Attributes
    ----------
    spacing : (float, float) or None
        Microns from one pixel to the next, down and to the right.
    magnification : float or None
        Power of the objective.
    doubted : str
        What it says that is not believed, and why.
    """

    spacing: tuple[float, float] | None = None
    magnification: float | None = None
    doubted: str = ""


def told_by(tiff: Any, page: Any) -> Told:
    """Return what a TIFF tells of the pixels of a page; the first that says something is believed.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The file.
    page : tifffile.TiffPage
        The first page of a picture of it.
    """
    if tiff.is_ome:
        return _ome(str(tiff.ome_metadata), page)
    if page.description.startswith("Aperio"):
        found = dict(re.findall(r"\|\s*(\w+)\s*=\s*([^|\s]+)", page.description))
        side = _positive(found.get("MPP"))
        return Told((side, side) if side else None, _positive(found.get("AppMag")))
    if tiff.is_imagej:
        unit = str((tiff.imagej_metadata or {}).get("unit", "")).lower()
        return Told(_spacing(page, MICRONS.get(unit)))
    unit = TAG_UNITS.get(int(page.tags.valueof("ResolutionUnit", 2)), "")
    spacing = _spacing(page, MICRONS.get(unit))
    if spacing is None or max(spacing) <= MOST_MICRONS:
        return Told(spacing)
    per = " x ".join(f"{MICRONS[unit] / side:g}" for side in spacing)
    return Told(
        doubted=f"{per} pixels per {unit}, which programs write that do not know: a pixel of more "
        f"than {MOST_MICRONS:g} microns is no microscope's"
    )


def _spacing(page: Any, micron: float | None) -> tuple[float, float] | None:
    """Return microns by the resolution tags, given those of their unit."""
    high, wide = (_ratio(page.tags.valueof(f"{axis}Resolution")) for axis in "YX")
    return (micron / high, micron / wide) if micron and high and wide else None


def _ratio(value: Any) -> float | None:
    """Return a rational number of a tag; None if it makes no sense."""
    try:
        above, below = value
        return _positive(above / below)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None


def _ome(text: str, page: Any) -> Told:
    """Read the sizes of the picture that a page begins, and the power of its objective."""
    try:
        root = ElementTree.fromstring(text)  # which expands no entity without end
    except ElementTree.ParseError:
        return Told()
    powers = {
        one.get("ID"): _positive(one.get("NominalMagnification"))
        for one in _named(root, "Objective")
    }
    size = (str(page.imagelength), str(page.imagewidth))
    for image in _named(root, "Image"):
        for pixels in _named(image, "Pixels"):
            if (pixels.get("SizeY"), pixels.get("SizeX")) != size:
                continue
            used = [one.get("ID") for one in _named(image, "ObjectiveSettings")]
            sides = [_length(pixels, axis) for axis in "YX"]
            spacing = (sides[0], sides[1]) if sides[0] and sides[1] else None
            return Told(spacing, powers.get(used[0]) if used else None)
    return Told()


def _length(pixels: ElementTree.Element, axis: str) -> float | None:
    unit = pixels.get(f"PhysicalSize{axis}Unit", "µm").lower()
    side = _positive(pixels.get(f"PhysicalSize{axis}"))
    return side * MICRONS[unit] if side and unit in MICRONS else None


def _named(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Yield what is called so, in whichever version of OME."""
    return (one for one in element.iter() if one.tag.rpartition("}")[2] == name)
