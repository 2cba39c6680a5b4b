"""The heatmap of a scan as a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fcconv.arguments import check_sequence, check_type
from fcconv.report.files import write_whole
from fcconv.report.picture import (
    Heat,
    apart,
    check_overview,
    colours,
    edges,
    extent,
    grey,
    read_heat,
    rgb,
    scoring,
    times,
)
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 6
"""Most classes drawn."""

MAX_PANEL_CELLS = 1000
"""Most cells along an axis of a panel, more than a panel has pixels."""

MAX_PANEL_PEAKS = 20
"""Most peaks that are outlined in a panel."""

MAX_LINE_CELLS = 2000
"""Most cells along a line."""


def write_heatmap(
    path: str | os.PathLike[str],
    scan: Scan,
    overview: npt.NDArray[Any],
    labels: Sequence[str] | None = None,
    peaks: Sequence[Peak] = (),
) -> None:
    """Write the heatmap of a scan as a PNG.

    Of a picture it shows a panel a class, with the boxes of its peaks, of a recording a line a
    class over the signal, of a volume the maximum along the first axis. Of many classes the six
    with the highest scores are drawn, of many windows the strongest of each block; the title says
    so.

    Parameters
    ----------
    path : path
        Where it goes.
    scan : Scan
        What to draw; its scores may be larger than memory. Of a batch the first image is drawn.
    overview : array, shape (C, *small)
        The whole image in any size.
    labels : sequence of str, optional
        Names of the classes to draw; all by default.
    peaks : sequence of Peak, optional
        Windows to outline, those of a class in its panel, the 20 strongest of them.

    Raises
    ------
    ArgumentError
        If there is no such label.
    ShapeError
        If the overview has another number of axes.
    OutputError
        If it can't be written.
    """
    content, figure = io.BytesIO(), draw(scan, overview, labels, peaks)
    layout = figure.get_layout_engine()
    if layout is not None:  # as it is, all would be drawn twice, the first time to be laid out
        layout.execute(figure)
        figure.set_layout_engine(None)
    figure.savefig(content, format="png")
    write_whole(path, content.getvalue())


def draw(
    scan: Scan,
    overview: npt.NDArray[Any],
    labels: Sequence[str] | None = None,
    peaks: Sequence[Peak] = (),
) -> Figure:
    """Draw the heatmap of a scan; see :func:`write_heatmap`."""
    rank = len(check_type(scan, Scan, "scan").size)
    check_overview(overview, rank)
    listed = check_sequence(peaks, Peak, "peaks")
    most = MAX_LINE_CELLS if rank == 1 else MAX_PANEL_CELLS
    shrink = -(-max(scan.cells[-2:]) // most)
    factor = (scan.cells[0], shrink, shrink) if rank == 3 else (shrink,) * rank
    heat = read_heat(scan, labels, MAX_PANELS, factor)
    figure = _lines(scan, heat, overview) if rank == 1 else _panels(scan, heat, overview, listed)
    title = "\n".join(_title(scan, heat, len(scan.labels) if labels is None else len(labels)))
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, linespacing=1.5)
    return figure


def _title(scan: Scan, heat: Heat, asked: int) -> list[str]:
    drawn = len(heat.labels)
    lines = [f"Windows of {apart(scan)}", scoring(scan)]
    if scan.scale != 1:
        lines[0] += f", of the image at {scan.scale:.4g} times its size"
    shown = []
    if drawn < asked:
        shown.append(f"the {drawn} of {asked} classes with the highest scores")
    if len(scan.size) == 3:
        shown.append("the maximum along the first axis")
    if heat.factor[-1] > 1:
        shown.append(f"the strongest of each {times(heat.factor[-2:])} windows")
    if shown:
        lines.append(f"Shown: {'; '.join(shown)}")
    if scan.outside:
        lines.append(f"Clear: {scan.outside:,} windows that were not asked for")
    return lines


# Pictures and volumes ---------------------------------------------------------------------------


def _panels(scan: Scan, heat: Heat, overview: npt.NDArray[Any], peaks: Sequence[Peak]) -> Figure:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    flat = overview.max(axis=1) if overview.ndim == 4 else overview
    image = grey(rgb(flat))
    count = len(heat.labels)
    columns = count if count < 4 else -(-count // 2)
    rows = -(-count // columns)
    high, wide = extent(scan)[-2:]
    side = 7.0 if count == 1 else 4.2
    tall = side * float(np.clip(high / wide, 0.3, 1.6))
    size = (max(columns * side + 1.0, 8.0), rows * (tall + 0.5) + 0.6)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    drawn = list(grid.flat)
    for axes, label, values in zip(drawn, heat.labels, heat.values, strict=False):
        _panel(axes, scan, heat, image, values if values.ndim == 2 else values[0])
        for peak in [peak for peak in peaks if peak.label == label][:MAX_PANEL_PEAKS]:
            _outline(axes, peak)
        axes.set_title(_short(label), loc="left", fontsize=10, parse_math=False)
    for axes in drawn[count:]:
        axes.remove()
    for axes in drawn[max(0, count - columns) : count]:  # the lowest that is left of each column
        axes.tick_params(labelbottom=True)
    figure.supxlabel("pixels", fontsize=8)
    scale = heat.scale
    figure.colorbar(
        ScalarMappable(Normalize(scale.low, scale.high), "inferno"),
        ax=drawn[:count],
        label=f"{scan.measure}, {scale.words}",
        extend="both" if scale.ends_within else "neither",
        pad=0.02,
        aspect=30,
    )
    return figure


def _panel(axes: Axes, scan: Scan, heat: Heat, image: Any, values: npt.NDArray[Any]) -> None:
    high, wide = extent(scan)[-2:]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(0, wide, high, 0))
    y, x = (edges(scan, axis, heat.factor[axis]) for axis in (-2, -1))
    axes.pcolorfast(x, y, colours(values, heat.scale))
    axes.set(xlim=(0, wide), ylim=(high, 0), aspect="equal")
    axes.tick_params(labelsize=8)


def _outline(axes: Axes, peak: Peak) -> None:
    """Draw the box of a peak, light on dark, so that it shows everywhere."""
    from matplotlib.patches import Rectangle

    (top, bottom), (left, right) = peak.box[-2:]
    for colour, width in (("black", 2.5), ("white", 1.2)):
        size = right - left, bottom - top
        axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=colour, linewidth=width))


# Recordings -------------------------------------------------------------------------------------


def _lines(scan: Scan, heat: Heat, overview: npt.NDArray[Any]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    (size,) = extent(scan)
    _waveform(above, overview, size)
    at = _centres(scan, heat)
    lines = [
        below.plot(places, values, linewidth=1.4)[0]
        for places, values in zip(at, heat.values, strict=True)
    ]
    below.set_xlim(0, size)
    below.set_xlabel("samples", fontsize=8)
    below.set_ylabel(scan.measure, fontsize=8)
    legend = below.legend(
        lines,
        [str(k) for k, _ in enumerate(lines)],
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
    )
    for text, label in zip(legend.get_texts(), heat.labels, strict=True):
        text.set_parse_math(False)
        text.set_text(_short(label))  # only here: a legend leaves out names like "_speech"
    for axes in (above, below):
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _waveform(axes: Axes, overview: npt.NDArray[Any], size: float) -> None:
    """Draw between the lowest and the highest of all channels in each of some 2000 parts."""
    step = -(-overview.shape[1] // MAX_LINE_CELLS)
    starts = np.arange(0, overview.shape[1], step)
    low = np.minimum.reduceat(overview.min(axis=0), starts)
    high = np.maximum.reduceat(overview.max(axis=0), starts)
    middle = (starts + step / 2) * size / overview.shape[1]
    axes.fill_between(middle, low, high, color="0.55", linewidth=0.8)
    axes.set_ylabel("signal", fontsize=8)


def _centres(scan: Scan, heat: Heat) -> npt.NDArray[np.float64]:
    """Return the centre of each block's strongest window."""
    cells = np.arange(heat.values.shape[1]) * heat.factor[0] + heat.offsets
    return np.asarray((cells * scan.stride[0] + scan.window[0] / 2) / scan.scale)


def _short(label: str) -> str:
    return label if len(label) <= 40 else f"{label[:39]}…"
