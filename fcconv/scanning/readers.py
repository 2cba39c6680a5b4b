"""Sound and volumes as arrays that are read where they are sliced."""

from __future__ import annotations

import importlib
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import BackendError

SKIPPED = 2**20
"""Frames of a sound that are decoded at a time on the way to those asked for."""


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


class Sound:
    """Samples of a sound file, frames by channels, as float32 from -1 to 1.

    libsndfile goes to a frame of an Ogg file only about, so that these are decoded from the
    beginning on. What was read last is kept: regions that overlap, and go forward, are read once.
    """

    def __init__(self, path: Path) -> None:
        self._file = needed("soundfile").SoundFile(path)
        self._lock = threading.Lock()  # there is one position in the file
        self.shape = (int(self._file.frames), int(self._file.channels))
        self.dtype = np.dtype(np.float32)
        self._first, self._kept = 0, self._next(0)

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
            kept = self._next(min(SKIPPED, start - first))
            if not len(kept):
                return kept
        more = self._next(max(stop - first - len(kept), 0))
        self._first, self._kept = start, np.concatenate([kept[start - first :], more])
        return self._kept[: stop - start]


class Volume:
    """Voxels of a NIfTI file, in the units that its slope and intercept say."""

    def __init__(self, path: Path) -> None:
        nibabel, log = needed("nibabel"), logging.getLogger("nibabel.global")
        log.disabled = True  # it would print what is odd in a header
        try:
            self._voxels = nibabel.load(path).dataobj
        finally:
            log.disabled = False
        self.shape = tuple(int(n) for n in self._voxels.shape)
        self.chunks = (*self.shape[:2], *(1 for _ in self.shape[2:]))  # the first axis is fastest
        self.dtype = self[tuple(slice(0, 1) for _ in self.shape)].dtype

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part."""
        return np.asarray(self._voxels[index])
