"""Scans put together by hand, to draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.graph.rules.layer import Layer
from fcconv.scanning.result import Scan

HOSTILE = "</script><b id=bold>&amp;'\" $\\frac$"
"""A name that breaks out of what does not escape it."""

LAYERS = [Layer("fc<1>", "kernel", (16, 64), (16, 4, 4, 4), "CHW")]


def make_scan(
    scores: Any,
    window: tuple[int, ...],
    stride: tuple[int, ...],
    labels: tuple[str, ...] | None = None,
    **changed: Any,
) -> Scan:
    """Put scores where an image just as large as its windows would have them."""
    cells = scores.shape[-len(window) :]
    size = tuple((n - 1) * s + k for n, s, k in zip(cells, stride, window, strict=True))
    names = labels or tuple(f"class {k}" for k in range(scores.shape[-1 - len(window)]))
    facts: dict[str, Any] = {
        "windows": "shared",
        "exact": True,
        "reasons": (),
        "engine": "numpy",
        "preparation": "as it is",
        "tiles": 1,
        "computed": 1,
        "seconds": 0.5,
    }
    return Scan({"y": scores}, names, size, window, stride, **(facts | changed))


def randoms(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)
