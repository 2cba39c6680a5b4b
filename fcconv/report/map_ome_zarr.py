"""Scores as an image of OME-Zarr 0.5, which viewers lay over the one that was scanned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.images.blocks import blocks
from fcconv.images.coordinates import NAMES, Coordinates, spaced
from fcconv.report.blocks import SCORES_PER_READ, widened
from fcconv.report.colours import COLOURS
from fcconv.scanning.cached import cached
from fcconv.scanning.result import Scan

CHUNK_CELLS = 2**18
"""Cells of a chunk, at most: 512 x 512, or 64 x 64 x 64."""

UNITS = {"µm": "micrometer", "mm": "millimeter", "m": "meter", "nm": "nanometer"}
"""What OME-Zarr calls units, after UDUNITS-2."""

LEVEL = "0"
"""Name of the array."""

MARK = "fcconv"
"""Attribute that tells a folder that may be replaced."""


def write_ome_zarr(path: Path, scan: Scan) -> None:
    """Write the scores of all classes chunk by chunk, with where each cell's centre lies."""
    import zarr

    scores, lead, cells = cached(scan.scores), scan.lead(), scan.cells
    dtype, classes = np.dtype(scores.dtype), len(scan.labels)
    side = round(min(CHUNK_CELLS, SCORES_PER_READ // classes) ** (1 / len(cells)))
    chunk = tuple(min(max(side, 1), n) for n in cells)
    group = zarr.create_group(path, zarr_format=3)
    array = group.create_array(
        LEVEL,
        shape=(classes, *cells),
        chunks=(1, *chunk),
        shards=(classes, *chunk),  # one file for all classes, of which each is read by itself
        dtype=dtype,
        fill_value=np.nan if dtype.kind == "f" else 0,
        dimension_names=("c", *NAMES[-len(cells) :]),
    )
    low, high = np.full(classes, np.inf), np.full(classes, -np.inf)
    for block in blocks(cells, chunk, SCORES_PER_READ // classes):
        part = np.asarray(scores[(*lead, slice(None), *block)])
        array[(slice(None), *block)] = part
        low, high = widened(low, high, part.astype(np.float64))
    found = zip(low.tolist(), high.tolist(), strict=True)
    ends = [(a, b) if a <= b else (0.0, 1.0) for a, b in found]  # of a class without any score
    group.attrs.update({"ome": _metadata(scan, ends), MARK: {"stride": list(scan.stride)}})


def is_written(folder: Path) -> bool:
    """Say whether a folder was written by :func:`write_ome_zarr`, and nothing was added since."""
    try:
        told = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
        is_marked = bool({"ome", MARK} <= told["attributes"].keys())
        return is_marked and {file.name for file in folder.iterdir()} == {"zarr.json", LEVEL}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _metadata(scan: Scan, ends: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Describe the axes, where the cells lie, and how the classes are to be shown."""
    spacing, centre, unit = _centres(scan)
    named = {"unit": UNITS.get(unit, unit)} if unit else {}
    names = NAMES[-len(spacing) :]
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", **named} for name in names]
    steps = [
        {"type": "scale", "scale": [1.0, *spacing]},
        {"type": "translation", "translation": [0.0, *centre]},
    ]
    datasets = [{"path": LEVEL, "coordinateTransformations": steps}]
    channels = [
        {
            "label": label,
            "color": bytes(COLOURS[k % len(COLOURS)]).hex().upper(),
            "window": {"min": low, "max": high, "start": low, "end": high},
            "active": True,
        }
        for k, (label, (low, high)) in enumerate(zip(scan.labels, ends, strict=True))
    ]
    return {
        "version": "0.5",
        "multiscales": [{"name": scan.measure, "axes": axes, "datasets": datasets}],
        "omero": {"channels": channels},
    }


def _centres(scan: Scan) -> tuple[list[float], list[float], str]:
    """Return the distance between cells, the centre of the first, and the unit of both.

    Viewers put an image whose file does not say where it lies to where its first pixel's centre is
    at 0. OME-Zarr can't turn axes: where they do not run along the coordinates, these are distances
    on the image.
    """
    pixels = (1.0,) * len(scan.size)
    picture = scan.coordinates or _on_image(pixels, "")
    if not (picture.is_placed and _runs_along(picture)):
        picture = _on_image(picture.spacing, picture.unit)
    cells = scan.of_cells(picture)
    return list(cells.spacing), list(cells.at([0.5 for _ in pixels])), picture.unit


def _on_image(spacing: Sequence[float], unit: str) -> Coordinates:
    """Return distances on the image, from the centre of its first pixel."""
    return spaced(spacing, unit, NAMES[-len(spacing) :], [-length / 2 for length in spacing])


def _runs_along(coordinates: Coordinates) -> bool:
    """Say whether each coordinate grows along one axis, in their order."""
    linear = np.array(coordinates.matrix)[:, :-1]
    steps = np.diag(linear)
    return linear.shape == (len(steps),) * 2 and bool(
        (linear == np.diag(steps)).all() and (steps > 0).all()
    )
