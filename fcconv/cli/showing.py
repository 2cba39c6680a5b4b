"""``fcconv show``: scans are opened again, and what is wanted of them is made."""

from __future__ import annotations

from collections.abc import Sequence

import click

from fcconv.cli.wanted import Wanted, deliver
from fcconv.remote import Place
from fcconv.scanning.result import Scan
from fcconv.scanning.saved import open_scan

ALIKE = ("labels", "window", "stride", "windows", "activation", "preparation")
"""What scans of one image in several sizes have in common."""


def show_again(scores: Sequence[Place], image: Place | None, wanted: Wanted) -> int:
    """Open the scans of one image, and print and write what is asked for."""
    wanted.check_files([*scores, *([] if image is None else [image])])
    for option, path in (("--heatmap", wanted.heatmap), ("--report", wanted.report)):
        if path is not None and image is None:
            raise click.UsageError(f"{option} draws scores over what was scanned: give --image")
    scans = [open_scan(path, image) for path in scores]
    _check_alike(scores, scans)
    rank = len(scans[0].size)
    wanted.check_classes(scans[0].labels, rank)
    wanted.check_places(rank, scans[0].coordinates)
    deliver(wanted, scans, ())
    return 0


def _check_alike(scores: Sequence[Place], scans: Sequence[Scan]) -> None:
    """Check that scans are of one image in several sizes, by one network."""
    first, *others = scans
    for path, scan in zip(scores[1:], others, strict=True):
        is_alike = all(getattr(scan, name) == getattr(first, name) for name in ALIKE)
        if not is_alike or scan.scale == first.scale:
            raise click.BadParameter(
                f"{path} is not {scores[0]} in another size: give scans of other images one by one",
                param_hint="SCORES",
            )
