"""The suite of streams: a recording in chunks, beside one pass over it and beside its windows.

The latter is what live use is without a stream: whenever a chunk has come in, each window that it
completes is scored by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

import fcconv
from fcconv.backend import to_numpy, without_gradients
from fcconv_bench import networks
from fcconv_bench.suite import Call, Facts, Prepared, Suite
from fcconv_bench.ways import ways

Array = npt.NDArray[Any]

PLAIN = "plain"
STREAM = "stream"

RATE = 16_000

LAYERS = ((64, 4, 64), (9, 1, 128), (9, 1, 256), (9, 1, 256))
"""Kernel, stride and outputs of each convolution; all but the last have a pool of 4 behind."""


def voice() -> onnx.ModelProto:
    """Build a classifier of a second of sound at 16 kHz, window stride 256, with random weights."""
    rng, nodes, weights, x, channels, length = np.random.default_rng(0), [], [], "sound", 1, RATE

    def weight(name: str, *shape: int) -> str:
        scale = math.sqrt(2 / math.prod(shape[1:]))
        array = (rng.standard_normal(shape) * scale).astype(np.float32)
        weights.append(numpy_helper.from_array(array, name))
        return name

    for k, (kernel, stride, outputs) in enumerate(LAYERS):
        given = [x, weight(f"weight{k}", outputs, channels, kernel)]
        nodes.append(helper.make_node("Conv", given, [f"conv{k}"], strides=[stride]))
        nodes.append(helper.make_node("Relu", [f"conv{k}"], [f"relu{k}"]))
        x, channels, length = f"relu{k}", outputs, (length - kernel) // stride + 1
        if k < len(LAYERS) - 1:
            pool: dict[str, Any] = {"kernel_shape": [4], "strides": [4]}
            nodes.append(helper.make_node("MaxPool", [x], [f"pool{k}"], **pool))
            x, length = f"pool{k}", length // 4
    nodes.append(helper.make_node("Flatten", [x], ["features"]))
    dense = weight("dense", 12, channels * length)
    nodes.append(helper.make_node("Gemm", ["features", dense], ["scores"], transB=1))
    sound = helper.make_tensor_value_info("sound", onnx.TensorProto.FLOAT, ["N", 1, RATE])
    scores = helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["N", 12])
    graph = helper.make_graph(nodes, "voice", [sound], [scores], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@dataclass(frozen=True)
class Recording:
    """A recording that a network scores.

    Attributes
    ----------
    group : str
        What streaming is compared with: one of `COMPARED`.
    seconds : int
        How long it is.
    chunk : int
        Milliseconds of a chunk.
    """

    group: str
    seconds: int
    chunk: int

    @property
    def name(self) -> str:
        """What is scored, and how."""
        return f"{self.group}: {self.seconds} s in chunks of {self.chunk} ms"

    @property
    def samples(self) -> int:
        """Samples of a chunk."""
        return RATE * self.chunk // 1000

    def small(self) -> Recording:
        """Shorten the recording to one window."""
        return replace(self, seconds=1, chunk=80)

    def can(self, _way: str, _engine: str) -> bool:
        """Whether it is measured with an engine."""
        return True

    def prepare(self, way: str, engine: str) -> Prepared:
        """Make the network and the recording."""
        sliding = fcconv.convolutionize(voice())
        sound = np.random.default_rng(0).random((1, 1, RATE * self.seconds), np.float32)
        if way == STREAM or self.group == WHOLE:
            model, shape, times = sliding.model, sound.shape, 1
        else:
            model, shape = sliding.cropping, (1, 1, RATE)
            times = (sound.shape[2] - RATE) // sliding.stride[0] + 1
        facts = Facts(networks.multiplications(model, shape) * times, output_bytes=0)
        return Prepared(COMPARED[self.group][way](self, engine, sliding, sound), facts)


def _one_pass(_: Recording, engine: str, sliding: fcconv.Sliding, sound: Array) -> Call:
    return partial(fcconv.scan, sliding, sound[0], engine=engine)


def _windows(recording: Recording, engine: str, sliding: fcconv.Sliding, sound: Array) -> Call:
    patch = fcconv.compile(sliding.cropping, engine)
    return partial(_window_by_window, patch, sound, sliding.stride[0], recording.samples)


def _window_by_window(patch: fcconv.Compiled, sound: Array, stride: int, chunk: int) -> None:
    """Score the windows that each chunk completes, together."""
    for end in range(chunk, sound.shape[2] + 1, chunk):
        first = max(-(-(end - chunk + 1 - RATE) // stride), 0)
        starts = range(first * stride, end - RATE + 1, stride)
        if starts:
            with without_gradients(patch.engine):
                to_numpy(patch(np.concatenate([sound[:, :, k : k + RATE] for k in starts])))


def _stream(recording: Recording, engine: str, sliding: fcconv.Sliding, sound: Array) -> Call:
    stream = sliding.stream(chunk=recording.samples, engine=engine)

    def push() -> None:
        for start in range(0, sound.shape[2], recording.samples):
            to_numpy(stream.push(sound[:, :, start : start + recording.samples]))

    return push


WHOLE = "over one pass"
WINDOWS = "over window by window"

COMPARED: dict[str, dict[str, Callable[[Recording, str, fcconv.Sliding, Array], Call]]] = {
    WHOLE: {PLAIN: _one_pass, STREAM: _stream},
    WINDOWS: {PLAIN: _windows, STREAM: _stream},
}


def suite() -> Suite[Recording]:
    """Return recordings in chunks."""
    cases = (
        Recording(WHOLE, 300, 80),
        *(Recording(WINDOWS, 10, chunk) for chunk in (16, 80, 320)),
    )
    title = "Recordings in chunks"
    return Suite("streams", title, PLAIN, (STREAM,), cases, partial(ways, (PLAIN, STREAM)))
