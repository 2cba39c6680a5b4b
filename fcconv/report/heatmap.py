"""The heatmap of a scan as a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from fcconv.arguments import check_sequence, check_type
from fcconv.report.blocks import block_factors
from fcconv.report.files import write_whole
from fcconv.report.lines import draw_lines
from fcconv.report.panels import draw_panels
from fcconv.report.picture import (
    Heat,
    apart,
    padding,
    read_heat,
    scoring,
    stretched,
    times,
)
from fcconv.report.pixels import check_overview
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 6
"""Most classes drawn."""

MAX_PANEL_CELLS = 1000
"""Most cells along an axis of a panel, more than a panel has pixels."""

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

    Of a picture it shows a panel for each class, with the boxes of its peaks and a scale bar, of
    a recording a line for each class below the signal, by time, of a volume the maximum along the
    first axis. What is in units needs :attr:`Scan.coordinates`. Windows that reach into padding lie
    beyond a dashed line. Of many classes the six with the highest scores are drawn, of many windows
    the strongest of each block, and a strip is drawn wider than it is; the title says so.

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
        Windows to outline, those of a class in its panel, the 20 strongest of them; of a recording
        the 100 strongest are marked on its line.

    Raises
    ------
    ArgumentError
        If there is no such label.
    ShapeError
        If the overview has another number of axes.
    OutputError
        If it can't be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> found = fcconv.scan(load_faces(), np.zeros((1, 28, 31), np.float32), engine="numpy")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_heatmap(f"{folder}/heat.png", found, found.overview())
    ...     Path(f"{folder}/heat.png").read_bytes()[1:4]
    b'PNG'
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
    flat = scan.cells[-2:]
    factor = (*scan.cells[:-2], *block_factors(flat, -(-max(flat) // most)))
    heat = read_heat(scan, labels, MAX_PANELS, factor)
    if rank == 1:
        figure = draw_lines(scan, heat, overview, listed)
    else:
        figure = draw_panels(scan, heat, overview, listed)
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
    if max(heat.factor[-2:]) > 1:
        shown.append(f"the strongest of each {times(heat.factor[-2:])} windows")
    if stretched(scan):
        shown.append(stretched(scan))
    if shown:
        lines.append(f"Shown: {'; '.join(shown)}")
    if padding(scan):
        lines.append(f"Beyond the dashed line: {padding(scan)}")
    if scan.outside:
        lines.append(f"Clear: {scan.outside:,} windows that were not asked for")
    return lines
