"""The picture of the demo: the photo with the strongest peaks, and the heatmap over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fcconv.demo.peaks import FoundFace
from fcconv.demo.photos import Image

COLOURS = ("#ffd400", "#ffffff", "#ffffff")


def write_picture(
    path: Path, photo: npt.NDArray[Any], grey: Image, heat: Image, peaks: list[FoundFace]
) -> None:
    """Write a PNG: left the photo and its strongest peaks, right the heatmap and the best box."""
    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    left.imshow(photo)
    left.set_title("The three strongest peaks", loc="left", fontsize=11)
    for number, (peak, colour) in enumerate(zip(peaks, COLOURS, strict=False), 1):
        left.add_patch(_outline(peak, colour))
        left.text(
            peak.left,
            peak.top - 4,
            f"{number}: {peak.strength:.1f}",
            color=colour,
            fontsize=9,
            bbox={"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1.5},
        )
    right.imshow(grey, cmap="gray", vmin=0, vmax=1)
    shown = right.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.15 + 0.7 * heat)
    for best in peaks[:1]:
        right.add_patch(_outline(best, COLOURS[0]))
    right.set_title("Probability of a face, the largest of all scales", loc="left", fontsize=11)
    figure.colorbar(shown, ax=right, fraction=0.046, pad=0.02)
    for axes in (left, right):
        axes.tick_params(labelsize=8)
        axes.set_xlabel("pixels", fontsize=8)
    figure.savefig(path, format="png")


def _outline(peak: FoundFace, colour: str) -> Rectangle:
    corner = (peak.left, peak.top)
    return Rectangle(corner, peak.side, peak.side, fill=False, edgecolor=colour, linewidth=2)
