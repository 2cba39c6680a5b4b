"""What the script of a page reads of a scan: scores in blocks, and where they lie."""

from __future__ import annotations

import base64
import bisect
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.report.blocks import block_factors
from fcconv.report.picture import Heat, edges, extent, read_heat
from fcconv.report.places import known_places, ladder
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

MAX_CLASSES = 12
"""Most classes on the page."""

MAX_CLASS_CELLS = 300 * 300
"""Most scores of a class: more than a screen shows well."""

MAX_SCORE_BYTES = 3_100_000
"""Bytes of all scores on the page, 4/3 of which are written; the image takes up to 2 MB more."""

MAX_CANVAS = 16_384
"""Blocks along an axis, at most: what browsers draw in one piece."""

MAX_CLASS_PEAKS = 100
"""Most peaks of a class that are shown."""

LARGEST_PNG = 400_000
"""Bytes above which an image is written as JPEG."""


def page_heat(scan: Scan) -> Heat:
    """Read the classes that a page shows, in blocks that fit on it."""
    count = min(len(scan.labels), MAX_CLASSES)
    side = block_side(scan.cells, count)
    return read_heat(scan, None, MAX_CLASSES, block_factors(scan.cells, side))


def block_side(cells: tuple[int, ...], classes: int) -> int:
    """Choose the cells of a block along the longest axis: the fewest that fit on the page."""

    def fits(side: int) -> bool:
        blocks = [-(-n // f) for n, f in zip(cells, block_factors(cells, side), strict=True)]
        each = 4 if side == 1 else 8  # bytes of a score, and of which cell has it
        most = min(MAX_CLASS_CELLS, MAX_SCORE_BYTES // (each * classes))
        in_one_piece = len(cells) == 1 or max(blocks) <= MAX_CANVAS
        return math.prod(blocks) <= most and in_one_piece

    return 1 if fits(1) else 2 + bisect.bisect_left(range(2, max(cells)), True, key=fits)


def map_data(scan: Scan, heat: Heat) -> dict[str, Any]:
    """Gather where scores lie, in pixels of the picture and rows before columns."""
    return {
        "size": extent(scan),
        "window": [n / scan.scale for n in scan.window],
        "stride": [n / scan.scale for n in scan.stride],
        "first": [float(edges(scan, axis, scan.cells[axis])[0]) for axis in range(len(scan.size))],
        "cells": scan.cells,
        "unpadded": scan.unpadded,
        "blocks": heat.values.shape[1:],
        "factor": heat.factor,
        "coordinates": _coordinates(scan),
    }


def class_data(heat: Heat) -> list[dict[str, Any]]:
    """Gather name and scores of each class."""
    is_cell = max(heat.factor) == 1
    return [
        {
            "name": name,
            "scores": in_base64(values.astype("<f4").tobytes()),
            "offsets": "" if is_cell else in_base64(offsets.astype("<u4").tobytes()),
        }
        for name, values, offsets in zip(heat.labels, heat.values, heat.offsets, strict=True)
    ]


def class_peaks(peaks: Sequence[Peak], name: str) -> list[Peak]:
    """Return the peaks of a class, the strongest first."""
    return sorted((peak for peak in peaks if peak.label == name), key=lambda peak: -peak.score)


def _coordinates(scan: Scan) -> dict[str, Any] | None:
    known = known_places(scan)
    if known is None:
        return None
    return {
        "names": known.names,
        "unit": known.unit,
        "matrix": known.matrix,
        "spacing": known.spacing,
        "ladder": list(ladder(known.unit).items()),
    }


def image_uri(image: npt.NDArray[np.uint8]) -> str:
    """Write an image into a link: as it is where that is short, else as JPEG."""
    from PIL import Image

    picture, content = Image.fromarray(image), io.BytesIO()
    picture.save(content, format="PNG", compress_level=1)  # takes a quarter of the time
    if content.tell() <= LARGEST_PNG:
        return f"data:image/png;base64,{in_base64(content.getvalue())}"
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{in_base64(content.getvalue())}"


def in_base64(content: bytes) -> str:
    """Write bytes as text."""
    return base64.b64encode(content).decode()
