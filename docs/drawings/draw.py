"""Draw the pictures of the pages: ``python docs/drawings/draw.py``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
DRAWINGS = ("same_product", "sliding", "strides", "padded", "house")
"""Scripts, each of which draws one picture."""


def draw(folder: Path) -> None:
    """Write the picture of each script, an SVG, into a folder."""
    sys.path.insert(0, str(HERE))  # where they find what they share
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fcconv"}):
        for name in DRAWINGS:
            runpy.run_path(str(HERE / f"{name}.py"))
            made = {"Date": None, "Creator": None}
            plt.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata=made)
            plt.close("all")
    sys.path.remove(str(HERE))


if __name__ == "__main__":
    draw(HERE)
