"""Scores as GeoTIFF: a band for each class, each cell with its centre on that of its window."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import OutputError
from fcconv.images.blocks import blocks
from fcconv.images.coordinates import spaced
from fcconv.images.libraries import needed
from fcconv.images.tiff import check_whole
from fcconv.scanning.cached import cached
from fcconv.scanning.result import Scan

TILE = 256
"""Pixels of a tile of the file along each axis."""

SCORES_AT_A_TIME = 2**24
"""Scores that are read together, unless those of one tile are more."""

PIXELS = spaced((1, 1), "", ("y", "x"))
"""The coordinates of a picture that lies nowhere."""

MOST_BANDS = 65535
"""Bands of a TIFF, at most."""


def write_geotiff(path: Path, scan: Scan) -> None:
    """Write the scores as float32, NaN where there is none, tile by tile.

    The transform and the coordinate system are those of the image; without these, places are in
    pixels of the picture, rows downwards.

    Raises
    ------
    OutputError
        If there are too many classes, or it can't be written.
    BackendError
        If rasterio is not installed.
    """
    rasterio = needed("rasterio", "geo")
    if len(scan.labels) > MOST_BANDS:
        raise OutputError(f"{path.name}: a TIFF has {MOST_BANDS} bands, not {len(scan.labels)}")
    lead, stored = scan.lead(), cached(scan.scores)
    try:
        with (
            warnings.catch_warnings(),
            rasterio.open(path, "w", **_facts(rasterio, scan)) as target,
        ):
            warnings.simplefilter("ignore")  # that scores of a plain picture lie nowhere
            target.descriptions = scan.labels
            for rows, columns in blocks(
                scan.cells, (TILE, TILE), SCORES_AT_A_TIME // len(scan.labels)
            ):
                scores = np.asarray(stored[(*lead, slice(0, len(scan.labels)), rows, columns)])
                window = rasterio.windows.Window.from_slices(rows, columns)
                target.write(scores.astype(np.float32), window=window)
        _check_whole(path)
    except rasterio.errors.RasterioError as error:
        raise OutputError(f"can't write {path.name}: {error.__cause__ or error}") from error


def _facts(rasterio: Any, scan: Scan) -> dict[str, Any]:
    height, width = scan.cells
    found = scan.of_cells(scan.coordinates or PIXELS)
    (e, d, f), (b, a, c) = found.matrix
    return {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(scan.labels),
        "height": height,
        "width": width,
        "crs": found.crs or None,
        "transform": rasterio.Affine(a, b, c, d, e, f),
        "nodata": float("nan"),
        "interleave": "band",
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "deflate",
        "predictor": 3,  # that of floats
        "bigtiff": "if_safer",
    }


def _check_whole(path: Path) -> None:
    """Check that all was written: GDAL does not say so of what it writes when it closes a file."""
    try:
        with needed("tifffile").TiffFile(path) as tiff:
            check_whole(path, tiff.pages)
    except Exception as error:  # tifffile raises anything on what is not a TIFF
        raise OutputError(
            f"can't write {path.name}: not all of it is there, is the disk full?"
        ) from error
