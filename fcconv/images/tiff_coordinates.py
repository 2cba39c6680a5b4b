"""Where the pixels of TIFF stacks lie, and what their channels are called: OME and ImageJ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

from fcconv.images.coordinates import Coordinates, spaced
from fcconv.images.lengths import in_one_unit

OME_AXES = {"D": "Z", "H": "Y", "W": "X"}
"""Spatial axes by their letters in OME."""

NAMES = {"D": "z", "H": "y", "W": "x"}

X_RESOLUTION, Y_RESOLUTION = 282, 283
"""Tags."""


class Told(NamedTuple):
    """What a file says of a picture: nothing, where it does not."""

    coordinates: Coordinates | None = None
    channel_names: tuple[str, ...] = ()


def told_of(tiff: Any, number: int, axes: str) -> Told:
    """Return what OME or ImageJ has written of a series of a TIFF.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The file.
    number : int
        Which of its series.
    axes : str
        The letters of the axes of the series.
    """
    kind, spatial = tiff.series[number].kind, [letter for letter in axes if letter in "DHW"]
    if kind == "ome":
        return _ome(tiff, number, axes, spatial)
    return Told(_imagej(tiff, number, spatial)) if kind == "imagej" else Told()


def _ome(tiff: Any, number: int, axes: str, spatial: list[str]) -> Told:
    pixels = [
        element
        for element in ElementTree.fromstring(tiff.ome_metadata).iter()
        if element.tag.endswith("}Pixels") or element.tag == "Pixels"
    ]
    if len(pixels) != len(tiff.series):  # some have no pages, and which is which is not known
        return Told()
    told, size = pixels[number].attrib, dict(zip(axes, tiff.series[number].shape, strict=True))
    names = [
        element.attrib.get("Name", "")
        for element in pixels[number]
        if element.tag.endswith("Channel")
    ]
    is_named = len(names) == size.get("C", 1) and any(names)
    spacing = [_length(told.get(f"PhysicalSize{OME_AXES[letter]}")) for letter in spatial]
    units = [told.get(f"PhysicalSize{OME_AXES[letter]}Unit", "µm") for letter in spatial]
    # to OME, as to its successor OME-Zarr, the first pixel's centre is at 0
    return Told(_placed(spatial, spacing, units, -0.5), tuple(names) if is_named else ())


def _imagej(tiff: Any, number: int, spatial: list[str]) -> Coordinates | None:
    told, tags = tiff.imagej_metadata or {}, tiff.series[number].keyframe.tags
    unit = str(told.get("unit") or "").replace("\\u00B5", "µ")  # as ImageJ writes it
    lengths: Mapping[str, float] = {
        "D": _length(told.get("spacing", 1)),
        "H": _per_unit(tags.valueof(Y_RESOLUTION)),
        "W": _per_unit(tags.valueof(X_RESOLUTION)),
    }
    if not unit or unit.startswith("pixel"):
        return None
    # to ImageJ the first pixel begins at 0
    return _placed(spatial, [lengths[letter] for letter in spatial], [unit] * len(spatial), 0)


def _placed(
    spatial: list[str], spacing: list[float], units: list[str], first: float
) -> Coordinates | None:
    """Return where pixels lie, of which the first begins so many pixels from 0.

    Nothing is known along an axis where its length is NaN.
    """
    known = in_one_unit(spacing, units)
    if known is None or all(map(math.isnan, spacing)):
        return None
    lengths, unit = known
    names = tuple(NAMES[axis] for axis in spatial)
    return spaced(lengths, unit, names, [first * length for length in lengths])


def _length(told: Any) -> float:
    """Read a length; NaN where it is none."""
    try:
        number = float(told)
    except (TypeError, ValueError):
        return math.nan
    return number if 0 < number < math.inf else math.nan


def _per_unit(told: Any) -> float:
    """Return the length of a pixel from a fraction, pixels in a unit."""
    try:
        pixels, units = told
        return _length(units / pixels)
    except (TypeError, ValueError, ZeroDivisionError):
        return math.nan
