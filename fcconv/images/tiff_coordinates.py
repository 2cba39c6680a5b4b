"""What a TIFF tells of its pixels: where they lie, by which objective, of what channels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

from fcconv.images.coordinates import Coordinates, spaced
from fcconv.images.lengths import MICRONS, in_one_unit, positive

OME_AXES = {"D": "Z", "H": "Y", "W": "X"}
"""Spatial axes by their letters in OME."""

NAMES = {"D": "z", "H": "y", "W": "x"}

X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
"""Tags."""

TAG_UNITS = {2: "inch", 3: "cm"}
"""Units of the resolution tags; 1 is none."""

MOST_MICRONS = 10.0
"""Microns of a pixel by resolution tags, at most: beyond, it is 72, 96 or 300 dots per inch, which
programs write without knowing, or a flatbed scanner's."""


class Told(NamedTuple):
    """What a file says of a picture: nothing, where it does not.

    Attributes
    ----------
    coordinates : Coordinates or None
        Where pixels lie, before they are turned as the file's orientation says.
    channel_names : tuple of str
        What the channels are called.
    magnification : float or None
        Power of the objective.
    doubted : str
        What it says of the size of pixels that is not believed, and why.
    """

    coordinates: Coordinates | None = None
    channel_names: tuple[str, ...] = ()
    magnification: float | None = None
    doubted: str = ""


def told_of(tiff: Any, series: Any) -> Told:
    """Return what OME, Aperio, ImageJ, or the tags for resolution say of a series of a TIFF.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The file.
    series : tifffile.TiffPageSeries
        One of its series, or of its pages.
    """
    spatial = [letter for letter, axis in OME_AXES.items() if axis in series.axes]
    if series.kind == "ome":
        return _ome(tiff, series, spatial)
    if series.keyframe.description.startswith("Aperio"):
        found = dict(re.findall(r"\|\s*(\w+)\s*=\s*([^|\s]+)", series.keyframe.description))
        side = _length(found.get("MPP"))
        return Told(
            _placed(spatial, [side] * len(spatial), ["µm"] * len(spatial)),
            magnification=positive(found.get("AppMag")),
        )
    if series.kind == "imagej":
        return Told(_imagej(tiff, series.keyframe.tags, spatial))
    return _by_tags(series.keyframe.tags, spatial)


def _ome(tiff: Any, series: Any, spatial: list[str]) -> Told:
    root = ElementTree.fromstring(tiff.ome_metadata)
    images = [(one, *_named(one, "Pixels")) for one in _named(root, "Image")]
    if len(images) != len(tiff.series):  # some have no pages, and which is which is not known
        return Told()
    image, pixels, *_ = images[tiff.series.index(series)]
    told = pixels.attrib
    samples = math.prod(
        n for axis, n in zip(series.axes, series.shape, strict=True) if axis in "CS"
    )
    names = [one.attrib.get("Name", "") for one in _named(pixels, "Channel")]
    is_named = len(names) == samples and any(names)
    spacing = [_length(told.get(f"PhysicalSize{OME_AXES[letter]}")) for letter in spatial]
    units = [told.get(f"PhysicalSize{OME_AXES[letter]}Unit", "µm") for letter in spatial]
    used = [one.get("ID") for one in _named(image, "ObjectiveSettings")]
    powers = {
        one.get("ID"): positive(one.get("NominalMagnification"))
        for one in _named(root, "Objective")
    }
    return Told(
        _placed(spatial, spacing, units),
        tuple(names) if is_named else (),
        powers.get(used[0]) if used else None,
    )


def _named(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Yield what is called so, in whichever version of OME."""
    return (one for one in element.iter() if one.tag.rpartition("}")[2] == name)


def _imagej(tiff: Any, tags: Any, spatial: list[str]) -> Coordinates | None:
    told = tiff.imagej_metadata or {}
    unit = str(told.get("unit") or "").replace("\\u00B5", "µ")  # as ImageJ writes it
    if not unit or unit.startswith("pixel"):
        return None
    lengths = {"D": _length(told.get("spacing", 1)), **_lengths(tags)}
    return _placed(spatial, [lengths[letter] for letter in spatial], [unit] * len(spatial))


def _by_tags(tags: Any, spatial: list[str]) -> Told:
    """Believe the tags for resolution where they say microns that a microscope has."""
    unit, lengths = TAG_UNITS.get(int(tags.valueof(RESOLUTION_UNIT, 2)), ""), _lengths(tags)
    if spatial != ["H", "W"] or not unit or any(map(math.isnan, lengths.values())):
        return Told()
    if max(lengths.values()) * MICRONS[unit] <= MOST_MICRONS:
        return Told(_placed(spatial, [*lengths.values()], [unit, unit]))
    per = " x ".join(f"{1 / length:g}" for length in lengths.values())
    return Told(
        doubted=f"{per} pixels per {unit}, which programs write that do not know: a pixel of more "
        f"than {MOST_MICRONS:g} microns is no microscope's"
    )


def _lengths(tags: Any) -> Mapping[str, float]:
    """Return the lengths of a pixel by the tags for resolution, in their unit."""
    return {"H": _per_unit(tags.valueof(Y_RESOLUTION)), "W": _per_unit(tags.valueof(X_RESOLUTION))}


def _placed(spatial: list[str], spacing: list[float], units: list[str]) -> Coordinates | None:
    """Return where pixels lie, from the first on; nothing is known along an axis of length NaN."""
    known = in_one_unit(spacing, units)
    if known is None or all(map(math.isnan, spacing)):
        return None
    lengths, unit = known
    names = tuple(NAMES[axis] for axis in spatial)
    return spaced(lengths, unit, names)


def _length(told: Any) -> float:
    """Read a length; NaN where it is not one."""
    return positive(told) or math.nan


def _per_unit(told: Any) -> float:
    """Return the length of a pixel from a fraction, pixels in a unit."""
    try:
        pixels, units = told
        return _length(units / pixels)
    except (TypeError, ValueError, ZeroDivisionError):
        return math.nan
