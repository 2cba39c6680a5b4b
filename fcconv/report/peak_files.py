"""Peaks as files: for viewers of annotations, and for spreadsheets."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fcconv.arguments import as_path, check_sequence, either
from fcconv.errors import ArgumentError, OutputError
from fcconv.images.coordinates import Coordinates
from fcconv.report.files import COLUMNS, suffix_of, table_cell, whole_at
from fcconv.report.label_files import audacity, raven
from fcconv.report.peak_geojson import check_system, geojson
from fcconv.report.peak_list import Listed, scores_at
from fcconv.report.units import in_units, unit_columns
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

CRS = ("lonlat", "file")
"""What places on the ground can be written in."""

AXES = {1: "one", 2: "two", 3: "three"}


@dataclass(frozen=True)
class PeakFormat:
    """A format of files of peaks.

    Attributes
    ----------
    title : str
        What it is called.
    text : callable
        ``text(listed)`` returns what goes into a file, piece by piece.
    ranks : tuple of int
        Numbers of axes that peaks in it can have.
    unit : str
        What their coordinates have to be in; empty where they are not needed.
    check : callable, optional
        ``check(coordinates, crs)`` raises where places can't be written in a coordinate system.
    """

    title: str
    text: Callable[[Listed], Iterable[str]]
    ranks: tuple[int, ...] = (1, 2, 3)
    unit: str = ""
    check: Callable[[Coordinates | None, str], None] | None = None


def write_peaks(
    path: str | os.PathLike[str],
    peaks: Sequence[Peak],
    rank: int,
    coordinates: Coordinates | None = None,
    *,
    crs: str = "lonlat",
    scan: Scan | None = None,
) -> None:
    """Write peaks, in pixels of the picture, or where on the ground they lie.

    Parameters
    ----------
    path : path
        ``.geojson`` for QuPath, QGIS and other viewers, ``.csv`` for a table; of a recording
        ``.txt`` for Audacity, ``.selections.txt`` for Raven.
    peaks : sequence of Peak
        In the order to write them.
    rank : int
        Axes that they have; 2 for GeoJSON, 1 for Audacity and Raven.
    coordinates : Coordinates, optional
        Where in the world the pixels of the picture lie; in seconds for Audacity and Raven.
    crs : {"lonlat", "file"}
        What GeoJSON is in, where that is known: longitude and latitude, or the coordinate system of
        the image's file. Of a picture that lies nowhere it is in pixels.
    scan : Scan, optional
        Of which they are: GeoJSON has the scores of all classes then, at most 16 million.

    Raises
    ------
    OutputError
        If the name, the number of axes or the coordinates fit no format, or the file can't be
        written.
    ArgumentError
        If `crs` is something else.
    BackendError
        If a library is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> found = fcconv.scan(load_faces(), np.zeros((1, 28, 31), np.float32), engine="numpy")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_peaks(f"{folder}/peaks.csv", found.peaks(0, threshold=-99), rank=2)
    ...     print(Path(f"{folder}/peaks.csv").read_text(encoding="utf-8").splitlines()[0])
    label,score,left,top,width,height
    """
    target, listed = as_path(path, "path"), check_sequence(peaks, Peak, "peaks")
    if rank not in COLUMNS:
        raise OutputError(f"rank is 1, 2 or 3, got {rank!r}")
    if crs not in CRS:
        raise ArgumentError(f"crs is {either(map(repr, CRS))}, got {crs!r}")
    found = peak_format(target.name, rank)
    check_places(target.name, rank, coordinates, crs)
    classes, scores = ((), None) if scan is None else (scan.labels, scores_at(scan, listed))
    pieces = found.text(Listed(listed, rank, coordinates, crs, classes, scores))
    with whole_at(target) as made, made.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


def peak_format(name: str, rank: int) -> PeakFormat:
    """Find the format of a file by its suffix.

    Raises
    ------
    OutputError
        If there is none for this suffix, or it can't hold peaks of that many axes.
    """
    found = PEAK_FORMATS.get(suffix_of(name, PEAK_FORMATS))
    if found is None:
        raise OutputError(f"peaks are written to {either(PEAK_FORMATS)}, not to {name}")
    if rank not in found.ranks:
        others = [suffix for suffix, other in PEAK_FORMATS.items() if rank in other.ranks]
        known = either(AXES[n] for n in found.ranks)
        raise OutputError(
            f"{found.title} has {known} {'axis' if found.ranks == (1,) else 'axes'}, the peaks "
            f"have {rank}: write them to {either(others)}"
        )
    return found


def check_places(name: str, rank: int, coordinates: Coordinates | None, crs: str) -> None:
    """Check that coordinates are in the unit that a format needs, and can be brought to `crs`.

    Raises
    ------
    OutputError
        If they are not, or can't, or there are none.
    BackendError
        If a library is not installed.
    """
    found = peak_format(name, rank)
    if found.unit and (coordinates is None or coordinates.unit != found.unit):
        others = [s for s, other in PEAK_FORMATS.items() if rank in other.ranks and not other.unit]
        raise OutputError(
            f"{found.title} has places in {found.unit}, which the image does not give: write peaks "
            f"to {either(others)}"
        )
    if found.check is not None:
        found.check(coordinates, crs)


def _csv(listed: Listed) -> Iterator[str]:
    table, rank, placed = io.StringIO(newline=""), listed.rank, listed.coordinates
    rows = csv.writer(table)
    rows.writerow(("label", "score", *COLUMNS[rank], *unit_columns(placed, rank)))
    for peak in listed.peaks:
        box = peak.box[::-1] if rank == 2 else peak.box  # x before y
        starts, sizes = [a for a, _ in box], [b - a for a, b in box]
        units = in_units(placed, peak.box).values()
        rows.writerow(map(table_cell, (peak.label, peak.score, *starts, *sizes, *units)))
        yield table.getvalue()
        table.seek(0)
        table.truncate()
    yield table.getvalue()  # the headings, where there is no peak


PEAK_FORMATS: dict[str, PeakFormat] = {
    ".geojson": PeakFormat("GeoJSON", geojson, ranks=(2,), check=check_system),
    ".csv": PeakFormat("CSV", _csv),
    ".txt": PeakFormat("a label track of Audacity", audacity, ranks=(1,), unit="s"),
    ".selections.txt": PeakFormat("a selection table of Raven", raven, ranks=(1,), unit="s"),
}
"""Suffix to the format of such a file."""
