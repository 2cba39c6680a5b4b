"""Networks on recordings, and recordings in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx

import fcconv
from graphs import Graph
from strategies import Array, integers


def whole_numbers(channels: int = 2, pads: int = 0, window: int = 20) -> onnx.ModelProto:
    """Classify a recording by small integers, on which every engine computes exactly.

    Windows of 20 samples are read up to the 19th, one sample in four; with `pads`, up to the last.
    """
    graph = Graph(channels, window)
    weights = iter(range(9))

    def weight(*shape: int) -> Array:
        return integers(next(weights), shape, "float32")

    x = graph.add("Conv", "image", weight(3, channels, 2), weight(3), pads=[pads, pads])
    x = graph.add("MaxPool", graph.add("Relu", x), kernel_shape=[2], strides=[2])
    x = graph.add("Conv", x, weight(4, 3, 3), strides=[2], pads=[pads, pads])
    features = 4 * (((window + 2 * pads - 1) // 2 + 2 * pads - 3) // 2 + 1)
    scores = graph.add("Gemm", graph.add("Flatten", x), weight(features, 5), weight(5))
    return graph.model(scores)


def recording(length: int, channels: int = 2, seed: int = 0) -> Array:
    return integers(seed, (1, channels, length), "float32")


def pieces(x: Any, lengths: Iterable[int], axis: int = 2) -> Iterator[Any]:
    """Cut a recording, and yield what is left behind the last cut, too."""
    start = 0
    for length in (*lengths, x.shape[axis]):
        yield x[(slice(None),) * axis + (slice(start, start + length),)]
        start += length


def pushed(stream: Any, x: Any, lengths: Sequence[int]) -> Array:
    """Push a recording piece by piece, to its end."""
    parts = [stream.push(piece) for piece in pieces(x, lengths, stream.axis)]
    made = [fcconv.backend(part).to_numpy(part) for part in (*parts, stream.flush())]
    return np.concatenate(made, stream.cells_axis)
