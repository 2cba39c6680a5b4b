"""A recording that comes in piece by piece, and its scores as soon as they can be told."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.arguments import as_number
from fcconv.backend import ONNXRUNTIME, ArrayBackend, without_gradients
from fcconv.backend import backend as find_backend
from fcconv.errors import ArgumentError, ShapeError
from fcconv.geometry import integer
from fcconv.graph.engines.compiled import Compiled, check_inputs
from fcconv.graph.engines.compiling import Engine
from fcconv.graph.files.save import save
from fcconv.streaming.written import Written, sizes_of

STREAM = "fcconv.stream"
"""Key of what a file of a stream tells, as JSON."""


@dataclass(eq=False, repr=False)
class Stream:
    """Scores a recording while it comes in; :meth:`fcconv.Sliding.stream` makes it.

    A cell comes as soon as every sample that it depends on is there, and each sample is computed
    once. Cells are those of the whole recording, the first one that of the window which starts with
    the first sample.

    Attributes
    ----------
    written : Written
        The network: ``written.model`` is what :meth:`save` writes.
    engine : Engine
        What computes.
    axis : int
        The axis of the samples along which time runs.
    cells_axis : int
        The axis of the scores along which it does.
    window, stride : int
        Samples of a window, and from one to the next.
    chunk : int or None
        Samples of every step; None for as many as there are, in multiples of `smallest_chunk`.
    samples : int
        How many were pushed so far, and were told to be missing.

    Examples
    --------
    >>> import numpy as np
    >>> from fcconv.demo.network import load_faces
    >>> import fcconv
    >>> faces = fcconv.convolutionize(load_faces())
    >>> stream = faces.stream(axis=2)  # the rows of an endless strip of paper, 25 pixels wide
    >>> stream.smallest_chunk, stream.warmup, stream.latency
    (3, 8, 2)
    >>> rows = np.zeros((1, 1, 40, 25), np.float32)
    >>> stream.push(rows[:, :, :20]).shape, stream.push(rows[:, :, 20:]).shape
    ((1, 1, 0, 1), (1, 1, 5, 1))
    """

    written: Written
    engine: Engine
    axis: int
    cells_axis: int
    window: int
    stride: int
    chunk: int | None = None
    samples: int = 0
    _state: dict[str, Any] | None = None
    _waiting: Any = None
    _cells: int = 0
    _begun: int = 0

    # What it is -----------------------------------------------------------------------------------

    @property
    def smallest_chunk(self) -> int:
        """Samples that a step takes at least; it takes multiples of them."""
        return self.written.smallest

    @property
    def warmup(self) -> int:
        """Cells at the beginning of what :meth:`step` makes that are not scores."""
        return self.written.warmup

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples."""
        return _dtype(self._declared)

    @property
    def latency(self) -> int:
        """Samples, at most, from the last one that a cell depends on to those it comes with."""
        return self.warmup * self.stride + (self.chunk or self.smallest_chunk) - self.written.seen

    @property
    def state_bytes(self) -> int:
        """Bytes that are kept from one chunk to the next."""
        return sum(array.nbytes for array in self._zeros.values())

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each statement about it as a name and what is found."""
        yield "window", _samples(self.window)
        yield "what a score depends on", _samples(self.written.seen)
        yield "window stride", _samples(self.stride)
        several = f"multiples of {_samples(self.smallest_chunk)}"
        yield "chunks", several if self.chunk is None else _samples(self.chunk)
        yield "warm-up", f"{self.warmup} cells, {_samples(self.warmup * self.stride)}"
        yield "latency", f"at most {_samples(self.latency)}"
        yield "state", f"{self.state_bytes} bytes"

    def __str__(self) -> str:
        """Print what it is, one line for each statement."""
        return "\n".join(f"{name:<28}{value}" for name, value in self.lines())

    def __repr__(self) -> str:
        """Name it by its windows."""
        return f"<Stream of windows of {self.window} samples, {self.stride} apart>"

    # The pure form --------------------------------------------------------------------------------

    @property
    def state0(self) -> dict[str, Any]:
        """The state before the first sample: zeros, by the names of the network's inputs."""
        return {name: self._library.asarray(zeros.copy()) for name, zeros in self._zeros.items()}

    def step(self, state: Mapping[str, Any], chunk: Any) -> tuple[Any, dict[str, Any]]:
        """Score a chunk: a pure function, which can be traced under JAX.

        Parameters
        ----------
        state : dict of str to array
            What the chunk before left, or `state0`.
        chunk : array, shape (1, C, n) for a recording
            A multiple of `smallest_chunk` samples along `axis`.

        Returns
        -------
        array or tuple of array, dict of str to array
            Scores for each output, ``n / stride`` cells, and the next state. Of all cells since
            `state0` the first `warmup` are not scores.

        Raises
        ------
        ShapeError
            If the chunk is no such multiple, or of another shape than the samples.
        DtypeError
            If it has another dtype than the network's input.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> stream = fcconv.convolutionize(load_faces()).stream(axis=2)
        >>> scores, state = stream.step(stream.state0, np.zeros((1, 1, 30, 25), np.float32))
        >>> scores.shape, stream.warmup  # of 10 cells, 2 are scores
        ((1, 1, 10, 1), 8)
        """
        outputs, after = self._step(state, chunk)
        return _one_or_all(outputs), after

    def _step(self, state: Mapping[str, Any], chunk: Any) -> tuple[Sequence[Any], dict[str, Any]]:
        """Score a chunk, and list its outputs, be it one."""
        shape = getattr(chunk, "shape", ())
        length = shape[self.axis] if len(shape) > self.axis else 0
        if shape[:1] != (1,) or not length or length % self.smallest_chunk:
            raise ShapeError(
                f"a chunk needs one recording, and a multiple of {self.smallest_chunk} samples "
                f"along axis {self.axis}, got {tuple(shape)}: push takes any number of samples"
            )
        made = self._network(chunk, *(state[name] for name in self._zeros))
        outputs = made if isinstance(made, tuple) else (made,)
        count = len(self.written.scores)
        return outputs[:count], dict(zip(self._zeros, outputs[count:], strict=True))

    @functools.cached_property
    def _network(self) -> Compiled:
        return self.engine.compile(self.written.model)

    @functools.cached_property
    def _library(self) -> ArrayBackend[Any]:
        return find_backend("numpy" if self.engine.name == ONNXRUNTIME else self.engine.name)

    @functools.cached_property
    def _zeros(self) -> dict[str, Any]:
        return {
            str(value.name): np.zeros(sizes_of(value), _dtype(value))
            for value in self.written.states
        }

    # Live -----------------------------------------------------------------------------------------

    @property
    def next_start(self) -> int:
        """The sample at which the next cell's window starts, counted from the first ever pushed."""
        return self._begun + max(self._cells - self.warmup, 0) * self.stride

    def push(self, samples: Any) -> Any:
        """Score what has come in.

        Parameters
        ----------
        samples : array, shape (1, C, n) for a recording
            Any number of samples along `axis`, none among it. What makes no whole chunk waits for
            the next ones.

        Returns
        -------
        array or tuple of array
            The cells that have become known, for each output: none during the warm-up.

        Raises
        ------
        ShapeError
            If the samples have another shape than the network's input, as of other channels.
        DtypeError
            If they have another dtype.
        BackendError
            If they are not an array of a known library.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> stream = fcconv.convolutionize(load_faces()).stream(axis=2)
        >>> [stream.push(np.zeros((1, 1, n, 25), np.float32)).shape[2] for n in (24, 3, 1)]
        [0, 1, 0]
        >>> stream.next_start, stream.flush().shape[2]  # no window waits for the rest of its chunk
        (3, 1)
        """
        check_inputs([self._declared], [samples])
        if samples.shape[0] != 1:
            raise ShapeError(f"a stream is one recording, (1, ...), got {tuple(samples.shape)}")
        xp, new = self._library.namespace, self._library.asarray(samples)
        self.samples += new.shape[self.axis]
        if self._waiting is not None:
            new = xp.concatenate([self._waiting, new], axis=self.axis)
        count, unit = new.shape[self.axis], self.chunk or self.smallest_chunk
        whole = count // unit * unit
        found = [self._no_cells]
        for start in range(0, whole, self.chunk or max(whole, 1)):
            found.append(self._scored(_cut(new, self.axis, start, start + (self.chunk or whole))))
        self._waiting = self._library.copy(_cut(new, self.axis, whole, count))
        made = [xp.concatenate(parts, axis=self.cells_axis) for parts in zip(*found, strict=True)]
        return _one_or_all(made)

    def flush(self) -> Any:
        """Score the windows that wait for the rest of a chunk, at the end of a recording.

        Returns
        -------
        array or tuple of array
            Their cells, for each output. What is pushed next is another recording.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> stream = fcconv.convolutionize(load_faces()).stream(axis=2, chunk=30)
        >>> rows = np.zeros((1, 1, 28, 25), np.float32)
        >>> stream.push(rows).shape, stream.flush().shape  # 28 rows make no whole chunk
        ((1, 1, 0, 1), (1, 1, 2, 1))
        """
        # a window that is not whole has no score, even where its last samples count for nothing
        whole = (self.samples - self._begun - self.window) // self.stride + 1
        count = max(whole - max(self._cells - self.warmup, 0), 0)
        waiting, made = self._waiting, self._no_cells
        if waiting is not None and waiting.shape[self.axis]:
            shape = list(waiting.shape)
            shape[self.axis] = -shape[self.axis] % (self.chunk or self.smallest_chunk)
            behind = self._library.asarray(np.zeros(shape, self.dtype))
            last = self._library.namespace.concatenate([waiting, behind], axis=self.axis)
            made = [_cut(output, self.cells_axis, 0, count) for output in self._scored(last)]
        self.reset()
        return _one_or_all(made)

    def _scored(self, chunk: Any) -> list[Any]:
        """Score a chunk, and keep the state; cells of the warm-up are left out."""
        with without_gradients(self.engine.name):
            outputs, self._state = self._step(self._state or self.state0, chunk)
        count = chunk.shape[self.axis] // self.stride
        skipped = min(max(self.warmup - self._cells, 0), count)
        self._cells += count
        return [_cut(output, self.cells_axis, skipped, count) for output in outputs]

    def reset(self, missing: int = 0) -> None:
        """Begin again after a gap: the next cell's window starts with the next sample.

        Parameters
        ----------
        missing : int
            Samples that were lost, so that `next_start` goes on to count them.

        Raises
        ------
        ArgumentError
            If it is not a number of samples.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> stream = fcconv.convolutionize(load_faces()).stream(axis=2)
        >>> _ = stream.push(np.zeros((1, 1, 40, 25), np.float32))
        >>> stream.reset(missing=100)
        >>> stream.next_start
        140
        """
        self.samples += integer(missing, "missing", 0)
        self._state = self._waiting = None
        self._begun, self._cells = self.samples, 0

    @functools.cached_property
    def _declared(self) -> ir.Value:
        """A recording of any length."""
        samples = self.written.samples
        dims: list[Any] = sizes_of(samples)
        dims[self.axis] = "samples"
        return ir.Value(name=samples.name, shape=ir.Shape(dims), type=samples.type)

    @functools.cached_property
    def _no_cells(self) -> list[Any]:
        empty = []
        for value in self.written.scores:
            sizes = sizes_of(value)
            sizes[self.cells_axis] = 0
            empty.append(self._library.asarray(np.zeros(sizes, _dtype(value))))
        return empty

    # Saved ----------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, rate: float | None = None) -> None:
        """Write the network that scores a chunk to an ONNX file, whole or not at all.

        Its inputs are a chunk and the states, of zeros at first; its outputs the scores and the
        next states. The entry ``fcconv.stream`` of its metadata says so as JSON.

        Parameters
        ----------
        path : path
            The file.
        rate : float, optional
            Samples in a second, to be told with the rest.

        Raises
        ------
        ArgumentError
            If the rate is not a number above 0.
        OutputError
            If it can't be written.

        Examples
        --------
        >>> import json, tempfile
        >>> import onnx
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fcconv.convolutionize(load_faces()).stream(axis=2).save(f"{folder}/stream.onnx")
        ...     [told] = onnx.load(f"{folder}/stream.onnx").metadata_props
        >>> json.loads(told.value)["chunk_multiple_of"]
        3
        """
        if rate is not None and not 0 < as_number(rate) < math.inf:
            raise ArgumentError(f"rate needs samples in a second, above 0, got {rate!r}")
        model = self.written.model.clone()
        told = {
            **self.written.names(),
            "axis": self.axis,
            "chunk": self.chunk,
            "chunk_multiple_of": self.smallest_chunk,
            "cells_axis": self.cells_axis,
            "warmup_cells": self.warmup,
            "window": self.window,
            "stride": self.stride,
            "latency": self.latency,
            "rate": None if rate is None else float(rate),
        }
        model.metadata_props[STREAM] = json.dumps(told)
        save(model, path)


def _one_or_all(outputs: Sequence[Any]) -> Any:
    """Give one output as it is, and several as a tuple."""
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _cut(array: Any, axis: int, start: int, stop: int) -> Any:
    return array[(slice(None),) * axis + (slice(start, stop),)]


def _dtype(value: ir.Value) -> np.dtype[Any]:
    return np.dtype(np.float32 if value.dtype is None else value.dtype.numpy())


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"
