"""``fcconv scan``: what is asked for is checked, done with a bar, and written."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fcconv.certificate.certify import certify
from fcconv.certificate.report import Certificate
from fcconv.cli.network import print_json
from fcconv.cli.output import errors, progress
from fcconv.cli.scan_results import Peaks, facts, show
from fcconv.errors import OutputError
from fcconv.graph.rewriting.sliding import Sliding
from fcconv.report.blocks import ranges
from fcconv.report.files import PEAK_FORMATS, check_writable, peak_format
from fcconv.report.heatmap import write_heatmap
from fcconv.report.page import write_page
from fcconv.scanning import scan as scanning
from fcconv.scanning.images import Image
from fcconv.scanning.network import Network, as_network, explained, labels_of
from fcconv.scanning.opening import open_images
from fcconv.scanning.peaks import Peak, merge_peaks
from fcconv.scanning.plan import check_size
from fcconv.scanning.preparation import Preparation
from fcconv.scanning.result import Scan
from fcconv.scanning.scales import Resized
from fcconv.scanning.store import check_out, recorded

MOST_PEAKS = 100_000
"""Peaks that are written, and looked at again where there are several sizes."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see :func:`fcconv.scanning.scan.scan`."""

    model: Path
    image: Path
    out: Path | None
    stride: int | tuple[int, ...] | None
    window: tuple[int, ...] | None
    engine: str
    memory: str
    windows: str | None
    audit: int | None
    gray: bool
    scale: float | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    nodata: float | None
    layout: str | None
    series: int | None
    page: int | None
    labels: tuple[str, ...] | None
    activation: str | None
    scales: tuple[float, ...]
    heatmap: Path | None
    report: Path | None
    peaks: Path | None
    threshold: float | None
    overlap: float | None
    only: tuple[str, ...]
    existing: str
    seed: int | None
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
    def asks_for_peaks(self) -> bool:
        """Whether peaks are looked for: to be written, drawn or printed."""
        files = (self.peaks, self.heatmap, self.report)
        return bool(self.only) or any(
            value is not None for value in (*files, self.threshold, self.overlap)
        )


def scan_and_show(options: Options) -> int:
    """Scan an image, print what was found, and write the files asked for."""
    _check_files(options)
    network = as_network(options.model, options.stride, options.window, options.windows)
    _check_request(options, network)
    with explained(network):
        images, _ = open_images(
            options.image, len(network.window), options.layout, options.series, options.page
        )
    if len(images) != 1:
        raise click.BadParameter(
            f"needs one image, not a batch: --page 0 to {len(images) - 1} takes one of it",
            param_hint="IMAGE",
        )
    (image,) = images
    sizes = [image if scale == 1 else Resized(image, scale) for scale in options.scales]
    for resized in sizes:
        check_size(resized.size, network.window)
    outs = _outs(options)
    certificate = _certificate(network, options.seed) if options.report is not None else None
    scans = [
        _scanned(options, network, resized, out) for resized, out in zip(sizes, outs, strict=True)
    ]
    peaks = _peaks(options, scans) if options.asks_for_peaks else None
    shown = max(scans, key=_highest) if len(scans) > 1 else scans[0]
    _write(options, shown, peaks.listed if peaks else (), certificate)
    if options.as_json:
        print_json(facts(scans, peaks))
    else:
        show(scans, peaks, (*outs, options.heatmap, options.report, options.peaks))
    return 0


def _check_files(options: Options) -> None:
    """Check where files are to go before anything is computed."""
    wanted = {
        "--heatmap": (options.heatmap, (".png",)),
        "--report": (options.report, (".html", ".htm")),
        "--peaks": (options.peaks, tuple(PEAK_FORMATS)),
    }
    for option, (path, suffixes) in wanted.items():
        if path is None:
            continue
        if path.resolve() in (options.image.resolve(), options.model.resolve()):
            raise click.BadParameter("it would replace MODEL or IMAGE", param_hint=option)
        if path.suffix.lower() not in suffixes:
            raise click.BadParameter(
                f"{path} needs to end in {' or '.join(suffixes)}", param_hint=option
            )
        if not path.parent.is_dir():
            raise click.BadParameter(f"there is no folder {path.parent}", param_hint=option)
        check_writable(path)


def _check_request(options: Options, network: Network) -> None:
    """Check what is asked for before anything is computed."""
    labels, rank = labels_of(network, options.labels), len(network.window)
    for label in options.only:
        if label not in labels:
            raise click.BadParameter(
                f"there is no class {label!r}: it has {', '.join(labels)}", param_hint="--label"
            )
    for option, number in (("--threshold", options.lowest), ("--overlap", options.shared)):
        if math.isnan(number):
            raise click.BadParameter("needs a number, got NaN", param_hint=option)
    if len(set(options.scales)) < len(options.scales):
        raise click.BadParameter("one of them stands there twice", param_hint="--scales")
    if rank != 2 and options.report is not None:
        raise click.BadParameter(f"a page shows two axes, not {rank}", param_hint="--report")
    if options.peaks is not None:
        try:
            peak_format(options.peaks.name, rank)
        except OutputError as error:
            raise click.BadParameter(str(error), param_hint="--peaks") from error


