"""What ``fcconv scan`` prints of what it found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.table import Table

from fcconv.cli.output import results
from fcconv.images.layouts import unit
from fcconv.remote import Place
from fcconv.report.blocks import ranges
from fcconv.report.picture import in_no_window, times
from fcconv.report.units import heading, in_units, in_words, sizes_in_words
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan

SHOWN_PEAKS = 10

ORDERS = {1: "", 2: ", rows x columns"}
"""Which axis comes first in a box, as units beside it begin with x."""

SCORED = {
    "shared": "in one pass that they share",
    "exact": "in one pass that they share, each as its crop",
    "crops": "each cut out",
}
"""How windows were scored, in words."""


class Peaks(NamedTuple):
    """The strongest peaks.

    Attributes
    ----------
    listed : list of Peak
        They themselves.
    cut : bool
        Whether weaker ones were left out.
    lowest : float
        The lowest score of a peak.
    only : tuple of str
        The classes that were looked at; empty for all.
    """

    listed: list[Peak]
    cut: bool
    lowest: float
    only: tuple[str, ...]


def facts(scans: Sequence[Scan], peaks: Sequence[Peaks]) -> dict[str, Any]:
    """Say what was found, for JSON; peaks are null where they were not looked for.

    Those of a batch say in which image they are.
    """
    told: dict[str, Any] = {"scans": list(map(_facts, scans)), "peaks": None}
    if peaks:
        placed = scans[0].coordinates
        told["peaks"] = [
            {
                **asdict(peak),
                "coordinates": in_units(placed, peak.box) or None,
                **({"image": number} if scans[0].lead() else {}),
            }
            for number, peak in _together(peaks)
        ]
        told["weaker_left_out"] = any(found.cut for found in peaks)
    return told


def _together(peaks: Sequence[Peaks]) -> list[tuple[int, Peak]]:
    """List the peaks of all images, each with the number of its image."""
    return [(number, peak) for number, found in enumerate(peaks) for peak in found.listed]


def _facts(found: Scan) -> dict[str, Any]:
    names = (
        *("size", "window", "stride", "windows", "exact", "reasons", "engine", "preparation"),
        *("labels", "activation", "pad", "remainder", "tiles", "computed", "seconds", "unscored"),
        *("padding", "outside", "scale", "notes", "providers", "device", "part"),
    )
    shapes = {name: list(scores.shape) for name, scores in found.outputs.items()}
    return {
        **{name: getattr(found, name) for name in names},
        "cells": found.cells,
        "outputs": shapes,
        "coordinates": None if found.coordinates is None else found.coordinates.told(),
        "audit": None if found.audit is None else asdict(found.audit),
    }


def show(scans: Sequence[Scan], peaks: Sequence[Peaks], written: Sequence[Place | None]) -> None:
    """Print what was found, and which files were written."""
    console = results()
    for found in scans:
        console.print(_table(found))
    if any(found.listed for found in peaks):
        console.print(_strongest(peaks, scans[0]))
    elif peaks:
        console.print(_none(scans, peaks[0]), soft_wrap=True)
    for path in written:
        if path is not None:
            console.print(f"Written: {path}", soft_wrap=True)
    if scans[0].part is not None:
        console.print(
            "When all parts are done, the same command with --resume in place of --part finishes "
            "the scan",
            soft_wrap=True,
        )


def _none(scans: Sequence[Scan], peaks: Peaks) -> str:
    """Say that there are no peaks, and how far the highest score is from one."""
    classes = f" for {', '.join(peaks.only)}" if peaks.only else ""
    said = f"No peaks: no window scores {peaks.lowest:g} or more{classes} (--threshold)"
    if scans[0].lead():  # of a batch each image would have its own
        return said
    best = max(highest(scan, peaks.only) for scan in scans)
    return f"{said}; the highest is {best:.4g}" if math.isfinite(best) else said


def highest(scan: Scan, only: Sequence[str] = ()) -> float:
    """Return the highest finite score of some classes, or of all; of a batch that of its first."""
    chosen = [k for k, name in enumerate(scan.labels) if not only or name in only]
    return float(ranges(scan.scores, scan.lead())[1][chosen].max())


def _table(found: Scan) -> Table:
    title = "Scan" if found.part is None else f"Part {found.part[0]} of {found.part[1]} of a scan"
    table = Table(title=title, title_justify="left", show_header=False)
    cells, what = times(found.cells), unit(len(found.size))
    count = f"{found.scores.shape[0]} images of a batch, each " if found.lead() else ""
    rows = {
        "recording" if len(found.size) == 1 else "image": f"{count}{times(found.size)} {what}"
        + ("" if found.scale == 1 else f", at {found.scale:.4g} times its size")
        + _placed(found, found.size),
        f"{what} before the network": found.preparation,
        "windows": f"{cells} of {times(found.window)} {what}{_placed(found, found.window)}, "
        f"{times(found.stride)} apart{_placed(found, found.stride)}",
        "scored": SCORED[found.windows],
        "every score equals its crop's": "yes" if found.exact else "no",
        "without a score": f"{found.unscored:,} windows, in which {what} have no value"
        if found.unscored
        else "none",
        **({"in no window": in_no_window(found)} if any(found.remainder) else {}),
        **({"outside": f"{found.outside:,} windows, not asked for"} if found.outside else {}),
        "engine": found.computed_by,
        "tiles": f"{found.tiles}, {found.computed} of them in this run",
    }
    if found.computed:
        rows["time"] = f"{found.seconds:.2f} s"
    for name, value in rows.items():
        table.add_row(name, value)
    if found.activation is not None:
        table.add_row("probabilities", f"by {found.activation}")
    for note in found.notes:
        table.add_row("note", note)
    for name, value in () if found.audit is None else found.audit.lines():
        table.add_row(f"against crops, {name}", value)
    for reason in () if found.exact else found.reasons:
        table.add_row("because", reason)
    return table


def _strongest(peaks: Sequence[Peaks], scan: Scan) -> Table:
    listed, batched = _together(peaks), bool(scan.lead())
    listed.sort(key=lambda of_image: -of_image[1].score)  # those of one image are already
    title = f"Peaks from {peaks[0].lowest:g} on: {len(listed)}"
    if any(found.cut for found in peaks):
        title += ", weaker ones left out (a higher --threshold shows all that it asks for)"
    if len(listed) > SHOWN_PEAKS:
        title += f", the strongest {SHOWN_PEAKS}"
    table = Table(title=title, title_justify="left")
    image, placed = ["image"] if batched else [], scan.coordinates
    units = [] if placed is None else [heading(placed)]
    rank = len(scan.size)
    boxes = unit(rank) + ORDERS.get(rank, " along each axis")
    for column in (*image, "class", "score", boxes, *units):
        table.add_column(column)
    for number, peak in listed[:SHOWN_PEAKS]:
        box = " x ".join(f"{start:.0f} to {stop:.0f}" for start, stop in peak.box)
        where = [] if placed is None else [in_words(placed, peak.box)]
        which = [str(number)] if batched else []
        table.add_row(*which, peak.label, f"{peak.score:.3g}", box, *where)
    return table


def _placed(found: Scan, sizes: Sequence[int]) -> str:
    """Say how long pixels of what was scanned are in the world, if that is known."""
    return sizes_in_words(found.coordinates, [n / found.scale for n in sizes])
