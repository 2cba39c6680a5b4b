"""What is wanted of a scan, new or opened: peaks, pictures, a page; found and written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from fcconv.arguments import either
from fcconv.certificate.report import Certificate
from fcconv.cli.network import print_json
from fcconv.cli.output import progress
from fcconv.cli.scan_results import Peaks, facts, highest, show
from fcconv.errors import OutputError
from fcconv.images.coordinates import Coordinates
from fcconv.remote import Place
from fcconv.report.files import check_writable, suffix_of
from fcconv.report.heatmap import write_heatmap
from fcconv.report.maps import MAP_FORMATS, map_format, write_map
from fcconv.report.page import PAGES, write_page
from fcconv.report.peak_files import PEAK_FORMATS, check_places, peak_format
from fcconv.scanning.peaks import Peak, merge_peaks
from fcconv.scanning.result import Scan

MOST_PEAKS = 100_000
"""Peaks that are written, and looked at again where there are several sizes."""


@dataclass(frozen=True)
class Wanted:
    """What a scan is asked to write, by options of the command line, which explain each."""

    heatmap: Path | None
    report: Path | None
    peaks: Path | None
    crs: str
    map: Path | None
    threshold: float | None
    overlap: float | None
    only: tuple[str, ...]
    as_json: bool

    @property
    def lowest(self) -> float:
        """The lowest score of a peak."""
        return 0.5 if self.threshold is None else self.threshold

    @property
    def shared(self) -> float:
        """The area that two peaks may share."""
        return 0.3 if self.overlap is None else self.overlap

    @property
    def files(self) -> dict[str, Path | None]:
        """The files to be written, by their options."""
        return {
            "--heatmap": self.heatmap,
            "--report": self.report,
            "--peaks": self.peaks,
            "--map": self.map,
        }

    @property
    def asks_for_peaks(self) -> bool:
        """Whether peaks are looked for: to be written, drawn or printed."""
        files = (self.peaks, self.heatmap, self.report)
        return bool(self.only) or any(
            value is not None for value in (*files, self.threshold, self.overlap)
        )

    def check_files(self, read: Sequence[Place]) -> None:
        """Check where files are to go, each to a place of its own that nothing is read from."""
        suffixes: dict[str, Iterable[str]] = {
            "--heatmap": (".png",),
            "--report": (".html", ".htm"),
            "--peaks": PEAK_FORMATS,
            "--map": MAP_FORMATS,
        }
        if self.crs == "file" and self.peaks is None:
            raise click.BadParameter(
                "it says what the places of --peaks are in, which is left out", param_hint="--crs"
            )
        taken: dict[Path, str] = {}
        for option, path in self.files.items():
            if path is None:
                continue
            known, other = suffixes[option], taken.setdefault(path.resolve(), option)
            if other != option:
                raise click.BadParameter(
                    f"{path} is where {other} goes: take another name", param_hint=option
                )
            for place in (place for place in read if isinstance(place, Path)):
                if place.resolve() == path.resolve():
                    raise click.BadParameter(
                        f"it would replace {path}, which is read or takes the scores",
                        param_hint=option,
                    )
                if place.resolve() in path.resolve().parents:
                    raise click.BadParameter(
                        f"{path} lies in {place}, which is read or takes the scores: write it "
                        f"elsewhere",
                        param_hint=option,
                    )
            if not suffix_of(path.name, known):
                raise click.BadParameter(
                    f"{path} needs to end in {either(known)}", param_hint=option
                )
            if not path.parent.is_dir():
                raise click.BadParameter(f"there is no folder {path.parent}", param_hint=option)
            chosen = MAP_FORMATS.get(suffix_of(path.name, known)) if option == "--map" else None
            check_writable(path, None if chosen is None else chosen.owns)

    def of_image(self, number: int) -> Wanted:
        """Return what is wanted of an image of a batch: each file with its number in the name."""
        return replace(
            self,
            heatmap=_numbered(self.heatmap, number, ()),
            report=_numbered(self.report, number, ()),
            peaks=_numbered(self.peaks, number, PEAK_FORMATS),
            map=_numbered(self.map, number, MAP_FORMATS),
        )

    def check_classes(self, labels: Sequence[str], rank: int) -> None:
        """Check that what is asked for can be had of these classes, along so many axes."""
        for label in self.only:
            if label not in labels:
                raise click.BadParameter(
                    f"there is no class {label!r}: it has {', '.join(labels)}", param_hint="--label"
                )
        for option, number in (("--threshold", self.lowest), ("--overlap", self.shared)):
            if math.isnan(number):
                raise click.BadParameter("needs a number, got NaN", param_hint=option)
        if rank not in PAGES and self.report is not None:
            raise click.BadParameter(
                f"a page shows one or two axes, not {rank}", param_hint="--report"
            )
        for option, path, check in (
            ("--peaks", self.peaks, peak_format),
            ("--map", self.map, map_format),
        ):
            try:
                _ = path and check(path.name, rank)
            except OutputError as error:
                raise click.BadParameter(str(error), param_hint=option) from error

    def check_places(self, rank: int, coordinates: Coordinates | None) -> None:
        """Check that places of peaks can be written in the unit or system of their file."""
        if self.peaks is not None:
            try:
                check_places(self.peaks.name, rank, coordinates, self.crs)
            except OutputError as error:
                raise click.BadParameter(str(error), param_hint="--peaks") from error


def _numbered(path: Path | None, number: int, suffixes: Iterable[str]) -> Path | None:
    if path is None:
        return None
    suffix = suffix_of(path.name, suffixes) or path.suffix
    stem, end = path.name[: -len(suffix)], path.name[-len(suffix) :]
    return path.with_name(f"{stem}-{number}{end}")


def each_image(scans: Sequence[Scan]) -> list[list[Scan]]:
    """Return the images of a batch one by one, each in all sizes; or the only one."""
    if not scans[0].lead():
        return [list(scans)]
    return [[scan.of_image(k) for scan in scans] for k in range(scans[0].scores.shape[0])]


def deliver(
    wanted: Wanted,
    scans: Sequence[Scan],
    written: Sequence[Place | None],
    certificate: Certificate | None = None,
) -> None:
    """Find the peaks of each image in several sizes, write its files, and print all there is."""
    peaks, files = [], [*written]
    for number, image in enumerate(each_image(scans)):
        asked = wanted.of_image(number) if scans[0].lead() else wanted
        found = find_peaks(wanted, image) if wanted.asks_for_peaks else None
        peaks += [] if found is None else [found]
        shown = max(image, key=highest) if len(image) > 1 else image[0]
        _write(asked, shown, found.listed if found else (), certificate)
        files += asked.files.values()
    if wanted.as_json:
        print_json(facts(scans, peaks))
    else:
        show(scans, peaks, files)


def find_peaks(wanted: Wanted, scans: Sequence[Scan]) -> Peaks:
    """Find the peaks of each class in all sizes of an image, the strongest of them."""
    labels = wanted.only or scans[0].labels
    found = [_peaks_of(wanted, scan, labels) for scan in scans]
    cut = [peaks[-1].score for peaks in found if len(peaks) > MOST_PEAKS]
    if len(scans) == 1:
        (merged,) = found
    else:  # a peak can suppress weaker ones only: down to the highest cut all are known
        of_label = ([p for peaks in found for p in peaks if p.label == name] for name in labels)
        apart = [peak for peaks in of_label for peak in merge_peaks(peaks, wanted.shared)]
        merged = sorted(apart, key=lambda peak: -peak.score)
        merged = [peak for peak in merged if peak.score >= max(cut, default=-math.inf)]
    is_cut = bool(cut) or len(merged) > MOST_PEAKS
    return Peaks(merged[:MOST_PEAKS], is_cut, wanted.lowest, wanted.only)


def _peaks_of(wanted: Wanted, scan: Scan, labels: Sequence[str]) -> list[Peak]:
    """Find the peaks of some classes in one size of the image, one more than are wanted."""
    with progress() as bar:
        task = bar.add_task("peaks", total=1)
        return scan.peaks(
            labels,
            wanted.lowest,
            overlap=wanted.shared,
            most=MOST_PEAKS + 1,
            progress=lambda part: bar.update(task, completed=part),
        )


def _write(
    wanted: Wanted, found: Scan, peaks: Sequence[Peak], certificate: Certificate | None
) -> None:
    """Write the files asked for."""
    if wanted.peaks is not None:
        found.write_peaks(wanted.peaks, peaks, crs=wanted.crs)
    if wanted.map is not None:
        write_map(wanted.map, found)
    if wanted.heatmap is None and wanted.report is None:
        return
    overview = found.overview()
    if wanted.heatmap is not None:
        write_heatmap(wanted.heatmap, found, overview, wanted.only or None, peaks)
    if wanted.report is not None:
        write_page(wanted.report, found, overview, certificate, found.layers, peaks)
