"""Scores as a table: a line for each window."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np

from fcconv.images.blocks import blocks
from fcconv.report.files import COLUMNS, table_cell
from fcconv.report.units import unit_columns, unit_rows
from fcconv.scanning.result import Scan

LINES_AT_A_TIME = 2**16
"""Windows whose scores are read together."""


def write_table(path: Path, scan: Scan) -> None:
    """Write where each window begins, its size, in pixels and in units, and its scores."""
    scale, lead, rank = scan.scale, scan.lead(), len(scan.size)
    turned = slice(None, None, -1) if rank == 2 else slice(None)  # x before y
    size = [n / scale for n in scan.window]
    head = (*COLUMNS[rank], *unit_columns(scan.coordinates, rank), *scan.labels)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(map(table_cell, head))
        for block in blocks(scan.cells, (1, *scan.cells[1:]), LINES_AT_A_TIME):  # whole rows
            scores = np.asarray(scan.scores[(*lead, slice(None), *block)])
            lines = scores.reshape(len(scores), -1).T.tolist()
            cells = itertools.product(*(range(part.start, part.stop) for part in block))
            starts = [[i * s / scale for i, s in zip(k, scan.stride, strict=True)] for k in cells]
            units = unit_rows(scan.coordinates, starts, size)
            for start, placed, line in zip(starts, units, lines, strict=True):
                table.writerow((*start[turned], *size[turned], *placed, *line))
