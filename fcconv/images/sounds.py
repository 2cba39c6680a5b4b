"""Sound as an array that is read where it is sliced."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fcconv.arguments import as_integer
from fcconv.errors import ArgumentError, BackendError
from fcconv.images.coordinates import spaced
from fcconv.images.libraries import needed
from fcconv.images.reading import Reading
from fcconv.images.sound_frames import Frames, recording, resampled
from fcconv.images.stored import Stored, stamp

SKIPPED_FRAMES = 2**20
"""Frames of a sound that are decoded at a time on the way to those asked for."""


def open_sound(path: Path, reading: Reading) -> Stored:
    """Open a sound file, at the rate that was asked for.

    Raises
    ------
    ArgumentError
        If `rate` or `mono` makes no sense.
    ImageError
        If it is cut off, or libsndfile would not read all of it.
    BackendError
        If soundfile is not installed, or soxr, where it is to be resampled.
    """
    rate, mono = as_integer(reading.get("rate", 1)), reading.get("mono", False)
    if rate is None or rate < 1:
        raise ArgumentError(f"rate needs samples a second, 16000 say, got {reading.get('rate')!r}")
    if not isinstance(mono, bool):
        raise ArgumentError(f"mono is True or False, got {mono!r}")
    file = recording(path, mono)
    frames: Frames = file
    if "rate" not in reading:
        notes = [f"{file.rate:,} samples a second, as the file has; --rate resamples"]
    elif rate == file.rate:
        notes = [f"{file.rate:,} samples a second, as the file has"]
    else:
        frames = resampled(file, rate)
        notes = [f"resampled from {file.rate:,} to {rate:,} samples a second"]
    if mono and file.channels > 1:
        notes.append(f"mono: the mean of {file.channels} channels")
    seconds = spaced((1 / frames.rate,), "s", ("time",))
    sound = Sound(frames, np.empty((0, frames.shape[1]), np.float32))
    made = f"{stamp(path)}, {frames.rate} a second{', mono' * mono}"
    return Stored((sound,), "WC", stamp=made, notes=tuple(notes), coordinates=seconds)


def is_sound(path: Path) -> bool:
    """Say whether libsndfile knows a file by its content, whatever its name is."""
    try:
        with needed("soundfile").SoundFile(path) as file:
            return str(file.format) != "RAW"  # which it takes any .vox and .gsm for
    except BackendError:
        return False
    except Exception:  # soundfile raises several kinds
        return False


@dataclass(eq=False)
class Sound:
    """Samples of a sound file, frames by channels, float32 from -1 to 1.

    Where frames only come one after the other they are decoded from the beginning on. What was read
    last is kept: regions that overlap, and go forward, are read once.
    """

    _frames: Frames
    _kept: np.ndarray
    _first: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)  # the file has one position
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """How many frames there are, and channels in each."""
        return self._frames.shape

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        """Read frames; the end may come early in a broken file."""
        frames, channels = index
        start, stop, step = frames.indices(self.shape[0])
        with self._lock:
            if self._frames.exact:
                self._frames.go(start)
                samples = self._frames.next(stop - start)
            else:
                samples = self._decoded(start, stop)
        return samples[::step, channels]

    def _decoded(self, start: int, stop: int) -> np.ndarray:
        """Return frames, decoded from the beginning or from what is kept on."""
        first, kept = self._first, self._kept
        self._first = self.shape[0]  # where an error leaves the file, the next read begins anew
        if start < first:
            self._frames.go(0)
            first, kept = 0, kept[:0]
        while first + len(kept) < start:
            first += len(kept)
            kept = self._frames.next(min(SKIPPED_FRAMES, start - first))
            if not len(kept):
                return kept
        more = self._frames.next(max(stop - first - len(kept), 0))
        self._first, self._kept = start, np.concatenate([kept[start - first :], more])
        return self._kept[: stop - start]
