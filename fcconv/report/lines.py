"""Heatmaps of recordings: lines of scores below the signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fcconv.report.picture import Heat, extent, padded_from, short
from fcconv.report.places import clock, is_clock, known_places, time_step
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PARTS = 2000
"""Most parts that a signal is drawn in."""

MAX_LINE_PEAKS = 100
"""Most peaks of a class that are marked."""

MAX_TICKS = 10
"""Most ticks of an axis of hours, minutes and seconds."""


def draw_lines(
    scan: Scan, heat: Heat, overview: npt.NDArray[Any], peaks: Sequence[Peak] = ()
) -> Figure:
    """Draw a line for each class, by samples or by time where that is known."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    (size,) = extent(scan)
    low, high, middle = envelope(overview, MAX_PARTS)
    above.fill_between(_along(scan, middle * size), low, high, color="0.55", linewidth=0.8)
    above.set_ylabel("signal", fontsize=8)
    lines = [
        below.plot(_along(scan, places), values, linewidth=1.4)[0]
        for places, values in zip(centres(scan, heat), heat.values, strict=True)
    ]
    for line, label in zip(lines, heat.labels, strict=True):
        marked = [peak for peak in peaks if peak.label == label][:MAX_LINE_PEAKS]
        at = np.array([sum(peak.box[0]) / 2 for peak in marked])
        scores = [peak.score for peak in marked]
        below.scatter(_along(scan, at), scores, marker="v", color=line.get_color(), zorder=3)
    below.set_xlim(*_along(scan, np.array([0.0, size])))
    below.set_ylabel(scan.measure, fontsize=8)
    _name_places(below, scan, size)
    _mark_padded(below, scan)
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
        text.set_text(short(label))  # only here: a legend leaves out names like "_speech"
    for axes in (above, below):
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def envelope(
    overview: npt.NDArray[Any], most: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return the lowest and the highest of all channels in equal parts, and where these lie.

    Parameters
    ----------
    overview : array, shape (C, n)
        The whole recording.
    most : int
        Parts, at most.

    Returns
    -------
    low, high : array, shape (parts,)
        NaN is left out, unless a part holds nothing else.
    middle : array, shape (parts,)
        The middle of each part, in parts of the recording.
    """
    count = overview.shape[1]
    step = -(-count // most)
    starts = np.arange(0, count, step)
    low = np.fmin.reduceat(np.fmin.reduce(overview, axis=0), starts)
    high = np.fmax.reduceat(np.fmax.reduce(overview, axis=0), starts)
    return low, high, (starts + step / 2) / count


def centres(scan: Scan, heat: Heat) -> npt.NDArray[np.float64]:
    """Return the centre of each block's strongest window, in samples."""
    cells = np.arange(heat.values.shape[1]) * heat.factor[0] + heat.offsets
    return np.asarray((cells * scan.stride[0] + scan.window[0] / 2) / scan.scale)


def _along(scan: Scan, samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return places in units of the recording, where these are known."""
    known = known_places(scan)
    if known is None:
        return samples
    slope, first = known.matrix[0]
    return samples * slope + first


def _name_places(axes: Axes, scan: Scan, size: float) -> None:
    """Say what the axis counts."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    known = known_places(scan)
    if known is None:
        axes.set_xlabel("samples", fontsize=8)
    elif is_clock(known, size):
        axes.xaxis.set_major_locator(MultipleLocator(time_step(size * known.spacing[0], MAX_TICKS)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
        axes.set_xlabel(f"{known.names[0]}, h:mm:ss", fontsize=8)
    else:
        axes.set_xlabel(f"{known.names[0]}, {known.unit}", fontsize=8)


def _mark_padded(axes: Axes, scan: Scan) -> None:
    """Draw a dashed line where the cells begin whose windows reach into padding."""
    begin, end = padded_from(scan, 0)
    if begin < end:
        at, stop = _along(scan, np.array([begin, end]))
        axes.axvspan(at, stop, facecolor="none", edgecolor="0.6", hatch="////", linewidth=0)
        axes.axvline(at, color="0.3", linewidth=1.2, linestyle=(0, (4, 3)))
