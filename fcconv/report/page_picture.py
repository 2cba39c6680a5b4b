"""The part of a page that shows a picture: heatmaps over the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.report.page_data import (
    MAX_CLASS_PEAKS,
    class_data,
    class_peaks,
    image_uri,
    in_base64,
    map_data,
)
from fcconv.report.picture import Heat, extent, palette, stretch, stretched
from fcconv.report.pixels import Bytes, rgb
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import MOST_STRIP_PIXELS, Scan

IMAGE_SIDE = 1600
"""Most pixels of the image along a side; a strip has more along and fewer across."""


def picture_parts(
    scan: Scan, heat: Heat, overview: npt.NDArray[Any], peaks: Sequence[Peak]
) -> dict[str, Any]:
    """Gather what the template of a picture needs."""
    high, wide = extent(scan)
    down, right = stretch(scan)
    return {
        "ratio": wide / high,
        "strip": "wide" if down > 1 else "tall" if right > 1 else "",
        "stretched": stretched(scan),
        "coloured": len(overview) > 2,
        "picture": image_uri(_fitting(rgb(overview), down > 1 or right > 1)),
        "data": {
            **map_data(scan, heat),
            "low": heat.scale.low,
            "high": heat.scale.high,
            "palette": in_base64(palette().tobytes()),
            "classes": [
                told | _peaks(class_peaks(peaks, told["name"])) for told in class_data(heat)
            ],
        },
    }


def _fitting(image: Bytes, is_strip: bool) -> Bytes:
    """Make an image so small that a page can hold it."""
    from PIL import Image

    picture = Image.fromarray(image)
    if not is_strip:
        picture.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
        return np.asarray(picture)
    longest = min(MOST_STRIP_PIXELS, max(picture.size))
    across = min(IMAGE_SIDE * IMAGE_SIDE // MOST_STRIP_PIXELS, min(picture.size))
    down_first = picture.width < picture.height
    return np.asarray(picture.resize((across, longest) if down_first else (longest, across)))


def _peaks(peaks: Sequence[Peak]) -> dict[str, Any]:
    """Gather the boxes of the strongest peaks of a class: top, left, height and width."""
    boxes = [
        (top, left, bottom - top, right - left)
        for (top, bottom), (left, right) in (peak.box for peak in peaks[:MAX_CLASS_PEAKS])
    ]
    return {"peaks": boxes, "found": len(peaks)}
