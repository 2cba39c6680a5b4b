"""Heatmaps of pictures and volumes: a panel for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fcconv.images.coordinates import Coordinates
from fcconv.report.picture import (
    Heat,
    colours,
    edges,
    extent,
    padded_corner,
    short,
    stretch,
)
from fcconv.report.pixels import grey, rgb
from fcconv.report.places import known_places, scale_bar
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANEL_PEAKS = 20
"""Most peaks that are outlined in a panel."""

BAR_INCHES = 0.04
"""Thickness of a scale bar."""

LOWEST_FIGURE = 4.0
"""Inches that a figure is high at least, for the label of its colours."""

DASHES = (0, (4, 3))
"""How long dashes are, and what lies between, in points."""


def draw_panels(
    scan: Scan, heat: Heat, overview: npt.NDArray[Any], peaks: Sequence[Peak]
) -> Figure:
    """Draw the classes of a picture, or of a volume the maxima along its first axis."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    flat = overview.max(axis=1) if overview.ndim == 4 else overview
    image = grey(rgb(flat))
    count = len(heat.labels)
    rows, columns = _grid(scan, count)
    width, height = _panel_inches(scan, count)
    size = (max(columns * width + 1.0, 8.0), max(rows * (height + 0.5) + 0.6, LOWEST_FIGURE))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    drawn = list(grid.flat)
    for axes, label, values in zip(drawn, heat.labels, heat.values, strict=False):
        _panel(axes, scan, heat, image, values if values.ndim == 2 else values[0])
        for peak in [peak for peak in peaks if peak.label == label][:MAX_PANEL_PEAKS]:
            _outline(axes, peak)
        axes.set_title(short(label), loc="left", fontsize=10, parse_math=False)
    known = known_places(scan)
    if known is not None:
        _draw_bar(drawn[0], known, extent(scan)[-1], BAR_INCHES / height)
    for axes in drawn[count:]:
        axes.remove()
    for axes in drawn[max(0, count - columns) : count]:  # the lowest that is left of each column
        axes.tick_params(labelbottom=True)
    figure.supxlabel("pixels", fontsize=8)
    scale = heat.scale
    bar = figure.colorbar(
        ScalarMappable(Normalize(scale.low, scale.high), "inferno"),
        ax=drawn[:count],
        extend="both" if scale.ends_within else "neither",
        pad=0.02,
        aspect=30,
    )
    bar.set_label(f"{scan.measure}, {scale.words}", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def _grid(scan: Scan, count: int) -> tuple[int, int]:
    """Choose rows and columns of panels: long ones lie side by side."""
    down, right = stretch(scan)
    if right > 1:
        return 1, count
    if down > 1:
        return count, 1
    columns = count if count < 4 else -(-count // 2)
    return -(-count // columns), columns


def _panel_inches(scan: Scan, count: int) -> tuple[float, float]:
    """Choose width and height of a panel."""
    down, right = stretch(scan)
    if right > 1:
        return 1.5, 9.0
    if down > 1:
        return 9.0, 1.5
    high, wide = extent(scan)[-2:]
    side = 7.0 if count == 1 else 4.2
    return side, side * float(np.clip(_pixel_height(scan) * high / wide, 0.3, 1.6))


def _pixel_height(scan: Scan) -> float:
    """Return how many times as high as wide a pixel is: a volume's planes lie further apart."""
    known = known_places(scan)
    return 1.0 if known is None else known.spacing[-2] / known.spacing[-1]


def _panel(axes: Axes, scan: Scan, heat: Heat, image: Any, values: npt.NDArray[Any]) -> None:
    high, wide = extent(scan)[-2:]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(0, wide, high, 0))
    y, x = (edges(scan, axis, heat.factor[axis]) for axis in (-2, -1))
    axes.pcolorfast(x, y, colours(values, heat.scale))
    aspect: Any = "auto" if max(stretch(scan)) > 1 else _pixel_height(scan)
    axes.set(xlim=(0, wide), ylim=(high, 0), aspect=aspect)
    axes.tick_params(labelsize=8)
    _mark_padded(axes, scan)


def _outline(axes: Axes, peak: Peak) -> None:
    """Draw the box of a peak, light on dark, so that it shows everywhere."""
    from matplotlib.patches import Rectangle

    (top, bottom), (left, right) = peak.box[-2:]
    for colour, width in (("black", 2.5), ("white", 1.2)):
        size = right - left, bottom - top
        axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=colour, linewidth=width))


def _mark_padded(axes: Axes, scan: Scan) -> None:
    """Draw a dashed line beyond which lie the cells whose windows reach into padding."""
    (top, left), (y, x), (bottom, right) = padded_corner(scan)
    if (y, x) == (bottom, right):
        return
    corners = [(x, top)] * (x < right) + [(x, y)] + [(left, y)] * (y < bottom)
    for colour, style in (("black", "solid"), ("white", DASHES)):
        axes.plot(*zip(*corners, strict=True), color=colour, linewidth=1.4, linestyle=style)


def _draw_bar(axes: Axes, coordinates: Coordinates, wide: float, thick: float) -> None:
    """Draw a scale bar, so thick in parts of the panel, on dark, so that it shows everywhere."""
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    pixels, words = scale_bar(coordinates.spacing[-1], coordinates.unit, wide)
    bar = AnchoredSizeBar(
        axes.transData,
        pixels,
        words,
        "lower left",
        pad=0.35,
        borderpad=0.5,
        sep=3,
        color="white",
        size_vertical=thick * abs(np.subtract(*axes.get_ylim())),
        fontproperties=_small_font(),
    )
    bar.patch.set(facecolor="black", alpha=0.6, linewidth=0)
    axes.add_artist(bar)


def _small_font() -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=8)
