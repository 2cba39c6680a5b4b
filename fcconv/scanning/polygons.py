"""Polygons of GeoJSON, in pixels of an image or on the ground that it lies on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.errors import ImageError
from fcconv.images.coordinates import Coordinates
from fcconv.images.ground import LON_LAT, in_pixels, is_in_degrees, moved
from fcconv.images.image import Image
from fcconv.images.libraries import needed
from fcconv.images.missing import Mask

FEW_POINTS = 1024
"""Points that are looked at one by one."""

SIDE_DEGREES = 0.01
"""Length of a side on a map of degrees, at most: its middle moves by centimetres on another map."""

Shapes = npt.NDArray[np.object_]
"""Polygons of shapely."""

Points = npt.NDArray[np.float64]
"""Points along an axis of the image, in pixels, in ascending order."""


@dataclass(frozen=True, eq=False)
class Polygons:
    """What polygons hold, in pixels of the image, x before y.

    Attributes
    ----------
    shape : shapely.Geometry
        All of them, prepared.
    size : tuple of int
        Pixels of the image.
    name : str
        The file, and what its places are in.
    """

    shape: Any
    size: tuple[int, ...]
    name: str

    @property
    def note(self) -> str:
        """What it is, in words."""
        import shapely

        height, width = self.size
        within = shapely.intersection(self.shape, shapely.box(0, 0, width, height))
        return f"{self.name}, polygons: {part_of(within.area / (height * width))}"

    def identity(self) -> str:
        """Return a digest of all corners."""
        import shapely

        return digest(shapely.to_wkb(self.shape))

    def holds(self, rows: Points, columns: Points) -> Mask:
        """Look at all points of a box at once where it lies inside or outside as a whole."""
        import shapely

        box = shapely.box(columns[0], rows[0], columns[-1], rows[-1])
        count = (len(rows), len(columns))
        if not shapely.intersects(self.shape, box):
            return np.zeros(count, bool)
        if shapely.covers(self.shape, box):
            return np.ones(count, bool)
        if len(rows) * len(columns) <= FEW_POINTS:
            return np.asarray(shapely.intersects_xy(self.shape, columns, rows[:, np.newaxis]))
        if len(rows) < len(columns):
            halves = (self.holds(rows, part) for part in np.array_split(columns, 2))
            return np.concatenate([*halves], axis=1)
        return np.concatenate([self.holds(part, columns) for part in np.array_split(rows, 2)])


def read_polygons(path: Path, image: Image) -> Polygons:
    """Read the polygons of a GeoJSON file; points and lines hold nothing, and are left out.

    Raises
    ------
    ImageError
        If it can't be read, holds no polygon, or its places are not of the image's ground.
    BackendError
        If a library is not installed.
    """
    shapely = needed("shapely", "mask")
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
        with np.errstate(invalid="ignore"):  # of corners that are no number it is said below
            found = np.array([shapely.geometry.shape(one) for one in _geometries(told)])
        system = _system(told)
        if not np.isfinite(shapely.get_coordinates(found)).all():
            raise ValueError("a corner is no finite number")
    except OSError as error:
        raise ImageError(f"mask (--mask): {path} can't be read: {error.strerror}") from None
    except Exception as error:  # shapely raises anything on what is not a geometry
        raise ImageError(
            f"mask (--mask): {path} is not GeoJSON, or damaged ({error}): export polygons again"
        ) from None
    if not len(found):
        raise ImageError(f"mask (--mask): {path} holds no polygon: export areas, not points")
    name, placed = f"mask {path.name}", image.coordinates
    if placed is not None and placed.crs:
        try:
            found = _from_ground(found, system, placed)
        except ImageError as error:
            raise error.about(f"mask (--mask): {path}") from None
        name += " in longitude and latitude" if system == LON_LAT else f" in {system:.60}"
    whole = shapely.union_all(shapely.make_valid(found))
    shapely.prepare(whole)
    return Polygons(whole, image.size, name)


def _system(told: Any) -> str:
    """Return the coordinate system of a GeoJSON file, which says so if it is another one."""
    crs = told.get("crs") if isinstance(told, dict) else None
    return LON_LAT if crs is None else str(crs["properties"]["name"])


def _from_ground(found: Shapes, system: str, placed: Coordinates) -> Shapes:
    """Bring polygons to pixels of an image.

    A straight side on a map of degrees is not straight on another: it is cut into short ones.
    """
    import shapely

    if is_in_degrees(system):
        left, bottom, right, top = shapely.total_bounds(found)
        if not (-360 <= left <= right <= 360 and -90 <= bottom <= top <= 90):
            raise ImageError(
                f"places from {left:g}, {bottom:g} to {right:g}, {top:g} are not longitude and "
                f"latitude, in this order, but the image lies on the ground: give them so, or name "
                f"their system in a member crs"
            )
        found = shapely.segmentize(found, SIDE_DEGREES)
    try:
        return shapely.transform(found, lambda xy: in_pixels(moved(xy, system, placed.crs), placed))
    except ImageError as error:
        raise error.about(
            "its places lie far from the image (longitude stands before latitude in GeoJSON)"
        ) from None


def _geometries(told: Any) -> Iterator[Any]:
    """Yield the polygons of what a GeoJSON file holds; QuPath also writes bare lists."""
    if isinstance(told, list):
        parts = told
    elif told["type"] in ("FeatureCollection", "GeometryCollection"):
        parts = told["features" if told["type"] == "FeatureCollection" else "geometries"]
    elif told["type"] == "Feature":
        parts = [told["geometry"]]
    else:
        if told["type"] in ("Polygon", "MultiPolygon"):
            yield told
        return
    for part in parts:
        if part is not None:
            yield from _geometries(part)


def part_of(part: float) -> str:
    """Say how much of an image it is."""
    return f"{100 * float(part):.3g} % of the image"


def digest(content: bytes) -> str:
    """Return what tells a mask from another."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
