"""What scores a tile: one pass that windows share, or each window by itself; and which engine."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from numpy.lib.stride_tricks import sliding_window_view

from fcconv.errors import BackendError, DtypeError, FcconvError, UnsupportedError
from fcconv.graph.run import fixed_batch
from fcconv.graph.sliding import Sliding
from fcconv.scanning.arguments import ENGINES

Array = npt.NDArray[Any]

MOMENT = 2.0
"""Seconds in which NumPy scores an image that needs no faster engine."""


@dataclass(frozen=True)
class Layout:
    """How the network wants an image that is held as ``(C, *S)``.

    Attributes
    ----------
    spatial : tuple of int
        The spatial axes of its input, the batch counted.
    channel : int or None
        The axis of channels; None if it has none.
    channels : int
        Channels of the image.
    dtype : dtype
        Type of its pixels.
    """

    spatial: tuple[int, ...]
    channel: int | None
    channels: int
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, model: ir.Model) -> Layout:
        """Read the layout off the input of a sliding network, whose spatial axes are free."""
        value = model.graph.inputs[0]
        dims = value.shape.dims if value.shape is not None else ()
        fixed = [k for k, n in enumerate(dims) if k and isinstance(n, int)]
        dtype = value.dtype.numpy() if value.dtype is not None else np.dtype(np.float32)
        return cls(
            spatial=tuple(k for k in range(1, len(dims)) if k not in fixed),
            channel=fixed[0] if fixed else None,
            channels=int(str(dims[fixed[0]])) if fixed else 1,
            dtype=dtype,
        )

    def arranged(self, images: Array) -> Array:
        """Bring images ``(N, C, *S)`` into the network's layout."""
        if self.channel is None:
            return images[:, 0]
        return np.ascontiguousarray(np.moveaxis(images, 1, self.channel))

    def shape(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of one image of a size, in the network's layout."""
        shape = [1] * (1 + len(self.spatial) + (self.channel is not None))
        for axis, n in zip(self.spatial, size, strict=True):
            shape[axis] = n
        if self.channel is not None:
            shape[self.channel] = self.channels
        return tuple(shape)


class Score(Protocol):
    """What scores a tile."""

    def __call__(self, pixels: Array, cells: tuple[slice, ...] = ()) -> tuple[Array, ...]:
        """Score pixels ``(C, *S)``.

        Returns
        -------
        tuple of array, shape (K, *cells)
            The scores of the cells asked for, or of all, for each output.
        """
        ...


class Shared:
    """One pass over a tile, which all its windows share.

    Parameters
    ----------
    sliding : Sliding
        The network.
    engine : str
        What computes.
    """

    def __init__(self, sliding: Sliding, engine: str) -> None:
        self._layout = Layout.of(sliding.model)
        self._call = sliding.compiled(engine)

    def __call__(self, pixels: Array, cells: tuple[slice, ...] = ()) -> tuple[Array, ...]:
        """Score all cells, and return some; see :class:`Score`."""
        outputs = _outputs(self._call, self._layout, pixels[None])
        return tuple(scores[0][:, *cells] for scores in outputs)


class Cropped:
    """Each window of a tile cut out and scored by itself, in batches.

    Parameters
    ----------
    sliding : Sliding
        The network; its patch network is what scores, or, without one, itself at its native size.
    stride : tuple of int
        Pixels from one window of a tile to the next.
    engine : str
        What computes.
    batch : int
        Most windows that are scored together.
    """

    def __init__(self, sliding: Sliding, stride: tuple[int, ...], engine: str, batch: int) -> None:
        self._window, self._stride = sliding.window, stride
        self._batch, self._compiles = batch, engine == "jax"
        self._fixed = fixed_batch(sliding.cropping.graph.inputs) or 1
        self._layout = Layout.of(sliding.model)
        self._call = sliding.compiled(engine, patch=True)

    def __call__(self, pixels: Array, cells: tuple[slice, ...] = ()) -> tuple[Array, ...]:
        """Score some cells, and no others; see :class:`Score`."""
        spatial = tuple(range(1, pixels.ndim))
        view = sliding_window_view(pixels, self._window, axis=spatial)[
            :, *(slice(None, None, s) for s in self._stride)
        ]
        view = np.moveaxis(view, 0, len(self._window))[cells]  # (*cells, C, *window)
        shape = view.shape[: len(self._window)]
        count = math.prod(shape)
        batches = [
            self._scored(view, shape, np.arange(start, min(start + self._batch, count)))
            for start in range(0, count, self._batch)
        ]
        return tuple(
            np.moveaxis(np.concatenate(parts), 0, -1).reshape(-1, *shape)
            for parts in zip(*batches, strict=True)
        )

    def _scored(
        self, view: Array, shape: tuple[int, ...], numbers: npt.NDArray[np.int64]
    ) -> list[Array]:
        """Score the windows of some cells, counted row by row: ``(n, K)`` for each output."""
        filled = np.pad(numbers, (0, self._filled(len(numbers)) - len(numbers)), "edge")
        crops = view[np.unravel_index(filled, shape)]
        outputs = _outputs(self._call, self._layout, crops)
        return [scores[: len(numbers)].reshape(len(numbers), -1) for scores in outputs]

    def _filled(self, count: int) -> int:
        """Return how many windows are scored in place of so many.

        A network whose batch is fixed gets a multiple of it, and JAX, which compiles for each size,
        a power of two or a whole batch, so that there are few.
        """
        calls = -(-count // self._fixed)
        if self._compiles:
            calls = min(2 ** (calls - 1).bit_length(), -(-self._batch // self._fixed))
        return calls * self._fixed


def _outputs(call: Callable[..., Any], layout: Layout, images: Array) -> list[Array]:
    try:
        made = call(layout.arranged(images))
    except MemoryError as error:
        raise BackendError(
            f"a tile does not fit into memory ({error}): allow less memory"
        ) from None
    except RuntimeError as error:
        if isinstance(error, FcconvError):
            raise
        raise BackendError(f"the engine fails on a tile: {error}") from error
    return [np.asarray(scores) for scores in (made if isinstance(made, tuple) else (made,))]


def installed() -> list[str]:
    """List the engines that are there."""
    return [name for name in ENGINES if importlib.util.find_spec(name)]


def checked(engine: str) -> str:
    """Check the name of an engine, or "auto".

    Raises
    ------
    BackendError
        If it is unknown or not installed.
    """
    if engine == "auto":
        return engine
    if engine not in ENGINES:
        raise BackendError(
            f"unknown engine {engine!r}: use 'auto', {', '.join(map(repr, ENGINES))}"
        )
    if engine not in installed():
        raise BackendError(f"{engine} is not installed: pip install {engine}")
    return engine


def fastest(make: Callable[[str], Score], pixels: Array, share: float) -> str:
    """Time each engine that is there on a tile, a `share` of all windows; the fastest wins.

    NumPy goes first, and wins if all windows take it only a moment: others take longer to start.
    One that can't compute the network is passed over.
    """
    times: dict[str, float] = {}
    for engine in installed():
        try:
            score = make(engine)
            score(pixels)  # compiles, and warms up
        except (BackendError, DtypeError, UnsupportedError):
            if engine == "numpy":
                raise
            continue
        begin = time.perf_counter()
        score(pixels)
        times[engine] = time.perf_counter() - begin
        if times["numpy"] / share < MOMENT:
            break
    return min(times, key=lambda engine: times[engine])
