"""A sliding network with its geometry, which its file keeps as metadata."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from fcconv.errors import ModelError, ShapeError
from fcconv.geometry import Ints
from fcconv.graph.engines import compiling
from fcconv.graph.engines.compiled import Compiled
from fcconv.graph.rewriting.exact.cost import Cost
from fcconv.graph.rewriting.locality import find_locality
from fcconv.graph.rewriting.rewritten import Rewritten, times
from fcconv.graph.rules.layer import Layer

if TYPE_CHECKING:
    from fcconv.streaming.stream import Stream

MAX_METADATA_PIXELS = 2**26
"""Most pixels of a window, of a margin, or from one window to the next."""

WINDOW, STRIDE, SLIDING = "fcconv.window", "fcconv.stride", "fcconv.sliding"
"""Keys of a network's metadata: lists of integers, and for the rest JSON."""


@dataclass(frozen=True)
class Sliding(Rewritten):
    """A network that scores every window of an image in one pass.

    Called with images ``(N, C, *S)``, in the layout of the patch network's input, it returns scores
    ``(N, K, *windows)`` for each output: cell ``i`` is the window that starts at pixel
    ``i * stride``.

    Attributes
    ----------
    model : onnx_ir.Model
        The network; batch and spatial sizes are free.
    window : tuple of int
        Pixels of the patch, for each spatial axis.
    stride : tuple of int
        Pixels from one window to the next.
    field : tuple of int
        Pixels of the patch that a score depends on.
    reach : tuple of (int, int)
        Pixels that a cell depends on in a large image, from the first to one past the last,
        counted from the window's first pixel: beyond the window where a network pads.
    margins : tuple of (int, int)
        Pixels at the beginning and at the end of an image: a window that starts within the first,
        or ends within the last, is scored with padding. Zeros if nothing pads; else the context
        that a part of an image needs, so that its cells equal those of the whole.
    exact : bool
        Whether every cell equals the score of its window, cut out.
    reasons : tuple of str
        The nodes that forbid it, and why.
    layers : tuple of Layer
        The dense layers: name, method, old and new weight shape, order of flattening.
    patch : onnx_ir.Model or None
        The patch network; None for a network that was read from a file.
    ends : str, optional
        The node from which on each window is computed by itself, if windows stop sharing.
    cost : Cost, optional
        Multiplications for each window, of a network that was written for exact windows.

    Examples
    --------
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> print(fcconv.convolutionize(load_faces(), stride=2))
    window                      25x25
    what a score depends on     25x25
    pixels a cell reads         0 to 25, 0 to 25
    window stride               2x2
    every cell equals its crop  yes
    """

    model: ir.Model
    window: tuple[int, ...]
    stride: tuple[int, ...]
    field: tuple[int, ...]
    reach: tuple[tuple[int, int], ...]
    margins: tuple[tuple[int, int], ...]
    exact: bool
    reasons: tuple[str, ...]
    layers: tuple[Layer, ...]
    patch: ir.Model | None = None
    ends: str | None = None
    cost: Cost | None = None

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each statement about the geometry as a name and what is found."""
        yield "window", times(self.window)
        yield "what a score depends on", times(self.field)
        yield "pixels a cell reads", ", ".join(f"{start} to {stop}" for start, stop in self.reach)
        yield "window stride", times(self.stride)
        verdict = "yes" if self.exact else "no, only at the native size"
        yield "every cell equals its crop", verdict
        for reason in self.reasons:
            yield "because", reason
        if self.cost is not None:
            yield "multiplications", self.cost.told()
        if self.ends is not None:
            yield "each window by itself from", self.ends

    def __repr__(self) -> str:
        """Name the network by its geometry."""
        found = f"window={self.window}, stride={self.stride}, exact={self.exact}"
        return f"<Sliding {found}, layers={len(self.layers)}>"

    @property
    def outputs(self) -> dict[str, tuple[int, np.dtype[Any]]]:
        """Channels and type of each output."""
        return {
            str(value.name): (
                int(str(value.shape[1])) if value.shape is not None else 0,
                np.dtype(np.float32 if value.dtype is None else value.dtype.numpy()),
            )
            for value in self.model.graph.outputs
        }

    @property
    def cropping(self) -> ir.Model:
        """What scores windows that are cut out: the patch network, or without one this itself."""
        return self.model if self.patch is None else self.patch

    def compiled(self, engine: compiling.Engine, *, patch: bool = False) -> Compiled:
        """Return the network, or what scores its crops, on an engine; compiled once for each.

        Parameters
        ----------
        engine : Engine
            What computes.
        patch : bool
            Whether what scores windows that are cut out is wanted.

        Returns
        -------
        Compiled
            The network, as a callable on arrays.

        Raises
        ------
        BackendError
            If the engine is not installed.
        """
        model = self.cropping if patch else self.model
        key = engine, model is self.patch
        if key not in self._engines:
            self._engines[key] = engine.compile(model)
        return self._engines[key]

    @functools.cached_property
    def _engines(self) -> dict[tuple[compiling.Engine, bool], Compiled]:
        return {}

    def stream(
        self,
        axis: int | None = None,
        *,
        chunk: int | None = None,
        size: Ints | None = None,
        engine: str = "numpy",
        providers: Sequence[str] | None = None,
    ) -> Stream:
        """Make a stream, which scores a recording while it comes in, each sample computed once.

        Parameters
        ----------
        axis : int, optional
            The axis of the input along which time runs; the one that slides, if left out.
        chunk : int, optional
            Samples of every step, a multiple of the smallest chunk: JAX compiles once for each
            length. If left out, a step takes as many as there are.
        size : int or sequence of int, optional
            Pixels along each other axis that slides; those of a window, if left out.
        engine : {"numpy", "jax", "torch", "onnxruntime"}
            What computes.
        providers : sequence of str, optional
            What onnxruntime computes by, see :func:`fcconv.compile`.

        Returns
        -------
        Stream
            With `push` for live use, and the pure function `step`.

        Raises
        ------
        UnsupportedError
            If the network pads along time, or a node does not show how it moves along it.
        ArgumentError
            If `axis` is none that slides, or `chunk` is no multiple of the smallest.
        ShapeError
            If a window does not fit into `size`.
        BackendError
            If the engine is unknown or not installed.

        Examples
        --------
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> print(fcconv.convolutionize(load_faces()).stream(axis=2))
        window                      25 samples
        what a score depends on     25 samples
        window stride               3 samples
        chunks                      multiples of 3 samples
        warm-up                     8 cells, 24 samples
        latency                     at most 2 samples
        state                       6544 bytes
        """
        from fcconv.streaming.opening import open_stream

        return open_stream(self, axis, chunk, size, compiling.known_engine(engine, providers))

    def __call__(self, images: Any) -> Any:
        """Score images with the backend of the array.

        Parameters
        ----------
        images : array, shape (N, C, *S)
            In the layout and dtype of the patch network's input, at least a window large.

        Returns
        -------
        array, shape (N, K, *windows), or tuple of array
            The scores, or those of each output.

        Raises
        ------
        ShapeError
            If a window does not fit into the images, or they have other channels.
        DtypeError
            If they have another dtype.
        BackendError
            If they are not an array of a known library.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> fcconv.convolutionize(load_faces())(np.zeros((2, 1, 31, 40), np.float32)).shape
        (2, 1, 3, 6)
        """
        self._check_size(images)
        return self._on_any_backend(images)

    def _check_size(self, images: Any) -> None:
        """Check that a window fits into the images."""
        declared = self.model.graph.inputs[0].shape
        shape = getattr(images, "shape", ())
        if declared is None or len(shape) != len(declared):
            return
        size = tuple(m for n, m in zip(declared, shape, strict=True) if not isinstance(n, int))[1:]
        if any(m < n for m, n in zip(size, self.window, strict=True)):
            raise ShapeError(f"the image of {size} pixels is smaller than the window {self.window}")

    @functools.cached_property
    def _on_any_backend(self) -> compiling.ByArray:
        return compiling.ByArray(self.model)


def metadata(sliding: Sliding) -> dict[str, str]:
    """Write down what a network is to tell of itself, so that its file can be used alone."""
    rest = {name: getattr(sliding, name) for name in ("field", "reach", "margins", "reasons")}
    layers = [vars(layer) for layer in sliding.layers]
    if sliding.cost is not None:
        rest |= {"ends": sliding.ends, "cost": vars(sliding.cost)}
    return {
        WINDOW: " ".join(map(str, sliding.window)),
        STRIDE: " ".join(map(str, sliding.stride)),
        SLIDING: json.dumps({**rest, "layers": layers}),
    }


def from_metadata(model: ir.Model) -> Sliding | None:
    """Read the sliding network that a model says it is; None if it says nothing.

    Raises
    ------
    ModelError
        If what it says makes no sense.
    """
    text = model.metadata_props.get(SLIDING)
    shape = model.graph.inputs[0].shape if model.graph.inputs else None
    if text is None or shape is None:
        return None
    rank = sum(not isinstance(n, int) for n in shape.dims[1:])
    if not rank:
        raise ModelError(
            f"by its metadata the network slides, but the sizes of its input {shape} are fixed: "
            f"leave window (--window) out; it is in the file"
        )
    window, stride = (read_metadata(model, name, rank) for name in (WINDOW, STRIDE))
    if window is None or stride is None:
        return None
    try:
        rest = json.loads(text)
        field, reach, margins = (_integers(rest[name]) for name in ("field", "reach", "margins"))
        layers = tuple(_layer(**layer) for layer in rest["layers"])
        reasons = tuple(map(str, rest["reasons"]))
        cost = (
            Cost(**{k: _integers(n) for k, n in rest["cost"].items()}) if "cost" in rest else None
        )
        ends = None if rest.get("ends") is None else str(rest["ends"])
        spans = tuple((a, b) for a, b in reach), tuple((a, b) for a, b in margins)
        fits = len(field) == len(reach) == len(margins) == rank and all(
            0 <= a <= MAX_METADATA_PIXELS and 0 <= b <= MAX_METADATA_PIXELS for a, b in margins
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise ModelError(
            f"the metadata {SLIDING} can't be read: convert the network again"
        ) from None
    if not fits:
        raise ModelError(f"the metadata {SLIDING} does not fit the {rank} axes of the image")
    exact = not any(map(any, margins))
    sliding = Sliding(
        model, window, stride, field, *spans, exact, reasons, layers, ends=ends, cost=cost
    )
    _check_against_graph(sliding)
    return sliding


def _check_against_graph(sliding: Sliding) -> None:
    """Check that a file says of its network what the operators show.

    Raises
    ------
    ModelError
        If it does not, or if an operator does not show how far it sees.
    """
    declared = sliding.model.graph.inputs[0].shape
    dims = () if declared is None else declared.dims
    axes = [axis for axis, n in enumerate(dims) if axis and not isinstance(n, int)]
    found = find_locality(sliding.model.graph, axes, sliding.window)
    if found.outside is not None:
        raise ModelError(
            f"{found.outside} does not show how far it sees, so that the metadata {SLIDING} can't "
            f"be checked: convert the patch network again"
        )
    shown = {
        "stride": found.stride,
        "reach": found.reach,
        "margins": found.margins,
        "window": sliding.window if found.has_cells(sliding.stride) else None,
        "field": tuple(
            min(end, n) - max(start, 0)
            for (start, end), n in zip(found.reach, sliding.window, strict=True)
        ),
        "reasons": () if sliding.exact else sliding.reasons,
    }
    for name, value in shown.items():
        told = getattr(sliding, name)
        if told != value:
            raise ModelError(
                f"the metadata says {name} {told}, but the network's nodes show {value}: convert "
                f"the patch network again"
            )


def _are_sane(numbers: tuple[int, ...]) -> bool:
    return all(0 < n <= MAX_METADATA_PIXELS for n in numbers)


def _integers(values: Any) -> Any:
    """Read integers, or lists of them, as tuples."""
    if isinstance(values, list):
        return tuple(map(_integers, values))
    if type(values) is not int:
        raise ValueError(f"{values!r} is not an integer")
    return values


def _layer(name: str, method: str, before: Any, after: Any, order: str) -> Layer:
    return Layer(str(name), str(method), _integers(before), _integers(after), str(order))


def read_metadata(model: ir.Model, name: str, count: int) -> tuple[int, ...] | None:
    """Read integers from the metadata of a network.

    Raises
    ------
    ModelError
        If they are not `count` integers from 1 on.
    """
    text = model.metadata_props.get(name)
    if text is None:
        return None
    numbers = tuple(int(part) for part in text.split() if part.isdecimal())
    if len(numbers) != count or len(text.split()) != count or not _are_sane(numbers):
        raise ModelError(f"the metadata {name} needs {count} integers from 1 on, got {text[:99]!r}")
    return numbers
