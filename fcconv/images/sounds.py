"""Sound as an array that is read where it is sliced."""

from __future__ import annotations

import os
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fcconv.errors import ImageError
from fcconv.images.coordinates import spaced
from fcconv.images.libraries import needed
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored, stamp

SKIPPED_FRAMES = 2**20
"""Frames of a sound that are decoded at a time on the way to those asked for."""

WAVS = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">"}
"""How a WAV begins, to the order of the bytes of its numbers."""

STREAMED_BYTES = 2**31 - 2**16
"""Bytes from which on a WAV's header means that its length was not known when it was written."""


def open_sound(path: Path, _reading: Reading) -> Stored:
    """Open a sound file."""
    sound = _opened(path)
    seconds = spaced((1 / sound.rate,), "s", ("time",))
    return Stored((sound,), "WC", stamp=stamp(path), coordinates=seconds)


def _opened(path: Path) -> Sound:
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