def _outs(options: Options) -> list[Path | None]:
    """Name where the scores of each size go, and check that they can."""
    out = options.out
    if out is None:
        return [None] * len(options.scales)
    outs = [out]
    if len(options.scales) > 1:
        outs = [out.with_name(f"{out.stem}-{scale:g}{out.suffix}") for scale in options.scales]
    if len(set(outs)) < len(outs):
        raise click.BadParameter(
            "two of them are too close to be told apart in file names", param_hint="--scales"
        )
    for path in outs:
        check_out(path, options.existing, options.image)
        check_out(path, options.existing, options.model)
    return list(outs)


def _scanned(options: Options, network: Network, image: Image | Resized, out: Path | None) -> Scan:
    """Scan the image in one size."""
    said = None
    if out is not None and options.existing == "resume" and not (out.exists() or recorded(out)):
        said = (
            None if recorded(out) else f"Nothing to resume: {out} is not there yet; the scan starts"
        )
    with _progress(said) as told:
        return scanning.scan(
            network,
            image,
            engine=options.engine,
            memory=options.memory,
            out=out,
            windows=options.windows,
            preparation=Preparation(
                options.gray, options.scale, options.mean, options.std, options.nodata
            ),
            labels=options.labels,
            activation=options.activation,
            existing=options.existing,
            audit=options.audit,
            progress=told,
        )


@contextmanager
def _progress(said: str | None) -> Iterator[Callable[[scanning.Progress], None]]:
    """Show a bar with tiles, windows a second and the time left, where someone looks.

    A line is printed first, when all is checked and the scan begins.
    """
    console = errors()
    columns = (
        TextColumn("tiles"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[rate]} windows a second"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None, rate="")
        begin = time.monotonic()

        def show(done: scanning.Progress) -> None:
            nonlocal begin, said
            if said is not None:
                console.print(said, markup=False, highlight=False, soft_wrap=True)
                said = None
            rate = ""
            if done.windows > done.before:
                rate = f"{(done.windows - done.before) / (time.monotonic() - begin):,.0f}"
            else:  # finished tiles are checked
                begin = time.monotonic()
            bar.update(task, completed=done.tiles, total=done.all_tiles, rate=rate)

        yield show


def _peaks(options: Options, scans: Sequence[Scan]) -> Peaks:
    """Find the peaks of each class in all sizes of the image, the strongest of them."""
    labels = options.only or scans[0].labels
    found = [_peaks_of(options, scan, labels) for scan in scans]
    cut = [peaks[-1].score for peaks in found if len(peaks) > MOST_PEAKS]
    if len(scans) == 1:
        (merged,) = found
    else:  # a peak can suppress weaker ones only: down to the highest cut all are known
        of_label = ([p for peaks in found for p in peaks if p.label == name] for name in labels)
        apart = [peak for peaks in of_label for peak in merge_peaks(peaks, options.shared)]
        merged = sorted(apart, key=lambda peak: -peak.score)
        merged = [peak for peak in merged if peak.score >= max(cut, default=-math.inf)]
    is_cut = bool(cut) or len(merged) > MOST_PEAKS
    return Peaks(merged[:MOST_PEAKS], is_cut, options.lowest, options.only)


def _peaks_of(options: Options, scan: Scan, labels: Sequence[str]) -> list[Peak]:
    """Find the peaks of some classes in one size of the image, one more than are wanted."""
    with progress() as bar:
        task = bar.add_task("peaks", total=1)
        return scan.peaks(
            labels,
            options.lowest,
            overlap=options.shared,
            most=MOST_PEAKS + 1,
            progress=lambda part: bar.update(task, completed=part),
        )


def _certificate(network: Network, seed: int | None) -> Certificate | None:
    """Certify a network that was made to slide, before what may take hours."""
    slid = network.slid
    is_rewritten = isinstance(slid, Sliding) and slid.patch is not None
    return certify(network.patch, slid, seed=seed) if is_rewritten else None


def _write(
    options: Options, found: Scan, peaks: Sequence[Peak], certificate: Certificate | None
) -> None:
    """Write the files asked for."""
    if options.peaks is not None:
        found.write_peaks(options.peaks, peaks)
    if options.heatmap is None and options.report is None:
        return
    overview = found.overview()
    if options.heatmap is not None:
        write_heatmap(options.heatmap, found, overview, peaks=peaks)
    if options.report is not None:
        write_page(options.report, found, overview, certificate, found.layers, peaks)


def _highest(found: Scan) -> float:
    """Return the highest score, by which one of several sizes is chosen for pictures."""
    return float(ranges(found.scores, ())[1].max())
