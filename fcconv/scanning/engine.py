"""What scores a tile: one pass that windows share, or each window by itself; and which engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

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
from fcconv.graph.engines.compiled import Compiled
from fcconv.graph.engines.compiling import Engine, find_engine
from fcconv.graph.engines.session import Session
from fcconv.graph.running.run import fixed_batch
from fcconv.scanning.network import Network
from fcconv.scanning.network_layout import Array, NetworkLayout

AUTO_ENGINE_SECONDS = 2.0
"""Seconds in which NumPy scores an image that needs no faster engine."""


class Score(Protocol):
    """What scores a tile."""

    @property
    def call(self) -> Compiled:
        """The network that does."""
        ...

    def __call__(self, pixels: Array, cells: tuple[slice, ...] = ()) -> tuple[Array, ...]:
        """Score pixels ``(C, *S)``.

        Returns
        -------
        tuple of array, shape (K, *cells)
            The scores of the cells asked for, or of all, for each output.
        """
        ...


@dataclass(frozen=True, eq=False)
class Shared:
    """One pass over a tile, which all its windows share.

    Attributes
    ----------
    engine : Engine
        What computes.
    call : Compiled
        A network that slides, on this engine.
    layout : NetworkLayout
        How it wants its images.
    every : tuple of int
        Of its cells, one in so many is kept along each axis.
    """

    engine: Engine
    call: Compiled
    layout: NetworkLayout
    every: tuple[int, ...]

    def __call__(self, pixels: Array, cells: tuple[slice, ...] = ()) -> tuple[Array, ...]:
        """Score all cells, and return some; see :class:`Score`."""
        outputs = _outputs(self.engine, self.call, self.layout.arranged(pixels[None]))
        kept = tuple(slice(None, None, n) for n in self.every)
        return tuple(scores[0][:, *kept][:, *cells] for scores in outputs)


def one_pass(network: Network, stride: tuple[int, ...], engine: Engine) -> Shared:
    """Let windows share a pass.

    Parameters
    ----------
    network : Network
        A network that slides, by its own stride.
    stride : tuple of int
        Pixels from one window of a tile to the next, a multiple of that.
    engine : Engine
        What computes.
    """
    sliding = network.sliding
    every = tuple(n // m for n, m in zip(stride, sliding.stride, strict=True))
    return Shared(engine, sliding.compiled(engine), network.layout, every)


@dataclass(frozen=True, eq=False)
class Cropped:
    """Each window of a tile cut out and scored by itself, in batches.

    Attributes
    ----------
    engine : Engine
        What computes.
    call : Compiled
        The patch network, on this engine.
    layout : NetworkLayout
        How it wants its images.
    window, stride : tuple of int
        Pixels of a window, and from one window of a tile to the next.
    batch : int
        Most windows that are scored together.
    fixed : int
        The network takes multiples of so many.
    compiles : bool
        Whether it is compiled anew for each size of a batch.
    """

    engine: Engine
    call: Compiled
    layout: NetworkLayout
    window: tuple[int, ...]
    stride: tuple[int, ...]
    batch: int
    fixed: int
    compiles: bool

    def __call__(self, pixels: Array, cells: tuple[slice, ...] = ()) -> tuple[Array, ...]:
        """Score some cells, and no others; see :class:`Score`."""
        spatial = tuple(range(1, pixels.ndim))
        view = sliding_window_view(pixels, self.window, axis=spatial)[
            :, *(slice(None, None, s) for s in self.stride)
        ]
        view = np.moveaxis(view, 0, len(self.window))[cells]  # (*cells, C, *window)
        shape = view.shape[: len(self.window)]
        count = math.prod(shape)
        batches = [
            self._scored(view, start, min(start + self.batch, count))
            for start in range(0, count, self.batch)
        ]
        return tuple(
            np.moveaxis(np.concatenate(parts), 0, -1).reshape(-1, *shape)
            for parts in zip(*batches, strict=True)
        )

    def _scored(self, view: Array, first: int, stop: int) -> list[Array]:
        """Score the windows of some cells, counted row by row: ``(n, K)`` for each output."""
        count = stop - first
        shape = self.layout.shape(self.window, self._filled(count))
        batch = np.empty(shape, view.dtype)
        windows = self.layout.channels_first(batch)
        columns = view.shape[len(self.window) - 1]
        for row in range(first // columns, -(-stop // columns)):  # each window is copied once
            start, end = max(first, row * columns), min(stop, (row + 1) * columns)
            above = np.unravel_index(row, view.shape[: len(self.window) - 1])
            windows[start - first : end - first] = view[above][start - row * columns :][
                : end - start
            ]
        windows[count:] = windows[count - 1]
        made = _outputs(self.engine, self.call, batch)
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
        calls = -(-count // self.fixed)
        if self.compiles:
            calls = min(2 ** (calls - 1).bit_length(), -(-self.batch // self.fixed))
        return calls * self.fixed


def by_crops(network: Network, stride: tuple[int, ...], engine: Engine, batch: int) -> Cropped:
    """Let windows be cut out.

    Parameters
    ----------
    network : Network
        The network, of which the patch network scores.
    stride : tuple of int
        Pixels from one window of a tile to the next.
    engine : Engine
        What computes.
    batch : int
        Most windows that are scored together.
    """
    return Cropped(
        engine,
        network.patch_compiled(engine),
        network.layout,
        network.window,
        stride,
        batch,
        fixed=fixed_batch(network.patch.graph.inputs) or 1,
        compiles=engine.name in BACKENDS and backend(engine.name).compiles,
    )


def _outputs(engine: Engine, call: Compiled, images: Array) -> list[Array]:
    """Call a network on images in its layout."""
    try:
        with without_gradients(engine.name), engine.on_device():
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


def checked(engine: str, providers: Any = None, device: Any = None) -> Engine:
    """Check the name of an engine, or "auto", and what it is to compute on.

    Raises
    ------
    BackendError
        If it is unknown or not installed, or providers or a device are not there, or of another.
    ArgumentError
        If providers or a device are not names.
    """
    if engine not in ("auto", *engines()):
        raise BackendError(
            f"unknown engine {engine!r}: use {either(map(repr, ('auto', *engines())))}"
        )
    if engine != "auto" and not is_installed(engine):
        raise BackendError(f"{engine} is not installed: pip install {engine}")
    return find_engine(engine, providers, device)


def providers_of(score: Score) -> tuple[str, ...]:
    """Name the providers by which onnxruntime scores, if they were chosen."""
    return score.call.asked and score.call.providers if isinstance(score.call, Session) else ()


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
        if times[engine] / share < AUTO_ENGINE_SECONDS:
            break
    if not times:
        raise refusals[0]
    return min(times, key=lambda engine: times[engine])
