"""How a network wants the image that a scan holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.errors import UnsupportedError
from fcconv.graph.running.run import data_inputs

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class NetworkLayout:
    """How the network wants an image that is held as ``(C, *S)``.

    Attributes
    ----------
    spatial : tuple of int
        The spatial axes of its input, the batch counted.
    channel : int or None
        The axis of channels, or of what else of an image does not slide, as the bands of a
        spectrum; None if it has none.
    channels : int
        Channels of the image.
    dtype : dtype
        Type of its pixels.
    ones : tuple of int
        Further axes, of length 1.
    """

    spatial: tuple[int, ...]
    channel: int | None
    channels: int
    dtype: np.dtype[Any]
    ones: tuple[int, ...] = ()

    @classmethod
    def of(cls, model: ir.Model, spatial: Sequence[int] | None = None) -> NetworkLayout:
        """Read the layout off the input of a network; of a sliding one spatial axes are free.

        Raises
        ------
        UnsupportedError
            If an image has more axes than channels that do not slide.
        """
        value = data_inputs(model.graph)[0]
        dims = value.shape.dims if value.shape is not None else ()
        if spatial is None:
            spatial = [k for k, n in enumerate(dims) if k and not isinstance(n, int)]
        others = {k: int(str(n)) for k, n in enumerate(dims) if k and k not in spatial}
        longer = [k for k, n in others.items() if n != 1]
        if len(longer) > 1:
            raise UnsupportedError(
                f"a window of the input {value.name!r} has {len(longer)} axes that do not slide, "
                f"of {' and '.join(str(others[k]) for k in longer)}, but a scan reads images with "
                f"one, the channels: call the sliding network itself, or merge these axes in the "
                f"network's input"
            )
        channel = next(iter([*longer, *others]), None)
        dtype = value.dtype.numpy() if value.dtype is not None else np.dtype(np.float32)
        return cls(
            spatial=tuple(spatial),
            channel=channel,
            channels=1 if channel is None else others[channel],
            dtype=dtype,
            ones=tuple(k for k in others if k != channel),
        )

    def arranged(self, images: Array) -> Array:
        """Bring images ``(N, C, *S)`` into the network's layout."""
        if self.channel is None:
            return images[:, 0]
        return np.ascontiguousarray(
            np.expand_dims(np.moveaxis(images, 1, self._channel_of_longer), self.ones)
        )

    def channels_first(self, arranged: Array) -> Array:
        """View images in the network's layout as ``(N, C, *S)``."""
        if self.channel is None:
            return arranged[:, np.newaxis]
        return np.moveaxis(np.squeeze(arranged, self.ones), self._channel_of_longer, 1)

    @property
    def _channel_of_longer(self) -> int:
        """The axis of channels, without those of length 1."""
        return (self.channel or 0) - sum(axis < (self.channel or 0) for axis in self.ones)

    def shape(self, size: Sequence[int], count: int = 1) -> tuple[int, ...]:
        """Return the shape of some images of a size, in the network's layout."""
        shape = [1] * (1 + len(self.spatial) + (self.channel is not None) + len(self.ones))
        shape[0] = count
        for axis, n in zip(self.spatial, size, strict=True):
            shape[axis] = n
        if self.channel is not None:
            shape[self.channel] = self.channels
        return tuple(shape)
