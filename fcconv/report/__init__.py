"""Reports: what a scan found, as a picture, as a page to explore, and as files of peaks."""

from fcconv.report.files import write_peaks
from fcconv.report.heatmap import write_heatmap
from fcconv.report.page import write_page

__all__ = ["write_heatmap", "write_page", "write_peaks"]
