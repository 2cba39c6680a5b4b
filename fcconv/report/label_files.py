"""Peaks of a recording as labels of Audacity and selections of Raven, in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fcconv.images.coordinates import Coordinates
from fcconv.report.files import table_cell
from fcconv.scanning.peaks import Peak

RAVEN = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
    *("Low Freq (Hz)", "High Freq (Hz)", "Annotation", "Score"),
)
"""Columns of a selection table; Raven takes those after the frequencies for annotations."""


def audacity(peaks: Sequence[Peak], _rank: int, coordinates: Coordinates | None) -> str:
    """Return a label track: begin, end and class of each peak."""
    return "".join(
        f"{begin}\t{end}\t{_one_line(peak.label)}\n"
        for peak, begin, end in _in_seconds(peaks, coordinates)
    )


def raven(peaks: Sequence[Peak], _rank: int, coordinates: Coordinates | None) -> str:
    """Return a selection table; each peak goes over all frequencies that a sample rate can hold."""
    lines = ["\t".join(RAVEN)]
    for number, (peak, begin, end) in enumerate(_in_seconds(peaks, coordinates), 1):
        assert coordinates is not None
        highest = f"{0.5 / coordinates.spacing[0]:.12g}"
        label = table_cell(_one_line(peak.label))  # spreadsheets open these tables, too
        cells = (number, "Spectrogram 1", 1, begin, end, 0, highest, label, peak.score)
        lines.append("\t".join(map(str, cells)))
    return "\n".join(lines) + "\n"


def _in_seconds(
    peaks: Sequence[Peak], coordinates: Coordinates | None
) -> Iterator[tuple[Peak, str, str]]:
    """Give each peak with its begin and end."""
    assert coordinates is not None  # these formats ask for seconds
    for peak in peaks:
        begin, end = (f"{coordinates.at([place])[0]:.6f}" for place in peak.box[0])
        yield peak, begin, end


def _one_line(label: str) -> str:
    return " ".join(label.split())
