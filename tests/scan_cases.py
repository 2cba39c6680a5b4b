"""Networks and images to scan, how to cut them into tiles, and what their crops score."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from unittest import mock

import numpy as np
import numpy.typing as npt
import onnx

import fcconv
from fcconv.backend import ONNXRUNTIME
from fcconv.scanning.cutting import planned, ways
from fcconv.scanning.job import Job, make_job
from fcconv.scanning.network import as_network
from fcconv.scanning.plan import Plan
from graphs import Graph
from sliding_windows import listed
from strategies import integers
from tested_backends import TESTED

Array: TypeAlias = npt.NDArray[Any]

WINDOWS = {1: (11,), 2: (7, 8), 3: (5, 4, 6)}
SIZES = {1: (90,), 2: (27, 33), 3: (11, 10, 13)}
TYPES = {**dict.fromkeys(TESTED, "float64"), ONNXRUNTIME: "float32"}


def small_network(
    rank: int = 2, dtype: str = "float32", layout: str = "first", pad: int = 0, heads: int = 1
) -> onnx.ModelProto:
    """Put together a patch classifier of integers, of 2 channels or none, that goes by 2 pixels."""
    window, rng = WINDOWS[rank], np.random.default_rng(rank)
    channels = 1 if layout == "none" else 2
    shape = {"first": (2, *window), "last": (*window, 2), "none": window}[layout]
    graph, x = Graph(*shape, dtype=dtype), "image"
    if layout == "last":
        x = graph.add("Transpose", x, perm=[0, rank + 1, *range(1, rank + 1)])
    if layout == "none":
        x = graph.add("Unsqueeze", x, np.array([1], np.int64))
    kernel = graph.array(rng.integers(-2, 3, (3, channels, *(2 for _ in window))))
    x = graph.add("Relu", graph.add("Conv", x, kernel, pads=[pad] * (2 * rank)))
    x = graph.add("MaxPool", x, kernel_shape=[2] * rank, strides=[2] * rank)
    x = graph.add("Flatten", x)
    features = 3 * math.prod((n + 2 * pad - 1) // 2 for n in window)
    made = [
        graph.add("MatMul", x, graph.array(rng.integers(-2, 3, (features, 2 + k))))
        for k in range(heads)
    ]
    return graph.model(*made)


def integer_network() -> onnx.ModelProto:
    """Round the scores of a network to integers."""
    model = small_network()
    output = model.graph.output[0]
    cast = onnx.helper.make_node("Cast", [output.name], ["whole"], to=onnx.TensorProto.INT32)
    model.graph.node.append(cast)
    output.name = "whole"
    output.type.tensor_type.elem_type = onnx.TensorProto.INT32
    return model


def squeezing(layout: str = "first") -> onnx.ModelProto:
    """Put together a network that multiplies its map by what all of it excites."""
    graph, rng = Graph(*((2, 7, 8) if layout == "first" else (7, 8, 2))), np.random.default_rng(3)
    x = "image"
    if layout == "last":
        x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    kernel = graph.array(rng.integers(-1, 2, (3, 2, 3, 3)))
    x = graph.add("Relu", graph.add("Conv", x, kernel, pads=[1] * 4))
    x = graph.add("Mul", x, graph.reduce("ReduceMax", x, [2, 3]))
    x = graph.add("Conv", x, graph.array(rng.integers(-1, 2, (4, 3, 3, 3))))
    return graph.model(graph.reduce("ReduceMax", x, [2, 3], keepdims=0))


def attending(head: str = "ReduceSum") -> onnx.ModelProto:
    """Put together a network whose patches attend to each other, as those of a transformer do."""
    graph, rng = Graph(2, 8, 8), np.random.default_rng(4)
    kernel = graph.array(rng.integers(-1, 2, (3, 2, 4, 4)))
    x = graph.add("Conv", "image", kernel, strides=[4, 4])
    x = graph.add("Reshape", x, np.array([0, 3, 4], np.int64))
    keys = graph.add("Transpose", x, perm=[0, 2, 1])
    x = graph.add("Relu", graph.add("MatMul", keys, x))
    if head == "TopK":  # which is not known here
        x, _ = graph.parts("TopK", x, np.array([2], np.int64), outputs=2)
    x = graph.add("Flatten", x)
    size = 16 if head == "ReduceSum" else 8
    return graph.model(graph.add("MatMul", x, graph.array(rng.integers(-1, 2, (size, 3)))))


NETWORKS = {"squeezing": squeezing, "attending": attending}


def looped(network: onnx.ModelProto, image: Array, found: fcconv.Scan, engine: str) -> Array:
    """Cut out each window of an image ``(C, H, W)`` and score it by itself."""
    score = fcconv.compile(network, engine)
    scores = [score(image[None, :, *found.box(*cell)])[0] for cell in np.ndindex(*found.cells)]
    return np.stack(scores, axis=-1).reshape(-1, *found.cells)


def picture(rank: int = 2, dtype: str = "float32", channels: int = 2, seed: int = 0) -> Array:
    return integers(seed, (channels, *SIZES[rank]), dtype)


def memory_for(
    tiles: int,
    network: Any,
    image: Any,
    *,
    engine: str = "numpy",
    stride: Any = None,
    windows: str | None = None,
    layout: str | None = None,
) -> int:
    """Find an amount of memory that cuts an image into that many tiles, or as many as it can."""
    job = make_job(
        as_network(network, stride, windows=windows), image, windows=windows, layout=layout
    )
    memory = 2**20
    cut, _ = planned(job, memory, engine)
    most = math.prod(cut.cells)
    while len(cut) < min(tiles, most):
        memory = memory * 4 // 5
        cut, _ = planned(job, memory, engine)
    return memory


@contextmanager
def cut_into(tiles: int, batch: int = 3) -> Iterator[None]:
    """Cut images into so many tiles or more, whatever the memory."""

    def cut(job: Job, memory: int, engine: str) -> tuple[Plan, int]:
        def fits(cut: Plan) -> bool:
            return len(cut) >= min(tiles, math.prod(cut.cells))

        return next(cut for cut in ways(job) if fits(cut)), batch

    with mock.patch("fcconv.scanning.cutting.planned", cut):
        yield


def of_crops(network: onnx.ModelProto, image: Array, scan: fcconv.Scan) -> list[Array]:
    """Score each window of an image ``(C, *S)`` by the patch network, channels first."""
    cells = list(np.ndindex(*scan.cells))
    windows = np.stack([image[(slice(None), *scan.box(*cell))] for cell in cells])
    scores = listed(fcconv.compile(network)(windows))
    return [part.reshape(len(cells), -1).T.reshape(-1, *scan.cells) for part in scores]


class Recording:
    """An array-like that notes how many entries are read at a time."""

    def __init__(self, pixels: Array) -> None:
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.reads: list[int] = []

    def __getitem__(self, index: Any) -> Array:
        part: Array = self.pixels[index]
        self.reads.append(part.size)
        return part
