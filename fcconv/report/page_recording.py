"""The part of a page that shows a recording: lines of scores below the signal, and its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.report.colours import COLOURS
from fcconv.report.lines import envelope
from fcconv.report.page_data import MAX_CLASS_PEAKS, class_data, class_peaks, in_base64, map_data
from fcconv.report.picture import Heat, extent
from fcconv.report.places import is_clock, known_places
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

MAX_PARTS = 2**16
"""Most parts of the signal on a page, of each of which it knows the lowest and the highest."""


def recording_parts(
    scan: Scan, heat: Heat, overview: npt.NDArray[Any], peaks: Sequence[Peak]
) -> dict[str, Any]:
    """Gather what the template of a recording needs."""
    low, high = _range(heat)
    known = known_places(scan)
    return {
        "channels": len(overview),
        "data": {
            **map_data(scan, heat),
            "low": low,
            "high": high,
            "clock": known is not None and is_clock(known, extent(scan)[0]),
            "signal": in_base64(_signal(overview).tobytes()),
            "colours": [f"rgb{colour}" for colour in COLOURS],
            "classes": [
                told | _events(class_peaks(peaks, told["name"])) for told in class_data(heat)
            ],
        },
    }


def _range(heat: Heat) -> tuple[float, float]:
    """Return the ends of the axis of scores: 0 and 1 for probabilities, else what is shown."""
    finite = heat.values[np.isfinite(heat.values)]
    if not heat.scale.ends_within or not finite.size:
        return heat.scale.low, heat.scale.high
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if low < high else (heat.scale.low, heat.scale.high)


def _signal(overview: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the lowest and the highest of each part, from 0 to 255 of the whole range."""
    low, high, _ = envelope(overview.astype(np.float32), MAX_PARTS)
    ends = np.stack([low, high], axis=-1)
    finite = ends[np.isfinite(ends)]
    bottom, top = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if bottom == top:
        bottom, top = bottom - 1, top + 1
    middle = (bottom + top) / 2
    place = (np.nan_to_num(ends, nan=middle, posinf=top, neginf=bottom) - bottom) / (top - bottom)
    return np.asarray(np.rint(place * 255), np.uint8)


def _events(peaks: Sequence[Peak]) -> dict[str, Any]:
    """Gather the strongest peaks of a class: cell, begin, length and score."""
    events = [
        (peak.cell[0], begin, end - begin, peak.score)
        for peak, (begin, end) in ((peak, peak.box[0]) for peak in peaks[:MAX_CLASS_PEAKS])
    ]
    return {"events": events, "found": len(peaks)}
