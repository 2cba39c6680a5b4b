"""The page of a scan: one HTML file to explore its scores with, and what is known of them."""

from __future__ import annotations

import base64
import io
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
from fcconv.report.files import write_whole
from fcconv.report.picture import (
    Heat,
    apart,
    edges,
    extent,
    in_no_window,
    palette,
    read_heat,
    scoring,
    times,
)
from fcconv.report.pixels import rgb
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

MAX_CLASSES = 12
"""Most classes on the page."""

MAX_CLASS_CELLS = 300 * 300
"""Most scores of a class: more than a screen shows well."""

MAX_SCORE_BYTES = 3_100_000
"""Bytes of all scores on the page, 4/3 of which are written; the image takes up to 2 MB more."""

IMAGE_SIDE = 1600
"""Most pixels of the image along a side."""

MAX_CLASS_PEAKS = 100
"""Most peaks of a class that are outlined."""

LARGEST_PNG = 400_000
"""Bytes above which the image is written as JPEG."""


def write_page(
    path: str | os.PathLike[str],
    scan: Scan,
    overview: npt.NDArray[Any],
    certificate: Certificate | None,
    layers: Sequence[Layer],
    peaks: Sequence[Peak] = (),
) -> None:
    """Write a page that needs no other file and no network: heatmaps, facts, certificate, layers.

    Of many classes the twelve with the highest scores are on it, of many windows the strongest of
    each block; the page says so.

    Parameters
    ----------
    path : path
        Where it goes.
    scan : Scan
        The scan of a picture; its scores may be larger than memory. Of a batch the first image is
        shown.
    overview : array, shape (C, h, w)
        The whole image in any size.
    certificate : Certificate, optional
        What is proved of the network.
    layers : sequence of Layer
        The dense layers that became convolutions.
    peaks : sequence of Peak, optional
        Windows to outline where their class is shown, the 100 strongest of it.

    Raises
    ------
    ArgumentError
        If the scan, the certificate, a layer or a peak is none.
    ShapeError
        If the scan is not of a picture.
    OutputError
        If it can't be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if len(check_type(scan, Scan, "scan").size) != 2:
        raise ShapeError(f"a page shows a scan along two axes, this one has {len(scan.size)}")
    picture, listed = _data_uri(rgb(overview)), check_sequence(peaks, Peak, "peaks")
    if certificate is not None:
        check_type(certificate, Certificate, "certificate")
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    count = min(len(scan.labels), MAX_CLASSES)
    heat = read_heat(scan, None, MAX_CLASSES, (_shrink(scan.cells, count),) * 2)
    text = pages.get_template("page.html.j2").render(
        scan=scan,
        scored=_count(scan) - scan.outside - scan.unscored,
        heat=heat,
        extent=extent(scan),
        strongest=int(np.argmax(heat.highest)),
        coloured=len(overview) > 2,
        picture=picture,
        data=_data(scan, heat, listed),
        peaked=bool(listed),
        facts=_facts(scan),
        apart=apart(scan),
        scoring=scoring(scan),
        certificate=certificate,
        layers=check_sequence(layers, Layer, "layers"),
        times=times,
    )
    write_whole(path, text.encode())


def _count(scan: Scan) -> int:
    """Count the windows of all images."""
    return int(math.prod(scan.scores.shape)) // len(scan.labels)


def _shrink(cells: tuple[int, ...], classes: int) -> int:
    """Choose the side of blocks so that the scores fit on the page."""
    rows, columns = cells
    if rows * columns <= min(MAX_CLASS_CELLS, MAX_SCORE_BYTES // (4 * classes)):
        return 1
    most = min(MAX_CLASS_CELLS, MAX_SCORE_BYTES // (8 * classes))  # a score, and which cell has it
    side = max(2, math.isqrt(rows * columns // most))
    while -(-rows // side) * -(-columns // side) > most:
        side += 1
    return side


def _data(scan: Scan, heat: Heat, peaks: Sequence[Peak]) -> dict[str, Any]:
    """Gather what the page's script reads, in pixels of the picture and rows before columns."""
    side = heat.factor[0]
    classes = zip(heat.labels, heat.values, heat.offsets, strict=True)
    return {
        "size": extent(scan),
        "window": [n / scan.scale for n in scan.window],
        "stride": [n / scan.scale for n in scan.stride],
        "first": [float(edges(scan, axis, side)[0]) for axis in (0, 1)],
        "cells": scan.cells,
        "blocks": heat.values.shape[1:],
        "side": side,
        "low": heat.scale.low,
        "high": heat.scale.high,
        "palette": _base64(palette().tobytes()),
        "classes": [
            {
                "name": name,
                "scores": _base64(values.astype("<f4").tobytes()),
                "offsets": _base64(offsets.astype("<u4").tobytes()) if side > 1 else "",
                **_peaks([peak for peak in peaks if peak.label == name]),
            }
            for name, values, offsets in classes
        ],
    }


def _peaks(peaks: Sequence[Peak]) -> dict[str, Any]:
    """Gather the boxes of the strongest peaks of a class: top, left, height and width."""
    strongest = sorted(peaks, key=lambda peak: -peak.score)[:MAX_CLASS_PEAKS]
    boxes = [
        (top, left, bottom - top, right - left)
        for (top, bottom), (left, right) in (peak.box for peak in strongest)
    ]
    return {"peaks": boxes, "found": len(peaks)}


def _facts(scan: Scan) -> list[tuple[str, str]]:
    seconds = f"{scan.seconds:.3g} s" if scan.computed else "none: all were there"
    facts = [
        ("Image", f"{times(scan.size)} pixels, height x width"),
        ("Window", f"{times(scan.window)} pixels"),
        ("Stride", f"{times(scan.stride)} pixels"),
        ("Windows", f"{times(scan.cells)} = {math.prod(scan.cells):,}"),
        ("Scored", "each window by itself" if scan.windows == "crops" else "in shared passes"),
        ("Engine", scan.computed_by),
        *([("Probabilities", f"by {scan.activation}")] if scan.activation else []),
        ("Preparation", scan.preparation),
        ("Tiles", f"{scan.tiles:,}, of which this run computed {scan.computed:,}"),
        ("Time", seconds),
        *([("In no window", in_no_window(scan))] if any(scan.remainder) else []),
        *([("Not asked for", f"{scan.outside:,} windows")] if scan.outside else []),
        *(("Note", note) for note in scan.notes),
    ]
    if scan.scale != 1:
        facts.insert(1, ("Scale", f"{scan.scale:.4g} of the picture that boxes are about"))
    return facts


def _data_uri(image: npt.NDArray[np.uint8]) -> str:
    """Write an image into a link: as it is where that is short, else as JPEG."""
    from PIL import Image

    picture, content = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    picture.save(content, format="PNG", compress_level=1)  # takes a quarter of the time
    if content.tell() <= LARGEST_PNG:
        return f"data:image/png;base64,{_base64(content.getvalue())}"
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{_base64(content.getvalue())}"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
