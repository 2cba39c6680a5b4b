"""Volumes as arrays that are read where they are sliced, and where they lie in a body."""

from __future__ import annotations

import gzip
import logging
import math
import tempfile
import threading
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from fcconv.arguments import either
from fcconv.errors import ImageError
from fcconv.images.coordinates import Coordinates
from fcconv.images.libraries import needed
from fcconv.images.raw import Turned
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored, stamp
from fcconv.images.watched import Watched

VOLUMES = {1: "W", 2: "HW", 3: "DHW", 4: "DHWt", 5: "DHWtC"}
"""Axes of a NIfTI file: three in space, then time, then the numbers of a vector."""

SLICED = "WHD"
"""Axes in space where slices are asked for: x, y, z."""

ORIENTATIONS = ("ras", "file")
"""Whether axes run to right, anterior and superior, or as they are stored."""

ENDS = {
    "R": "right",
    "L": "left",
    "A": "anterior",
    "P": "posterior",
    "S": "superior",
    "I": "inferior",
}
"""What an axis runs to, by the letter that nibabel gives it."""

AS_THEY_ARE = np.array([[0, 1], [1, 1], [2, 1]])
"""Turns, as nibabel writes them, that do nothing: which axis each becomes, and its sign."""

MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
"""What a unit of length is in millimetres, by its code: metres, millimetres, microns."""

UNPACKED_BYTES = 2**22
"""Bytes that are decompressed at a time."""


def open_volume(path: Path, reading: Reading) -> Stored:
    """Open a NIfTI file, its axes turned to right, anterior and superior if not asked otherwise.

    They become D, H and W, in this order, by flips and transpositions alone; where slices are asked
    for by their z, which is superior, as in any stack.

    Raises
    ------
    ImageError
        If it is cut off, has more than five axes, or can't be turned so.
    BackendError
        If nibabel is not installed.
    """
    orientation = reading.get("orientation", ORIENTATIONS[0])
    if orientation not in ORIENTATIONS:
        raise ImageError(f"orientation is {either(map(repr, ORIENTATIONS))}, got {orientation!r}")
    image, voxels = _opened(path)
    axes = VOLUMES.get(len(voxels.shape))
    if axes is None:
        raise ImageError(f"{path} has {len(voxels.shape)} axes: save the part to scan by itself")
    if len(axes) < 3:
        return Stored((voxels,), axes, stamp=stamp(path))
    if "z" in reading:
        axes = SLICED + axes[3:]
    return _placed(path, Stored((voxels,), axes, stamp=stamp(path)), image, orientation)


def _opened(path: Path) -> tuple[Any, Volume]:
    """Open a NIfTI file, for nibabel and as voxels.

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
        # not mapped: where a mapped file becomes shorter, the process dies
        image = nibabel.load(path, mmap=False)
    finally:
        log.disabled = False
    voxels = image.dataobj
    if path.suffix.lower() == ".gz":
        voxels = _unpacked(path, voxels)
    else:
        _check_whole(path, path.stat().st_size, voxels)
    first = np.asarray(voxels[tuple(slice(0, 1) for _ in voxels.shape)])
    return image, Volume(tuple(map(int, voxels.shape)), first.dtype, voxels)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels of a NIfTI file, in the units that its slope and intercept say.

    Attributes
    ----------
    shape : tuple of int
        Voxels along each axis.
    dtype : dtype
        Data type of the voxels that are read.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _voxels: Any

    @property
    def chunks(self) -> tuple[int, ...]:
        """Voxels that are read as a whole along each axis, of which the first is the fastest."""
        return (*self.shape[:2], *(1 for _ in self.shape[2:]))

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part."""
        return np.asarray(self._voxels[index])


