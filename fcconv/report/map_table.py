"""Scores as a table: a line for each window."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np

from fcconv.images.blocks import blocks
from fcconv.report.files import COLUMNS, table_cell
from fcconv.scanning.result import Scan

LINES_AT_A_TIME = 2**16
"""Windows whose scores are read together."""


def write_table(path: Path, scan: Scan) -> None:
    """Write where each window begins, its size, and the scores of all classes."""
    scale, lead = scan.scale, scan.lead()
    turned = slice(None, None, -1) if len(scan.size) == 2 else slice(None)  # x before y
    size = [n / scale for n in scan.window][turned]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(map(table_cell, (*COLUMNS[len(scan.size)], *scan.labels)))
        for block in blocks(scan.cells, (1, *scan.cells[1:]), LINES_AT_A_TIME):  # whole rows
            scores = np.asarray(scan.scores[(*lead, slice(None), *block)])
            lines = scores.reshape(len(scores), -1).T.tolist()
            cells = itertools.product(*(range(part.start, part.stop) for part in block))
            for cell, line in zip(cells, lines, strict=True):
                starts = [i * s / scale for i, s in zip(cell, scan.stride, strict=True)][turned]
                table.writerow((*starts, *size, *line))
