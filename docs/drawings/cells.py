"""What the drawings share: grids of numbers, in colours that the colour-blind tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

PIXEL, WEIGHT, RESULT, PALE = "#56b4e9", "#e69f00", "#009e73", "#d9d9d9"
"""Colours of an input, of weights, of what comes out, and of what takes no part."""


def canvas(wide: float, high: float) -> tuple[Figure, Axes]:
    """Return a figure whose coordinates are cells, rows counted downwards."""
    figure, axes = plt.subplots(figsize=(0.55 * wide, 0.55 * high))
    axes.set(xlim=(0, wide), ylim=(high, 0), aspect="equal")
    axes.axis("off")
    return figure, axes


def grid(
    axes: Axes,
    numbers: Sequence[Sequence[object]] | npt.NDArray[Any],
    left: float,
    top: float,
    colour: str | Sequence[Sequence[str]],
) -> None:
    """Draw numbers in cells."""
    for i, row in enumerate(numbers):
        for j, number in enumerate(row):
            filled = colour if isinstance(colour, str) else colour[i][j]
            axes.add_patch(
                Rectangle((left + j, top + i), 1, 1, facecolor=filled, edgecolor="white", lw=2)
            )
            axes.text(left + j + 0.5, top + i + 0.5, f"{number}", ha="center", va="center")


def outline(axes: Axes, left: float, top: float, wide: float, high: float) -> None:
    """Draw a frame around cells."""
    axes.add_patch(Rectangle((left, top), wide, high, fill=False, edgecolor="black", lw=2.5))


def say(axes: Axes, left: float, top: float, words: str, *, bold: bool = False) -> None:
    """Write words, centred on a place."""
    axes.text(left, top, words, ha="center", va="center", weight="bold" if bold else "normal")