def _placed(path: Path, stored: Stored, image: Any, orientation: str) -> Stored:
    """Turn a volume if it is asked for, and say where it lies.

    Raises
    ------
    ImageError
        If it is to be turned, but its affine does not give each axis a direction of its own.
    """
    nibabel = needed("nibabel.orientations")
    is_placed = bool(int(image.header["sform_code"]) or int(image.header["qform_code"]))
    affine, notes = _affine(image, is_placed)
    turns = nibabel.io_orientation(affine) if np.isfinite(affine).all() else np.array([np.nan])
    if np.isnan(turns).any():
        if orientation == "file":
            return replace(stored, notes=("voxels are taken as stored, with no place in a body",))
        raise ImageError(
            f"{path} does not say which way each axis runs, its affine is {affine[:3].tolist()}: "
            "orientation='file' (--orientation file) takes them as they are stored"
        )
    axes = ", ".join(stored.axes[:3])
    told = ", ".join(ENDS[letter] for letter in nibabel.ornt2axcodes(turns))
    if orientation == "file" or (turns == AS_THEY_ARE).all():
        words = f"voxels are taken as stored: {axes} run to {told}"
    else:
        (voxels,) = stored.levels
        affine = affine @ nibabel.inv_ornt_aff(turns, voxels.shape[:3])
        order = [*np.argsort(turns[:, 0]).tolist(), *range(3, len(voxels.shape))]
        turned = Turned(voxels, order, np.flatnonzero(turns[:, 1] < 0).tolist())
        stored = replace(stored, levels=(turned,), stamp=f"{stored.stamp}, turned")
        words = (
            f"turned, so that {axes} run to right, anterior, superior: stored, they run to {told} "
            "(--orientation file)"
        )
    placed = Coordinates(("x", "y", "z"), "mm", _from_centres(affine), is_placed=is_placed)
    return replace(stored, notes=(words, *notes), coordinates=placed)


def _affine(image: Any, is_placed: bool) -> tuple[np.ndarray, list[str]]:
    """Return the affine of voxels' centres in mm, and notes on what the file leaves open."""
    affine, notes = image.affine, []
    if not is_placed:
        # by the standard's method 1 numbers only scale; nibabel would let x run to the left
        spacing = np.array(image.header.get_zooms()[:3], float)
        affine = np.diag([*spacing, 1])
        affine[:3, 3] = spacing / 2
        notes.append("the file does not say how it lies in a body")
    unit = int(image.header["xyzt_units"]) & 7  # the bits above are those of the unit of time
    if unit not in MILLIMETRES:
        notes.append("the file names no unit of length: its numbers are taken for mm")
    return np.diag([*[MILLIMETRES.get(unit, 1.0)] * 3, 1]) @ affine, notes


def _from_centres(affine: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """Return the map of places, in which a voxel's centre is 0.5, of one in which it is 0."""
    linear, offset = affine[:3, :3], affine[:3, 3]
    made = np.column_stack([linear, offset - linear.sum(axis=1) / 2])
    return tuple(tuple(row) for row in made.tolist())


_unpacked_files: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()
_unpacking = threading.Lock()


def _unpacked(path: Path, packed: Any) -> Any:
    """Return voxels that are decompressed, once as long as anything reads them."""
    place = path.absolute()
    state = place, Watched.at(place).states[place]
    with _unpacking:
        voxels = _unpacked_files.get(state)
        if voxels is None:
            voxels = _unpacked_files[state] = _unpack(path, packed)
    return voxels


def _unpack(path: Path, packed: Any) -> Any:
    """Decompress voxels into a temporary file, which goes away with what is returned."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it stays open as long as the voxels
    end = _end(packed)
    try:
        with gzip.open(path) as source:
            while (left := end - file.tell()) and (part := source.read(min(left, UNPACKED_BYTES))):
                _write(path, file, part, end)
        _check_whole(path, end - left, packed)
        parts = (packed.shape, packed.dtype, packed.offset, packed.slope, packed.inter)
        voxels = needed("nibabel.arrayproxy").ArrayProxy(file, parts, mmap=False)
    except BaseException:
        file.close()
        raise
    weakref.finalize(voxels, file.close)
    return voxels


def _end(voxels: Any) -> int:
    """Return the byte at which what is not compressed ends."""
    return int(voxels.offset) + math.prod(map(int, voxels.shape)) * int(voxels.dtype.itemsize)


def _check_whole(path: Path, size: int, voxels: Any) -> None:
    """Refuse what is cut off before anything is computed."""
    if size < _end(voxels):
        raise ImageError(f"{path} is cut off: {size} bytes of {_end(voxels)}: copy it again")


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
