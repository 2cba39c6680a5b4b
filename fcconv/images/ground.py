"""Places on the ground, from one coordinate system to another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.errors import ImageError
from fcconv.images.coordinates import Coordinates
from fcconv.images.libraries import needed

LON_LAT = "OGC:CRS84"
"""Longitude and latitude of WGS 84, in this order, as in all GeoJSON (RFC 7946, section 4)."""

Places = npt.NDArray[np.float64]
"""Places ``(n, 2)``: x, east or longitude, before y."""


def moved(places: Places, source: Any, target: Any) -> Places:
    """Bring places from one coordinate system to another.

    Parameters
    ----------
    places : array, shape (n, 2)
        Coordinates in the first.
    source, target : str
        The systems, as PROJ reads them.

    Raises
    ------
    ImageError
        If there is no such system, or a place has no coordinates in the other.
    BackendError
        If pyproj is not installed.
    """
    pyproj = needed("pyproj", "geo")
    try:
        between = pyproj.Transformer.from_crs(source, target, always_xy=True)
        found = np.stack(between.transform(places[:, 0], places[:, 1], errcheck=True), axis=-1)
    except pyproj.exceptions.ProjError as error:
        raise ImageError(f"places can't be brought to another coordinate system: {error}") from None
    return np.asarray(found, np.float64)


def on_ground(pixels: Places, coordinates: Coordinates) -> Places:
    """Return where places in an image, ``(n, 2)``, columns before rows, lie on the ground."""
    matrix = np.array(coordinates.matrix)[::-1]  # x before y, as places are
    return np.asarray(pixels @ matrix[:, 1::-1].T + matrix[:, 2], np.float64)


def in_pixels(places: Places, coordinates: Coordinates) -> Places:
    """Return where places on the ground lie in an image; the inverse of :func:`on_ground`."""
    matrix = np.array(coordinates.matrix)[::-1]
    return np.asarray(np.linalg.solve(matrix[:, 1::-1], (places - matrix[:, 2]).T).T, np.float64)


def is_in_degrees(system: str) -> bool:
    """Say whether a coordinate system is one of longitude and latitude.

    Raises
    ------
    ImageError
        If there is no such system.
    """
    pyproj = needed("pyproj", "geo")
    try:
        return bool(pyproj.CRS(system).is_geographic)
    except pyproj.exceptions.ProjError as error:
        raise ImageError(f"there is no coordinate system {system:.80}: {error}") from None


def name_of(crs: str) -> str:
    """Return what a coordinate system is called in a registry, else all of its WKT."""
    known = needed("pyproj", "geo").CRS(crs).to_authority()
    return "urn:ogc:def:crs:{}::{}".format(*known) if known else crs
