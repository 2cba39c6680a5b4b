"""The scores of a scan as files for other programs: which format writes what."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fcconv.arguments import as_path, check_type, either
from fcconv.errors import OutputError
from fcconv.images.layouts import axes_in_words
from fcconv.images.libraries import needed
from fcconv.report.files import Owns, suffix_of, whole_at
from fcconv.report.map_geotiff import write_geotiff
from fcconv.report.map_nifti import write_nifti
from fcconv.report.map_ome_zarr import is_written, write_ome_zarr
from fcconv.report.map_table import write_table
from fcconv.scanning.result import Scan


@dataclass(frozen=True)
class MapFormat:
    """A format of files of scores.

    Attributes
    ----------
    title : str
        What it is called.
    write : callable
        ``write(path, scan)`` makes the file or folder, block by block.
    ranks : tuple of int
        Numbers of axes that a scan in it can have.
    owns : callable, optional
        Of a format of folders: says whether one was written in it, and may be replaced.
    library : (str, str), optional
        What writes it, if not everybody who scans has that, and the extra that brings it.
    """

    title: str
    write: Callable[[Path, Scan], None]
    ranks: tuple[int, ...] = (1, 2, 3)
    owns: Owns | None = None
    library: tuple[str, str] | None = None


def write_map(path: str | os.PathLike[str], scan: Scan) -> None:
    """Write the scores of the first output for other programs, where in the world they lie.

    Parameters
    ----------
    path : path
        ``.csv`` for a table with a line for each window, ``.ome.zarr`` for an image of OME-Zarr
        0.5, which viewers lay over the one that was scanned, ``.tif`` for a GeoTIFF with a band for
        each class, ``.nii`` or ``.nii.gz`` for a NIfTI file of a scan along three axes, a volume
        for each class along its fourth.
    scan : Scan
        The scan; its scores may be larger than memory. Of a batch the first image is written;
        ``scan.of_image(k)`` is another.

    Raises
    ------
    OutputError
        If the name or the number of axes fits no format, it can't be written, or a folder is there
        that was not written so.
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
    ...     write_map(f"{folder}/scores.csv", found)
    ...     print(Path(f"{folder}/scores.csv").read_text(encoding="utf-8").splitlines()[0])
    left,top,width,height,score
    """
    target, rank = as_path(path, "path"), len(check_type(scan, Scan, "scan").size)
    found = map_format(target.name, rank)
    with whole_at(target, found.owns) as made:
        found.write(made, scan)


def map_format(name: str, rank: int) -> MapFormat:
    """Find the format of a file by its suffix.

    Raises
    ------
    OutputError
        If there is none for this suffix, or it can't hold scores along that many axes.
    BackendError
        If the library is not installed that writes it.
    """
    found = MAP_FORMATS.get(suffix_of(name, MAP_FORMATS))
    if found is None:
        raise OutputError(f"scores are written to {either(MAP_FORMATS)}, not to {name}")
    if rank not in found.ranks:
        others = [suffix for suffix, other in MAP_FORMATS.items() if rank in other.ranks]
        raise OutputError(
            f"{found.title} holds no scores along {axes_in_words(rank)}: write them "
            f"to {either(others)}"
        )
    if found.library is not None:
        needed(*found.library)
    return found


GEO = ("rasterio", "geo")

MAP_FORMATS: dict[str, MapFormat] = {
    ".csv": MapFormat("CSV", write_table),
    ".ome.zarr": MapFormat("OME-Zarr", write_ome_zarr, (2, 3), is_written),
    **dict.fromkeys((".tif", ".tiff"), MapFormat("GeoTIFF", write_geotiff, (2,), library=GEO)),
    **dict.fromkeys((".nii", ".nii.gz"), MapFormat("NIfTI", write_nifti, ranks=(3,))),
}
"""Suffix to the format of such a file."""
