"""``fcconv stream``: reads, scores and prints until there is nothing more to read, or a signal."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import click
import numpy as np
import numpy.typing as npt

from fcconv.backend import to_numpy
from fcconv.errors import ImageError, UnsupportedError
from fcconv.graph.files.load import load
from fcconv.graph.rewriting.convolutionize import Windows, convolutionize
from fcconv.graph.rewriting.shared import declared
from fcconv.graph.rewriting.sliding import Sliding, from_metadata
from fcconv.scanning.sample_rate import trained_at
from fcconv.streaming.events import Events
from fcconv.streaming.pcm import Frames
from fcconv.streaming.stream import Stream

Samples: TypeAlias = npt.NDArray[Any]

MOST_BYTES = 2**16
"""Bytes that are read at a time, at most: what a pipe holds."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    model: Path
    samples: Path
    rate: float
    channels: int | None
    format_: str
    threshold: float | None
    refractory: float
    stride: int | tuple[int, ...] | None
    window: tuple[int, ...] | None
    windows: Windows
    engine: str
    chunk: int | None


class _Stopped(BaseException):
    """A signal came while nothing was to do but wait."""


@dataclass
class _Signals:
    """Whether to stop; what is being scored then is printed before."""

    stopped: bool = False
    waiting: bool = False

    def stop(self, *_: Any) -> None:
        """Take a signal."""
        self.stopped = True
        if self.waiting:
            raise _Stopped

    def read(self, file: IO[bytes]) -> bytes:
        """Read what has come in, or wait for it; nothing at the end, or after a signal."""
        try:
            self.waiting = True
            return b"" if self.stopped else file.read(MOST_BYTES)
        except _Stopped:
            return b""
        finally:
            self.waiting = False


def stream_and_print(options: Options) -> int:
    """Score samples while they come in."""
    sliding = _sliding(options)
    channels, axis = _channels(sliding)
    if options.channels not in (None, channels):
        raise click.BadParameter(
            f"the network takes {channels}, got {options.channels}: mix them before",
            param_hint="--channels",
        )
    trained = trained_at(sliding.model)
    if trained and trained != options.rate:
        raise click.BadParameter(
            f"the network says that it was trained at {trained:,} samples a second, got "
            f"{options.rate:,g}: resample before",
            param_hint="--rate",
        )
    stream = sliding.stream(chunk=options.chunk, engine=options.engine)
    events = Events(
        options.rate,
        stream.window,
        stream.stride,
        [*sliding.outputs],
        options.threshold,
        options.refractory,
    )
    frames = Frames(options.format_, channels)
    live = _Live(stream, axis, events)
    with _opened(options.samples) as file, _signals() as signals:
        try:
            while data := signals.read(file):
                live.score(frames.read(data))
            if not signals.stopped:
                live.end()
                frames.check_end(stream.window)
        except BrokenPipeError:  # nobody reads any more
            # what is left in the buffer would fail once more when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _sliding(options: Options) -> Sliding:
    """Open a network that slides, or make it slide."""
    model = load(options.model, options.window)
    found = from_metadata(model)
    if found is None:
        return convolutionize(model, stride=options.stride, windows=options.windows)
    if options.stride not in (None, *found.stride, found.stride):
        raise click.BadParameter(
            f"the network slides by {found.stride} already: give the patch network it was made of",
            param_hint="--stride",
        )
    return found


def _channels(sliding: Sliding) -> tuple[int, int | None]:
    """Find how many channels a network takes, and along which axis, if it has one for them."""
    dims = declared(sliding.model.graph.inputs[0])
    beside = {axis: n for axis, n in enumerate(dims) if axis and isinstance(n, int)}
    if len(sliding.window) != 1 or len(beside) > 1:
        raise UnsupportedError(
            f"the network takes ({', '.join(map(str, dims))}), not samples of a recording, "
            f"(N, C, time): stream it from Python, sliding.stream(axis=...)"
        )
    return next(((n, axis) for axis, n in beside.items()), (1, None))


@dataclass
class _Live:
    """Scores frames, and prints what is to be told."""

    stream: Stream
    channel_axis: int | None
    events: Events

    def score(self, frames: Samples) -> None:
        """Score frames, up to the first that is no number.

        Raises
        ------
        ImageError
            If there is such a one.
        """
        bad = np.flatnonzero(~np.isfinite(frames).all(axis=0))
        count = int(bad[0]) if len(bad) else frames.shape[1]
        start = self.stream.next_start
        self._print(start, self.stream.push(self._arranged(frames[:, :count])))
        if len(bad):
            at = self.stream.samples
            raise ImageError(
                f"sample {at}, at {at / self.events.rate:.6g} seconds, is no finite number: say "
                f"what the samples are with --format and --channels"
            )

    def end(self) -> None:
        """Print what waits for the rest of a chunk."""
        start = self.stream.next_start
        self._print(start, self.stream.flush())

    def _arranged(self, frames: Samples) -> Samples:
        """Bring frames to the axes of the network's input."""
        axis = self.channel_axis
        lines = frames[0] if axis is None else frames if axis == 1 else frames.T
        return lines[None].astype(self.stream.dtype, copy=False)

    def _print(self, start: int, scores: Any) -> None:
        outputs = scores if isinstance(scores, tuple) else (scores,)
        cells = [to_numpy(output)[0] for output in outputs]
        lines = [json.dumps(record) for record in self.events.records(start, cells)]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, or standard input, to be read as soon as something is there."""
    if path == Path("-"):
        with open(0, "rb", buffering=0, closefd=False) as file:
            yield file
        return
    with path.open("rb", buffering=0) as file:
        yield file


@contextmanager
def _signals() -> Iterator[_Signals]:
    """Let signals end the reading, and nothing else."""
    found = _Signals()
    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(name, found.stop) for name in names]
    try:
        yield found
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
