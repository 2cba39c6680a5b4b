"""Peaks as files: for viewers of annotations, and for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fcconv.arguments import as_path, check_sequence
from fcconv.errors import OutputError
from fcconv.images.coordinates import Coordinates
from fcconv.report.files import COLUMNS, named, suffix_of, table_cell, write_whole
from fcconv.report.label_files import audacity, raven
from fcconv.report.units import in_units, unit_columns
from fcconv.scanning.peaks import Peak

COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)
"""Colours that the colour-blind tell apart (Okabe & Ito, *Color universal design*, 2008)."""

AXES = {1: "one", 2: "two", 3: "three"}


@dataclass(frozen=True)
class PeakFormat:
    """A format of files of peaks.

    Attributes
    ----------
    title : str
        What it is called.
    text : callable
        ``text(peaks, rank, coordinates)`` returns what goes into a file, in UTF-8.
    ranks : tuple of int
        Numbers of axes that peaks in it can have.
    unit : str
        What their coordinates have to be in; empty where they are not needed.
    """

    title: str
    text: Callable[[Sequence[Peak], int, Coordinates | None], str]
    ranks: tuple[int, ...] = (1, 2, 3)
    unit: str = ""


def write_peaks(
    path: str | os.PathLike[str],
    peaks: Sequence[Peak],
    rank: int,
    coordinates: Coordinates | None = None,
) -> None:
    """Write peaks, in pixels of the picture.

    Parameters
    ----------
    path : path
        ``.geojson`` for QuPath and other viewers of annotations, ``.csv`` for a table; of a
        recording ``.txt`` for Audacity, ``.selections.txt`` for Raven.
    peaks : sequence of Peak
        In the order to write them.
    rank : int
        Axes that they have; 2 for GeoJSON, 1 for Audacity and Raven.
    coordinates : Coordinates, optional
        Where in the world the pixels of the picture lie; in seconds for Audacity and Raven.

    Raises
    ------
    OutputError
        If the name, the number of axes or the coordinates fit no format, or the file can't be
        written.
    """
    name, listed = as_path(path, "path").name, check_sequence(peaks, Peak, "peaks")
    if rank not in COLUMNS:
        raise OutputError(f"rank is 1, 2 or 3, got {rank!r}")
    found = peak_format(name, rank)
    check_unit(name, rank, coordinates)
    write_whole(path, found.text(listed, rank, coordinates).encode())


def peak_format(name: str, rank: int) -> PeakFormat:
    """Find the format of a file by its suffix.

    Raises
    ------
    OutputError
        If there is none for this suffix, or it can't hold peaks of that many axes.
    """
    found = PEAK_FORMATS.get(suffix_of(name, PEAK_FORMATS))
    if found is None:
        raise OutputError(f"peaks are written to {named(PEAK_FORMATS)}, not to {name}")
    if rank not in found.ranks:
        others = [suffix for suffix, other in PEAK_FORMATS.items() if rank in other.ranks]
        known = " or ".join(AXES[n] for n in found.ranks)
        raise OutputError(
            f"{found.title} has {known} {'axis' if found.ranks == (1,) else 'axes'}, the peaks "
            f"have {rank}: write them to {named(others)}"
        )
    return found


def check_unit(name: str, rank: int, coordinates: Coordinates | None) -> None:
    """Check that coordinates are in the unit that a format needs.

    Raises
    ------
    OutputError
        If they are not, or there are none.
    """
    found = peak_format(name, rank)
    if found.unit and (coordinates is None or coordinates.unit != found.unit):
        others = [s for s, other in PEAK_FORMATS.items() if rank in other.ranks and not other.unit]
        raise OutputError(
            f"{found.title} has places in {found.unit}, which the image does not give: write peaks "
            f"to {named(others)}"
        )


def _csv(peaks: Sequence[Peak], rank: int, coordinates: Coordinates | None) -> str:
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(("label", "score", *COLUMNS[rank], *unit_columns(coordinates, rank)))
    for peak in peaks:
        box = peak.box[::-1] if rank == 2 else peak.box  # x before y
        starts, sizes = [a for a, _ in box], [b - a for a, b in box]
        placed = in_units(coordinates, peak.box).values()
        rows.writerow(map(table_cell, (peak.label, peak.score, *starts, *sizes, *placed)))
    return table.getvalue()


def _geojson(peaks: Sequence[Peak], _rank: int, _coordinates: Coordinates | None) -> str:
    names = sorted({peak.label for peak in peaks})
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    features = [_feature(peak, colours[peak.label]) for peak in peaks]
    return json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False)


def _feature(peak: Peak, colour: tuple[int, int, int]) -> dict[str, Any]:
    if not math.isfinite(peak.score):
        raise OutputError(f"GeoJSON can't hold the score {peak.score}: write the peaks to .csv")
    (top, bottom), (left, right) = peak.box
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": peak.label, "color": list(colour)},
            "measurements": {"score": peak.score},
        },
    }


PEAK_FORMATS: dict[str, PeakFormat] = {
    ".geojson": PeakFormat("GeoJSON", _geojson, ranks=(2,)),
    ".csv": PeakFormat("CSV", _csv),
    ".txt": PeakFormat("a label track of Audacity", audacity, ranks=(1,), unit="s"),
    ".selections.txt": PeakFormat("a selection table of Raven", raven, ranks=(1,), unit="s"),
}
"""Suffix to the format of such a file."""
