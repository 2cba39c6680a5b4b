"""What is written of a scan: its heatmap, a page to explore, its peaks and its scores as files."""

from fcconv.report.heatmap import write_heatmap
from fcconv.report.maps import write_map
from fcconv.report.page import write_page
from fcconv.report.peak_files import write_peaks

__all__ = ["write_heatmap", "write_map", "write_page", "write_peaks"]
