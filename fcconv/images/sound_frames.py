"""The frames of a sound file one after the other: as they are, as one channel, at another rate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fcconv.errors import ImageError
from fcconv.images.libraries import needed
from fcconv.images.sound_ends import frames_of

EXACT = {"FLOAT", "DOUBLE", "ULAW", "ALAW"}
"""Beside PCM, how samples are stored so that libsndfile finds each; it goes to a frame of what is
compressed otherwise only about."""

CHUNK_FRAMES = 2**16
"""Frames that are resampled at a time, or are made at a time where there will be more."""

MOST_RATIO = 2**12
"""How far rates may be apart; libsoxr takes ever more memory, and then fails."""


class Frames(Protocol):
    """Frames that are read one after the other."""

    @property
    def shape(self) -> tuple[int, int]:
        """How many frames there are, and channels in each."""
        ...

    @property
    def rate(self) -> int:
        """Frames a second."""
        ...

    @property
    def exact(self) -> bool:
        """Whether :meth:`go` finds every frame, and not only the first."""
        ...

    def go(self, frame: int) -> None:
        """Go to a frame."""
        ...

    def next(self, count: int) -> np.ndarray:
        """Return the next frames, ``(count, channels)``; fewer at the end, which may come early."""
        ...


@dataclass(eq=False)
class Recording:
    """The frames of a sound file, float32 from -1 to 1.

    Attributes
    ----------
    length : int
        How many there are.
    rate : int
        How many a second.
    exact : bool
        Whether it can go to any of them.
    mono : bool
        Whether the mean of the channels is taken.
    """

    length: int
    rate: int
    exact: bool
    mono: bool
    _open: Callable[[], Any]
    _file: Any

    @property
    def shape(self) -> tuple[int, int]:
        """How many frames there are, and channels in each."""
        return self.length, 1 if self.mono else self.channels

    @property
    def channels(self) -> int:
        """Channels of the file."""
        return int(self._file.channels)

    def go(self, frame: int) -> None:
        """Go to a frame, the first one where the file has no exact others."""
        if self.exact:
            self._file.seek(frame)
        else:
            self._file.close()
            self._file = self._open()

    def next(self, count: int) -> np.ndarray:
        """Return the next frames."""
        samples: np.ndarray = self._file.read(count, "float32", always_2d=True)
        if not self.mono:
            return samples
        # channel by channel, so that a frame has the same mean in every region
        return np.asarray(sum(samples.T) / np.float32(self.channels))[:, np.newaxis]


def recording(path: Path, mono: bool) -> Recording:
    """Open a sound file.

    Raises
    ------
    ImageError
        If it is cut off, or libsndfile would not read all of it.
    BackendError
        If soundfile is not installed.
    """
    soundfile = needed("soundfile")
    with soundfile.SoundFile(path) as file:
        kind, stored, length, rate = file.format, file.subtype, int(file.frames), file.samplerate
    exact = stored in EXACT or stored.startswith("PCM")
    # soundfile goes to where it is after each read, which in Opus leads elsewhere near the end,
    # unless it is told that there is no going to places
    in_order = type("InOrder", (soundfile.SoundFile,), {"seekable": lambda _: False})
    opened = functools.partial(soundfile.SoundFile if exact else in_order, path)
    return Recording(frames_of(path, kind, length), int(rate), exact, mono, opened, opened())


@dataclass(eq=False)
class Resampled:
    """The frames of a recording at another rate, those of the whole of it, resampled at once.

    Attributes
    ----------
    recording : Recording
        What is resampled, from its beginning on.
    rate : int
        Frames a second.
    """

    recording: Recording
    rate: int
    _stream: Any
    _ready: np.ndarray
    _ended: bool = False
    exact = False

    @property
    def shape(self) -> tuple[int, int]:
        """How many frames there are, and channels in each."""
        length, channels = self.recording.shape
        # in the floats, and with the rounding, of libsoxr
        return int(length / (self.recording.rate / self.rate) + 0.5), channels

    def go(self, frame: int) -> None:
        """Go to the first frame."""
        self.recording.go(0)
        self._stream.clear()
        self._ready, self._ended = self._ready[:0], False

    def next(self, count: int) -> np.ndarray:
        """Return the next frames."""
        parts = [self._ready]
        while sum(map(len, parts)) < count and not self._ended:
            ratio = self.recording.rate / self.rate
            chunk = self.recording.next(max(int(CHUNK_FRAMES * min(ratio, 1)), 1))
            self._ended = not len(chunk)
            parts.append(self._stream.resample_chunk(chunk, last=self._ended))
        made = np.concatenate(parts)
        self._ready = made[count:].copy()
        return made[:count]


def resampled(given: Recording, rate: int) -> Resampled:
    """Return a recording at another rate.

    Raises
    ------
    ImageError
        If the rates are too far apart.
    BackendError
        If soxr is not installed.
    """
    if not given.rate <= MOST_RATIO * rate <= MOST_RATIO**2 * given.rate:
        raise ImageError(
            f"{given.rate:,} samples a second are resampled to at most {MOST_RATIO:,} times as "
            f"many or as few, got rate {rate:,}"
        )
    channels = given.shape[1]
    stream = needed("soxr", "audio").ResampleStream(given.rate, rate, channels, "float32")
    return Resampled(given, rate, stream, np.empty((0, channels), np.float32))
