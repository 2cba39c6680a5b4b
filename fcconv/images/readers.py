"""Sound and volumes as arrays that are read where they are sliced."""

from __future__ import annotations

import gzip
import importlib
import logging
import math
import os
import struct
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from fcconv.errors import BackendError, ImageError

SKIPPED_FRAMES = 2**20
"""Frames of a sound that are decoded at a time on the way to those asked for."""

WAVS = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">"}
"""How a WAV begins, to the order of the bytes of its numbers."""

STREAMED_BYTES = 2**31 - 2**16
"""Bytes from which on a WAV's header means that its length was not known when it was written."""

UNPACKED_BYTES = 2**22
"""Bytes that are decompressed at a time."""


def needed(module: str) -> Any:
    """Import a library that reads a format.

    Raises
    ------
    BackendError
        If it is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendError(f"{error}: pip install 'fcconv[scan]'") from error


def open_sound(path: Path) -> Sound:
    """Open a sound file.

    Raises
    ------
    ImageError
        If it is cut off.
    BackendError
        If soundfile is not installed.
    """
    file = needed("soundfile").SoundFile(path)
    _check_wav(path)
    shape = int(file.frames), int(file.channels)
    return Sound(shape, int(file.samplerate), file, np.empty((0, shape[1]), np.float32))


@dataclass(eq=False)
class Sound:
    """Samples of a sound file, frames by channels, so many frames a second, float32 from -1 to 1.

    libsndfile goes to a frame of an Ogg file only about, so that these are decoded from the
    beginning on. What was read last is kept: regions that overlap, and go forward, are read once.
    """

    shape: tuple[int, int]
    rate: int
    _file: Any
    _kept: np.ndarray
    _first: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)  # the file has one position
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        """Read frames; the end may come early in a broken file."""
        frames, channels = index
        start, stop, step = frames.indices(self.shape[0])
        with self._lock:
            if self._file.format == "OGG":
                samples = self._decoded(start, stop)
            else:
                self._file.seek(start)
                samples = self._next(stop - start)
        return samples[::step, channels]

    def _next(self, count: int) -> np.ndarray:
        """Return the next frames."""
        samples: np.ndarray = self._file.read(count, "float32", always_2d=True)
        return samples

    def _decoded(self, start: int, stop: int) -> np.ndarray:
        """Return frames, decoded from the beginning or from what is kept on."""
        first, kept = self._first, self._kept
        self._first = self.shape[0]  # where an error leaves the file, the next read begins anew
        if start < first:
            self._file.seek(0)
            first, kept = 0, self._next(0)
        while first + len(kept) < start:
            first += len(kept)
            kept = self._next(min(SKIPPED_FRAMES, start - first))
            if not len(kept):
                return kept
        more = self._next(max(stop - first - len(kept), 0))
        self._first, self._kept = start, np.concatenate([kept[start - first :], more])
        return self._kept[: stop - start]


def _check_wav(path: Path) -> None:
    """Refuse a WAV that is cut off: libsndfile would take what is left for all."""
    with path.open("rb") as file:
        order = WAVS.get(file.read(12)[:4])
        if order is None:
            return
        found = long = 0  # a RF64, which can be longer, says in a chunk of its own how long
        while len(head := file.read(8)) == 8:
            kind, length = struct.unpack(f"{order}4sI", head)
            found = file.tell()
            if kind == b"data":
                break
            if kind == b"ds64":
                _, long = struct.unpack("<2Q", file.read(16))
            file.seek(found + length + length % 2)
        else:
            return
        end, size = found + (long or length), os.fstat(file.fileno()).st_size
    if end > size and (long or length < STREAMED_BYTES):
        raise ImageError(f"{path} is cut off: {size} bytes of {end}: copy it again")


def open_volume(path: Path) -> Volume:
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
