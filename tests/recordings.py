"""A network that hears how loud a recording is, and recordings in which one moment is loud."""

from __future__ import annotations

import numpy as np
import onnx

from graphs import Graph

RATE = 8000
WINDOW = 80
"""Samples: 10 ms."""

LOUD = 1.25
"""The second from which on the network's window is loud."""


def loudness(sample_rate: str = "") -> onnx.ModelProto:
    """Put together a network that takes the mean of what samples amount to in 10 ms."""
    graph = Graph(1, WINDOW)
    x = graph.add("Flatten", graph.add("Abs", "image"))
    model = graph.model(graph.add("MatMul", x, graph.array(np.full((WINDOW, 1), 1 / WINDOW))))
    if sample_rate:
        onnx.helper.set_model_props(model, {"sample_rate": sample_rate})
    return model


def loud_for_a_moment(rate: int = RATE, channels: int = 1, seconds: int = 3) -> np.ndarray:
    """Make noise that is loud for 10 ms."""
    rng, start = np.random.default_rng(1), round(LOUD * rate)
    samples = rng.normal(0, 0.01, (seconds * rate, channels))
    samples[start : start + rate // 100] += 0.5
    return samples.astype(np.float32)
