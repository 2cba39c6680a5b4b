"""The page of a scan: one HTML file to explore its scores with, and what is known of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.arguments import check_sequence, check_type
from fcconv.certificate.report import Certificate
from fcconv.errors import ShapeError
from fcconv.graph.rules.layer import Layer
from fcconv.images.layouts import unit
from fcconv.report.files import write_whole
from fcconv.report.page_data import page_heat
from fcconv.report.page_picture import picture_parts
from fcconv.report.page_recording import recording_parts
from fcconv.report.picture import Heat, apart, extent, in_no_window, padding, scoring, times
from fcconv.report.pixels import check_overview
from fcconv.report.places import clock, is_clock, known_places, spacing_words
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

PAGES = {
    1: ("page_recording.html.j2", recording_parts),
    2: ("page_picture.html.j2", picture_parts),
}
"""Number of axes to the template of such a page, and what it needs."""


def write_page(
    path: str | os.PathLike[str],
    scan: Scan,
    overview: npt.NDArray[Any],
    certificate: Certificate | None,
    layers: Sequence[Layer],
    peaks: Sequence[Peak] = (),
) -> None:
    """Write a page that needs no other file and no network: scores, facts, certificate, layers.

    Of a picture it shows heatmaps over the image, of a recording lines below the signal, in units
    where :attr:`Scan.coordinates` are known. Of many classes the twelve with the highest scores are
    on it, of many windows the strongest of each block; the page says so.

    Parameters
    ----------
    path : path
        Where it goes.
    scan : Scan
        The scan of a picture or a recording; its scores may be larger than memory. Of a batch the
        first image is shown.
    overview : array, shape (C, *small)
        The whole image in any size.
    certificate : Certificate, optional
        What is proved of the network.
    layers : sequence of Layer
        The dense layers that became convolutions.
    peaks : sequence of Peak, optional
        Windows to outline where their class is shown, the 100 strongest of it; events of a
        recording. The class of the strongest is shown first.

    Raises
    ------
    ArgumentError
        If the scan, the certificate, a layer or a peak is something else.
    ShapeError
        If the scan is of a volume, or the overview has another number of axes.
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
    ...     write_page(f"{folder}/page.html", found, found.overview(), None, found.layers)
    ...     Path(f"{folder}/page.html").read_text(encoding="utf-8")[:15]
    '<!DOCTYPE html>'
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    rank = len(check_type(scan, Scan, "scan").size)
    if rank not in PAGES:
        raise ShapeError(f"a page shows a scan along one or two axes, this one has {rank}")
    check_overview(overview, rank)
    listed = check_sequence(peaks, Peak, "peaks")
    if certificate is not None:
        check_type(certificate, Certificate, "certificate")
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template, parts = PAGES[rank]
    heat = page_heat(scan)
    text = pages.get_template(template).render(
        **parts(scan, heat, overview, listed),
        scan=scan,
        title=_title(scan),
        scored=_count(scan) - scan.outside - scan.unscored,
        heat=heat,
        first=_first_class(heat, listed),
        peaked=bool(listed),
        padding=padding(scan),
        facts=_facts(scan),
        apart=apart(scan),
        scoring=scoring(scan),
        certificate=certificate,
        layers=check_sequence(layers, Layer, "layers"),
        times=times,
    )
    write_whole(path, text.encode())


def _first_class(heat: Heat, peaks: Sequence[Peak]) -> int:
    """Choose the class that is shown first: that of the strongest peak, else the highest score.

    Where scores are probabilities, the highest of all mostly is that of a background.
    """
    shown = [peak for peak in peaks if peak.label in heat.labels]
    if shown:
        return heat.labels.index(max(shown, key=lambda peak: peak.score).label)
    return int(np.argmax(heat.highest))


def _count(scan: Scan) -> int:
    """Count the windows of all images."""
    return int(math.prod(scan.scores.shape)) // len(scan.labels)


def _title(scan: Scan) -> str:
    """Say how large the image is, a long recording in time."""
    return _duration(scan) or f"{times(scan.size)} {unit(len(scan.size))}"


def _duration(scan: Scan) -> str:
    """Return hours, minutes and seconds of a recording, where they are known."""
    known, (size, *_) = known_places(scan), extent(scan)
    if known is None or len(scan.size) > 1 or not is_clock(known, size):
        return ""
    return clock(size * known.spacing[0])


def _size(scan: Scan) -> tuple[str, str]:
    """Say what was scanned, and its size."""
    if len(scan.size) == 2:
        return "Image", f"{times(scan.size)} pixels, height x width"
    return "Recording", ", ".join(filter(None, [f"{times(scan.size)} samples", _duration(scan)]))


def _facts(scan: Scan) -> list[tuple[str, str]]:
    seconds = f"{scan.seconds:.3g} s" if scan.computed else "none: all were there"
    what, known = unit(len(scan.size)), known_places(scan)
    count, cells = f"{math.prod(scan.cells):,}", times(scan.cells)
    facts = [
        _size(scan),
        *([("Spacing", f"{spacing_words(known)} from one to the next")] if known else []),
        ("Window", f"{times(scan.window)} {what}"),
        ("Stride", f"{times(scan.stride)} {what}"),
        ("Windows", count if len(scan.cells) == 1 else f"{cells} = {count}"),
        ("Scored", "each window by itself" if scan.windows == "crops" else "in shared passes"),
        ("Engine", scan.computed_by),
        *([("Probabilities", f"by {scan.activation}")] if scan.activation else []),
        ("Preparation", scan.preparation),
        ("Tiles", f"{scan.tiles:,}, of which this run computed {scan.computed:,}"),
        ("Time", seconds),
        *([("In no window", in_no_window(scan))] if any(scan.remainder) else []),
        *([("Padding", padding(scan))] if padding(scan) else []),
        *([("Not asked for", f"{scan.outside:,} windows")] if scan.outside else []),
        *(("Note", note) for note in scan.notes),
    ]
    if scan.scale != 1:
        facts.insert(1, ("Scale", f"{scan.scale:.4g} of the picture that boxes are about"))
    return facts
