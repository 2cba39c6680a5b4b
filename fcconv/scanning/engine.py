"""What scores a tile: one pass that windows share, or each window by itself; and which engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fcconv.backend import (
    BACKENDS,
    backend,
    either,
    engines,
    is_installed,
    to_numpy,
    without_gradients,
)
from fcconv.errors import BackendError, FcconvError, UnsupportedError
from fcconv.graph.running.compiled import Compiled
from fcconv.graph.running.run import fixed_batch
from fcconv.scanning.network import Network
from fcconv.scanning.network_layout import Array

MOMENT = 2.0
"""Seconds in which NumPy scores an image that needs no faster engine."""


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
    network : Network
        A network that slides, by its own stride.
    stride : tuple of int
        Pixels from one window of a tile to the next: of its cells so many are kept.
    engine : str
        What computes.
    """

    def __init__(self, network: Network, stride: tuple[int, ...], engine: str) -> None:
        sliding = network.sliding
        self._layout, self._call = network.layout, sliding.compiled(engine)
        self._every = [n // m for n, m in zip(stride, sliding.stride, strict=True)]

    def __call__(self, pixels: Array, cells: tuple[slice, ...] = ()) -> tuple[Array, ...]:
        """Score all cells, and return some; see :class:`Score`."""
        outputs = _outputs(self._call, self._layout.arranged(pixels[None]))
        kept = tuple(slice(None, None, n) for n in self._every)
        return tuple(scores[0][:, *kept][:, *cells] for scores in outputs)


class Cropped:
    """Each window of a tile cut out and scored by itself, in batches.

    Parameters
    ----------
    network : Network
        The network, of which the patch network scores.
    stride : tuple of int
        Pixels from one window of a tile to the next.
    engine : str
        What computes.
    batch : int
        Most windows that are scored together.
    """

    def __init__(self, network: Network, stride: tuple[int, ...], engine: str, batch: int) -> None:
        self._window, self._stride = network.window, stride
        self._batch, self._compiles = batch, engine in BACKENDS and backend(engine).compiles
        self._fixed = fixed_batch(network.patch.graph.inputs) or 1
        self._layout, self._call = network.layout, network.patch_compiled(engine)

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
            self._scored(view, start, min(start + self._batch, count))
            for start in range(0, count, self._batch)
        ]
        return tuple(
            np.moveaxis(np.concatenate(parts), 0, -1).reshape(-1, *shape)
            for parts in zip(*batches, strict=True)
        )

    def _scored(self, view: Array, first: int, stop: int) -> list[Array]:
        """Score the windows of some cells, counted row by row: ``(n, K)`` for each output."""
        count = stop - first
        shape = self._layout.shape(self._window, self._filled(count))
        batch = np.empty(shape, view.dtype)
        windows = self._layout.channels_first(batch)
        columns = view.shape[len(self._window) - 1]
        for row in range(first // columns, -(-stop // columns)):  # each window is copied once
            start, end = max(first, row * columns), min(stop, (row + 1) * columns)
            above = np.unravel_index(row, view.shape[: len(self._window) - 1])
            windows[start - first : end - first] = view[above][start - row * columns :][
                : end - start
            ]
        windows[count:] = windows[count - 1]
        made = _outputs(self._call, batch)
        if any(scores.shape[:1] != batch.shape[:1] for scores in made):
            raise UnsupportedError(
                f"the network makes {', '.join(str(scores.shape) for scores in made)} of "
                f"{len(batch)} windows: to score them, the batch needs to be its first axis"
            )
        return [scores[:count].reshape(count, -1) for scores in made]

    def _filled(self, count: int) -> int:
        """Return how many windows are scored in place of so many.

        A network whose batch is fixed gets a multiple of it, and one that compiles for each
        size a power of two or a whole batch, so that there are few.
        """
        calls = -(-count // self._fixed)
        if self._compiles:
            calls = min(2 ** (calls - 1).bit_length(), -(-self._batch // self._fixed))
        return calls * self._fixed


def _outputs(call: Compiled, images: Array) -> list[Array]:
    """Call a network on images in its layout."""
    try:
        with without_gradients(call.engine):
            made = call(images)
    except MemoryError as error:
        raise BackendError(
            f"a tile does not fit into memory ({error}): allow less memory"
        ) from None
    except RuntimeError as error:
        if isinstance(error, FcconvError):
            raise
        raise BackendError(f"the engine fails on a tile: {error}") from error
    return [to_numpy(scores) for scores in (made if isinstance(made, tuple) else (made,))]


def checked(engine: str) -> str:
    """Check the name of an engine, or "auto".

    Raises
    ------
    BackendError
        If it is unknown or not installed.
    """
    if engine == "auto":
        return engine
    if engine not in engines():
        raise BackendError(
            f"unknown engine {engine!r}: use {either(map(repr, ('auto', *engines())))}"
        )
    if not is_installed(engine):
        raise BackendError(f"{engine} is not installed: pip install {engine}")
    return engine


def fastest(make: Callable[[str], Score], pixels: Array, share: float) -> str:
    """Time each engine that is there on a tile, a `share` of all windows; the fastest wins.

    NumPy goes first. One that scores all windows in a moment wins: others take longer to start. One
    that can't compute the network is passed over, unless none can.
    """
    times: dict[str, float] = {}
    refusals: list[FcconvError] = []
    for engine in filter(is_installed, engines()):
        try:
            score = make(engine)
            score(pixels)  # compiles, and warms up
        except FcconvError as error:
            refusals.append(error)
            continue
        begin = time.perf_counter()
        score(pixels)
        times[engine] = time.perf_counter() - begin
        if times[engine] / share < MOMENT:
            break
    if not times:
        raise refusals[0]
    return min(times, key=lambda engine: times[engine])
