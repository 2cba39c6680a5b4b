"""Peaks as GeoJSON: for QuPath in pixels of the picture, for QGIS and others on the ground."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fcconv.errors import ImageError, OutputError
from fcconv.images.coordinates import Coordinates
from fcconv.images.ground import LON_LAT, Places, moved, name_of, on_ground
from fcconv.report.colours import COLOURS
from fcconv.report.peak_list import Listed
from fcconv.scanning.peaks import Peak

DECIMALS = 9
"""Of a place on the ground: a tenth of a millimetre, where it is in degrees."""

PEAKS_AT_A_TIME = 4096
"""Peaks that are brought to the ground together."""


def geojson(listed: Listed) -> Iterator[str]:
    """Yield a collection of boxes, in longitude and latitude as RFC 7946 has it, where known.

    What is in another coordinate system says so by a `crs` member, as of 2008; what is in pixels
    has none.
    """
    head = {"type": "FeatureCollection"} | _crs(listed)
    yield json.dumps(head).removesuffix("}") + ', "features": ['
    names = sorted({peak.label for peak in listed.peaks})
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    for first in range(0, len(listed.peaks), PEAKS_AT_A_TIME):
        some = listed.peaks[first : first + PEAKS_AT_A_TIME]
        for number, (peak, ring) in enumerate(zip(some, _rings(listed, some), strict=True), first):
            found = _feature(peak, ring, colours[peak.label], _measured(listed, number))
            yield (", " if number else "") + json.dumps(found, allow_nan=False)
    yield "]}"


def check_system(coordinates: Coordinates | None, crs: str) -> None:
    """Check that places of an image can be brought to a coordinate system.

    Raises
    ------
    OutputError
        If they can't.
    BackendError
        If pyproj is not installed.
    """
    if coordinates is None or not coordinates.crs or crs == "file":
        return
    try:
        moved(np.empty((0, 2)), coordinates.crs, LON_LAT)
    except ImageError as error:
        raise OutputError(f"{error} Those of the file can be written (--crs file)") from None


def _crs(listed: Listed) -> dict[str, Any]:
    """Name the coordinate system of the file, if places are in that."""
    if listed.coordinates is None or not listed.coordinates.crs or listed.crs != "file":
        return {}
    return {"crs": {"type": "name", "properties": {"name": name_of(listed.coordinates.crs)}}}


def _rings(listed: Listed, peaks: Sequence[Peak]) -> list[Any]:
    """Return the corners of boxes, x before y, the first again at the end."""
    corners = [
        [(left, top), (right, top), (right, bottom), (left, bottom)]
        for (top, bottom), (left, right) in (peak.box for peak in peaks)
    ]
    found = corners
    placed = listed.coordinates
    if placed is not None and placed.crs:
        places = on_ground(np.array(corners, np.float64).reshape(-1, 2), placed)
        if listed.crs != "file":
            places = moved(places, placed.crs, LON_LAT)
        found = _turned(places.reshape(-1, 4, 2)).round(DECIMALS).tolist()
    return [[*map(list, ring), list(ring[0])] for ring in found]


def _turned(rings: Places) -> Places:
    """Return rings, ``(n, 4, 2)``, that go counterclockwise, and do not go around the earth."""
    x = rings[..., 0]
    wide = np.ptp(x, axis=1) > 180  # it lies across the 180th meridian
    x[wide] = np.where(x[wide] < 0, x[wide] + 360, x[wide])
    after = np.roll(rings, -1, axis=1)
    area = (x * after[..., 1] - after[..., 0] * rings[..., 1]).sum(axis=1)
    return np.where((area < 0)[:, np.newaxis, np.newaxis], rings[:, ::-1], rings)


def _measured(listed: Listed, number: int) -> dict[str, float]:
    """Return what all classes score where a peak is, as far as that is a number."""
    if listed.scores is None:
        return {}
    scores = zip(listed.classes, listed.scores[number].tolist(), strict=True)
    return {name: score for name, score in scores if math.isfinite(score)}


def _feature(
    peak: Peak, ring: Any, colour: tuple[int, int, int], measured: Mapping[str, float]
) -> dict[str, Any]:
    if not math.isfinite(peak.score):
        raise OutputError(f"GeoJSON can't hold the score {peak.score}: write the peaks to .csv")
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": peak.label, "color": list(colour)},
            "measurements": {**measured, "score": peak.score},
        },
    }
