"""Samples of raw audio: bytes in, as they come, whole frames out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.errors import ImageError

FORMATS: dict[str, tuple[np.dtype[Any], float]] = {
    "s16le": (np.dtype("<i2"), 2.0**-15),
    "f32le": (np.dtype("<f4"), 1.0),
}
"""Name to the type of a sample, and by what it is multiplied: 16 bits become -1 to 1."""

HEADS = {
    b"RIFF": "WAV",
    b"RF64": "WAV",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"FORM": "AIFF",
    b"caff": "CAF",
    b".snd": "AU",
}
"""With which bytes files begin that are not raw audio."""


@dataclass
class Frames:
    """Reads frames, one sample of each channel after the other.

    Attributes
    ----------
    format : str
        One of :data:`FORMATS`.
    channels : int
        Samples of a frame.
    count : int
        Frames that were read.
    """

    format: str
    channels: int
    count: int = 0
    _rest: bytes = b""

    def read(self, data: bytes) -> npt.NDArray[np.float32]:
        """Read the frames that are whole now.

        Parameters
        ----------
        data : bytes
            What has come in; it may begin and end within a sample.

        Returns
        -------
        array of float32, shape (channels, frames)
            As many as have come in.

        Raises
        ------
        ImageError
            If they begin as a file with a header does, which would be scored as sound.

        Examples
        --------
        >>> frames = Frames("s16le", 1)
        >>> frames.read(bytes([0, 64, 0])).tolist(), frames.read(bytes([192])).tolist()
        ([[0.5]], [[-0.5]])
        """
        dtype, scale = FORMATS[self.format]
        data = self._rest + data
        if not self.count and data[:4] in HEADS:
            raise ImageError(
                f"the samples begin with a header of {HEADS[data[:4]]}, but raw audio has none: "
                f"arecord -t raw, or ffmpeg -i FILE -f {self.format} -; fcconv scan reads the file "
                f"as it is"
            )
        size = dtype.itemsize * self.channels
        whole = len(data) // size * size
        self._rest = data[whole:]
        frames = np.frombuffer(data[:whole], dtype).reshape(-1, self.channels).T
        self.count += frames.shape[1]
        with np.errstate(invalid="ignore"):  # NaN is refused when it is scored
            made: npt.NDArray[Any] = np.ascontiguousarray(frames, np.float32) * np.float32(scale)
        return made

    def check_end(self, window: int) -> None:
        """Check that what came in ends with a whole frame, and is as long as a window at least.

        Raises
        ------
        ImageError
            If it does not, or is not.
        """
        if self._rest:
            raise ImageError(
                f"the samples end within a frame: {len(self._rest)} bytes are left of "
                f"{FORMATS[self.format][0].itemsize * self.channels}; say what they are with "
                f"--format and --channels"
            )
        if not self.count:
            raise ImageError("no samples came in")
        if self.count < window:
            raise ImageError(
                f"the recording of {self.count} samples is shorter than the window of {window}"
            )
