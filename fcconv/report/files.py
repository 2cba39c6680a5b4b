"""Peaks as files: for QuPath, and for spreadsheets; and how every report is written."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcconv.arguments import as_path, check_sequence
from fcconv.errors import OutputError
from fcconv.scanning.peaks import Peak

COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)
"""Colours that the colour-blind tell apart (Okabe & Ito, *Color universal design*, 2008)."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet takes for a formula."""

COLUMNS = {
    1: ("start", "length"),
    2: ("left", "top", "width", "height"),
    3: ("start_0", "start_1", "start_2", "size_0", "size_1", "size_2"),
}
"""Names of where a peak begins and of its size, by the number of axes."""


AXES = {1: "one", 2: "two", 3: "three"}


@dataclass(frozen=True)
class PeakFormat:
    """A format of files of peaks.

    Attributes
    ----------
    title : str
        What it is called.
    text : callable
        ``text(peaks, rank)`` returns what goes into a file, in UTF-8.
    ranks : tuple of int
        Numbers of axes that peaks in it can have.
    """

    title: str
    text: Callable[[Sequence[Peak], int], str]
    ranks: tuple[int, ...] = (1, 2, 3)


def write_peaks(path: str | os.PathLike[str], peaks: Sequence[Peak], rank: int) -> None:
    """Write peaks, in pixels of the picture.

    Parameters
    ----------
    path : path
        ``.geojson`` for QuPath and other viewers of annotations, ``.csv`` for a table.
    peaks : sequence of Peak
        In the order to write them.
    rank : int
        Axes that they have; 2 for GeoJSON.

    Raises
    ------
    OutputError
        If the name or the number of axes fits no format, or the file can't be written.
    """
    name, listed = as_path(path, "path").name, check_sequence(peaks, Peak, "peaks")
    if rank not in COLUMNS:
        raise OutputError(f"rank is 1, 2 or 3, got {rank!r}")
    write_whole(path, peak_format(name, rank).text(listed, rank).encode())


def peak_format(name: str, rank: int) -> PeakFormat:
    """Find the format of a file by its suffix.

    Raises
    ------
    OutputError
        If there is none for this suffix, or it can't hold peaks of that many axes.
    """
    found = PEAK_FORMATS.get(Path(name).suffix.lower())
    if found is None:
        raise OutputError(f"peaks are written to {' or '.join(PEAK_FORMATS)}, not to {name}")
    if rank not in found.ranks:
        others = [suffix for suffix, other in PEAK_FORMATS.items() if rank in other.ranks]
        raise OutputError(
            f"{found.title} has {' or '.join(AXES[n] for n in found.ranks)} axes, the peaks have "
            f"{rank}: write them to {' or '.join(others)}"
        )
    return found


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file that appears under its name when it is complete."""
    target = as_path(path, "path")
    with _folder_beside(target) as folder:
        written = folder / "written"
        written.write_bytes(content)
        written.replace(target)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that a file could be written, by what writing it begins with; it stays as it is.

    Raises
    ------
    OutputError
        If it could not.
    """
    target = as_path(path, "path")
    with _folder_beside(target) as folder:
        (folder / "written").touch()
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """Make a folder for a while, and name the target in the errors of the system."""
    try:
        with tempfile.TemporaryDirectory(prefix=".fcconv.", dir=target.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise OutputError(f"can't write {target}: {error.strerror}") from error


def table_cell(value: Any) -> Any:
    """Return what goes into a cell of a CSV: words that a spreadsheet would compute get a quote.

    As OWASP recommends (*CSV Injection*); numbers stay numbers.

    Examples
    --------
    >>> table_cell("=1+1"), table_cell("cat"), table_cell(-1.5)
    ("'=1+1", 'cat', -1.5)
    """
    formula = isinstance(value, str) and value.startswith(FORMULA_STARTS)
    return f"'{value}" if formula else value


def _csv(peaks: Sequence[Peak], rank: int) -> str:
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(("label", "score", *COLUMNS[rank]))
    for peak in peaks:
        box = peak.box[::-1] if rank == 2 else peak.box  # x before y
        starts, sizes = [a for a, _ in box], [b - a for a, b in box]
        rows.writerow(map(table_cell, (peak.label, peak.score, *starts, *sizes)))
    return table.getvalue()


def _geojson(peaks: Sequence[Peak], _rank: int) -> str:
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
}
"""Suffix to the format of such a file."""
