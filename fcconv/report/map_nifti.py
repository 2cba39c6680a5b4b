"""Scores as a NIfTI file, which lies on the scanned volume in the world."""

from __future__ import annotations

import gzip
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.images.blocks import blocks
from fcconv.images.coordinates import spaced
from fcconv.images.lengths import MICRONS
from fcconv.images.libraries import needed
from fcconv.images.mapped import release, reserve
from fcconv.scanning.result import Scan

SCORES_AT_A_TIME = 2**22
"""Scores that are read together, unless a chunk of the store holds more."""

MOST_NIFTI_1 = 2**15 - 1
"""Entries along an axis that the header of NIfTI-1 can tell."""


def write_nifti(path: Path, scan: Scan) -> None:
    """Write the scores, a volume for each class along the fourth axis.

    That is the axis of time, along which every viewer goes from volume to volume. The fifth, of
    vectors, few read, and some take for displacements.
    """
    if path.suffix.lower() != ".gz":
        _write(path, scan)
        return
    plain = path.with_suffix("")  # what is compressed can't be written block by block
    _write(plain, scan)
    with (
        plain.open("rb") as source,
        path.open("wb") as file,
        gzip.GzipFile("", "wb", 1, file, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, 2**22)
    plain.unlink()


def _write(path: Path, scan: Scan) -> None:
    """Write a header, and then each block of scores in its place."""
    shape = *scan.cells, len(scan.labels)
    header = _header(scan, shape)
    with path.open("wb") as file:
        header.write_to(file)
        file.truncate(
            header.get_data_offset() + math.prod(shape) * header.get_data_dtype().itemsize
        )
    reserve(path)
    voxels: Any = np.memmap(
        path, header.get_data_dtype(), "r+", header.get_data_offset(), shape, "F"
    )
    lead, scores = scan.lead(), scan.scores
    chunks = getattr(scores, "chunks", None) or (1,) * len(scores.shape)
    for channels, *place in blocks((shape[-1], *scan.cells), chunks[len(lead) :], SCORES_AT_A_TIME):
        block = np.asarray(scores[(*lead, channels, *place)])
        voxels[(*place, channels)] = np.moveaxis(block, 0, -1)
        release(voxels)
    voxels.flush()


def _header(scan: Scan, shape: tuple[int, ...]) -> Any:
    """Say what the file holds, where it lies, and what the classes are called."""
    version = 1 if max(shape) <= MOST_NIFTI_1 else 2
    header = getattr(needed(f"nibabel.nifti{version}"), f"Nifti{version}Header")()
    dtype = np.dtype(scan.scores.dtype)
    known = dtype.kind in "iu" or dtype in (np.float32, np.float64)
    header.set_data_dtype(dtype if known else np.float32)
    header.set_data_shape(shape if shape[-1] > 1 else shape[:-1])
    affine, unit = _affine(scan)
    header.set_zooms([*np.linalg.norm(affine[:3, :3], axis=0), *[1.0] * (shape[-1] > 1)])
    header.set_sform(affine, "aligned")
    header.set_xyzt_units("mm" if unit in MICRONS else "unknown")
    header["descrip"] = f"fcconv: the {scan.measure} of each window, at its centre".encode()
    told = json.dumps({"labels": scan.labels, "measure": scan.measure}).encode()
    header.extensions.append(needed("nibabel.nifti1").Nifti1Extension("comment", told))
    return header


def _affine(scan: Scan) -> tuple[np.ndarray, str]:
    """Return the affine from cells, whose centres have whole numbers, to x, y, z; and their unit.

    An image that does not say where it lies has the centre of its first voxel at 0, where viewers
    put it.
    """
    image = scan.coordinates
    if image is None or len(image.matrix) != 3:
        image = spaced((1, 1, 1), "", ("x", "y", "z"))
    if not image.is_placed:
        image = image.of_steps((1, 1, 1), (-0.5, -0.5, -0.5))
    placed = scan.of_cells(image)
    matrix = np.array(placed.matrix)[np.argsort(placed.names)]
    matrix[:, -1] += matrix[:, :-1].sum(axis=1) / 2
    if placed.unit in MICRONS:
        matrix *= MICRONS[placed.unit] / MICRONS["mm"]
    return np.vstack([matrix, [0, 0, 0, 1]]), placed.unit
