"""Volumes as arrays that are read where they are sliced."""

from __future__ import annotations

import gzip
import logging
import math
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from fcconv.errors import ImageError
from fcconv.images.libraries import needed
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored, stamp

VOLUMES = {1: "W", 2: "HW", 3: "DHW", 4: "DHWC", 5: "DHWtC"}
"""Axes of a NIfTI file: three in space, then channels; with five, time before these."""

UNPACKED_BYTES = 2**22
"""Bytes that are decompressed at a time."""


def open_volume(path: Path, _reading: Reading) -> Stored:
    """Open a NIfTI file, and say which way its axes run: they are not turned."""
    volume = _opened(path)
    axes = VOLUMES.get(len(volume.shape))
    if axes is None:
        raise ImageError(f"{path} has {len(volume.shape)} axes: save the part to scan by itself")
    return Stored((volume,), axes, stamp=stamp(path), notes=(volume.orientation,))


def _opened(path: Path) -> Volume:
    """Open a NIfTI file.

    What is compressed by gzip can only be read from its beginning on. It is decompressed once, into
    a temporary file.

    Raises
    ------
    ImageError
        If it is cut off, or does not fit where it is decompressed.
    BackendError
        If nibabel is not installed.
    """
    nibabel, log = needed("nibabel"), logging.getLogger("nibabel.global")
    log.disabled = True  # it would print what is odd in a header
    try:
        image = nibabel.load(path)
    finally:
        log.disabled = False
    voxels = _unpacked(path, image.dataobj) if path.suffix.lower() == ".gz" else image.dataobj
    orientation = _orientation(nibabel.aff2axcodes(image.affine))
    first = np.asarray(voxels[tuple(slice(0, 1) for _ in voxels.shape)])
    return Volume(tuple(map(int, voxels.shape)), first.dtype, orientation, voxels)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels of a NIfTI file, in the units that its slope and intercept say.

    Attributes
    ----------
    shape : tuple of int
        Voxels along each axis.
    dtype : dtype
        Data type of the voxels that are read.
    orientation : str
        Which way the axes run.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    orientation: str
    _voxels: Any

    @property
    def chunks(self) -> tuple[int, ...]:
        """Voxels that are read as a whole along each axis, of which the first is the fastest."""
        return (*self.shape[:2], *(1 for _ in self.shape[2:]))

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part."""
        return np.asarray(self._voxels[index])


def _orientation(codes: Sequence[str | None]) -> str:
    """Say which way the axes of a volume run, from their letters: R for to the right, and so on."""
    ends = {"R": "right", "L": "left", "A": "anterior", "P": "posterior"}
    ends |= {"S": "superior", "I": "inferior"}
    told = ", ".join(ends.get(code or "", "nowhere") for code in codes)
    return f"voxels are taken as stored: by the affine, their axes run to {told}"


def _unpacked(path: Path, packed: Any) -> Any:
    """Decompress voxels into a temporary file, which goes away with what is returned."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it stays open as long as the voxels
    end = packed.offset + math.prod(map(int, packed.shape)) * packed.dtype.itemsize
    try:
        with gzip.open(path) as source:
            while (left := end - file.tell()) and (part := source.read(min(left, UNPACKED_BYTES))):
                _write(path, file, part, end)
        if left:
            raise ImageError(f"{path} is cut off: {end - left} bytes of {end}: copy it again")
        parts = (packed.shape, packed.dtype, packed.offset, packed.slope, packed.inter)
        voxels = needed("nibabel.arrayproxy").ArrayProxy(file, parts)
    except BaseException:
        file.close()
        raise
    weakref.finalize(voxels, file.close)
    return voxels


def _write(path: Path, file: IO[bytes], part: bytes, end: int) -> None:
    """Write a part of what will be so many bytes."""
    try:
        file.write(part)
        file.flush()
    except OSError as error:
        raise ImageError(
            f"{path} is decompressed into {tempfile.gettempdir()}: {error.strerror or error}; let "
            f"TMPDIR name a folder with {end:,} bytes free"
        ) from error
