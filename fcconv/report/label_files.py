"""Peaks of a recording as labels of Audacity and selections of Raven, in seconds."""

from __future__ import annotations

from collections.abc import Iterator

from fcconv.report.files import table_cell
from fcconv.report.peak_list import Listed
from fcconv.scanning.peaks import Peak

RAVEN = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
    *("Low Freq (Hz)", "High Freq (Hz)", "Annotation", "Score"),
)
"""Columns of a selection table; Raven takes those after the frequencies for annotations."""


def audacity(listed: Listed) -> Iterator[str]:
    """Yield the lines of a label track: begin, end and class of each peak."""
    for peak, begin, end in _in_seconds(listed):
        yield f"{begin}\t{end}\t{_one_line(peak.label)}\n"


def raven(listed: Listed) -> Iterator[str]:
    """Yield the lines of a selection table, in which peaks go over all frequencies that there are.

    A sample rate can hold frequencies up to its half.
    """
    yield "\t".join(RAVEN) + "\n"
    for number, (peak, begin, end) in enumerate(_in_seconds(listed), 1):
        assert listed.coordinates is not None
        highest = f"{0.5 / listed.coordinates.spacing[0]:.12g}"
        label = table_cell(_one_line(peak.label))  # spreadsheets open these tables, too
        cells = (number, "Spectrogram 1", 1, begin, end, 0, highest, label, peak.score)
        yield "\t".join(map(str, cells)) + "\n"


def _in_seconds(listed: Listed) -> Iterator[tuple[Peak, str, str]]:
    """Give each peak with its begin and end, as they follow each other in time."""
    assert listed.coordinates is not None  # these formats ask for seconds
    for peak in sorted(listed.peaks, key=lambda peak: peak.box[0]):
        begin, end = (f"{listed.coordinates.at([place])[0]:.6f}" for place in peak.box[0])
        yield peak, begin, end


def _one_line(label: str) -> str:
    return " ".join(label.split())
