"""``fcconv scan``: what is asked for is checked, done with a bar, and written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fcconv.certificate.certify import certify
from fcconv.certificate.report import Certificate
from fcconv.cli.output import errors
from fcconv.cli.wanted import Wanted, deliver
from fcconv.graph.rewriting.sliding import Sliding
from fcconv.images.image import Image
from fcconv.images.preparation import Preparation
from fcconv.images.reading import Reading
from fcconv.images.scales import Resized, resized
from fcconv.images.sizing import open_sized
from fcconv.remote import Place, as_place
from fcconv.scanning import scan as scanning
from fcconv.scanning import tiles
from fcconv.scanning.engine import checked
from fcconv.scanning.network import Network, as_network, explained, labels_of
from fcconv.scanning.plan import Part, check_size
from fcconv.scanning.result import Scan
from fcconv.scanning.store import check_out, recorded

Sized: TypeAlias = Image | Resized | list[Image | Resized]
"""An image in one size, or those of a batch."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see :func:`fcconv.scanning.scan.scan`."""

    model: Path
    image: Place
    out: Place | None
    stride: int | tuple[int, ...] | None
    window: tuple[int, ...] | None
    engine: str
    providers: tuple[str, ...] | None
    device: str | None
    memory: str
    windows: str | None
    audit: int | None
    gray: bool
    rgb: bool
    scale: float | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    nodata: float | None
    reading: Reading
    labels: tuple[str, ...] | None
    activation: str | None
    scales: tuple[float, ...]
    region: tuple[slice, ...] | None
    mask: str | None
    pad: str | None
    existing: str
    part: Part | None
    client: Any
    seed: int | None
    wanted: Wanted


def scan_and_show(options: Options) -> int:
    """Scan an image, print what was found, and write the files asked for."""
    read = [options.model, options.image]
    if options.mask is not None:
        read.append(as_place(options.mask, "mask"))
    options.wanted.check_files(read)
    wanted = options.wanted
    asks_for_all = wanted.asks_for_peaks or wanted.map is not None or options.audit is not None
    if options.part is not None and asks_for_all:
        raise click.UsageError(
            "pictures, maps, peaks and audits are of the whole scan: give --heatmap, --report, "
            "--map, --peaks, --threshold, --overlap, --label and --audit to the last call, with "
            "--resume in place of --part"
        )
    network = network_of(options)
    sizes, outs = _sizes(options, network), outs_of(options)
    kept = [*read, *(out for out in outs if out is not None)]
    numbers = range(len(sizes[0]) if isinstance(sizes[0], list) else 0)
    for wanted in [options.wanted.of_image(k) for k in numbers] or [options.wanted]:
        wanted.check_files(kept)
    certificate = _certificate(network, options.seed) if options.wanted.report is not None else None
    deliver(options.wanted, _scanned(options, network, sizes, outs), outs, certificate)
    return 0


def network_of(options: Options) -> Network:
    """Make the network slide, and check what is asked for of it before anything is computed."""
    checked(options.engine, options.providers, options.device)
    network = as_network(options.model, options.stride, options.window, options.windows)
    options.wanted.check_classes(labels_of(network, options.labels), len(network.window))
    if len(set(options.scales)) < len(options.scales):
        raise click.BadParameter("one of them stands there twice", param_hint="--scales")
    return network


def scans_of(options: Options, network: Network) -> list[Scan]:
    """Scan an image in all sizes."""
    return _scanned(options, network, _sizes(options, network), outs_of(options))


def _sizes(options: Options, network: Network) -> Sequence[Sized]:
    """Open the image or the batch in all sizes, and check that windows fit in."""
    with explained(network):
        images, batched = open_sized(options.image, len(network.window), **options.reading)
    options.wanted.check_places(len(images[0].size), images[0].picture.coordinates)
    sizes = [
        [image if scale == 1 else resized(image, scale) for image in images]
        for scale in options.scales
    ]
    for first, *_ in sizes if options.pad is None else ():
        check_size(first.size, network.window)
    return sizes if batched else [only for (only,) in sizes]


def outs_of(options: Options) -> list[Place | None]:
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
    existing = options.existing if options.part is None else "resume"
    for path in outs:
        check_out(path, existing, options.image, options.model, options.mask)
    return list(outs)


def _scanned(
    options: Options,
    network: Network,
    sizes: Sequence[Sized],
    outs: Sequence[Place | None],
) -> list[Scan]:
    return [_scan(options, network, *size) for size in zip(sizes, outs, strict=True)]


def _scan(options: Options, network: Network, image: Sized, out: Place | None) -> Scan:
    """Scan the image or the batch in one size."""
    said = None
    if options.existing == "resume" and out is not None and not out.exists() and not recorded(out):
        said = f"Nothing to resume: {out} is not there yet; the scan starts"
    with _progress(said) as told:
        return scanning.scan(
            network,
            image,
            engine=options.engine,
            providers=options.providers,
            device=options.device,
            memory=options.memory,
            out=out,
            windows=options.windows,
            preparation=Preparation(
                gray=options.gray,
                rgb=options.rgb,
                scale=options.scale,
                mean=options.mean,
                std=options.std,
                nodata=options.nodata,
            ),
            labels=options.labels,
            activation=options.activation,
            existing=options.existing,
            region=options.region,
            mask=options.mask,
            pad=options.pad,
            audit=options.audit,
            part=options.part,
            client=options.client,
            progress=told,
        )


@contextmanager
def _progress(said: str | None) -> Iterator[Callable[[tiles.Progress], None]]:
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

        def show(done: tiles.Progress) -> None:
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


def _certificate(network: Network, seed: int | None) -> Certificate | None:
    """Certify a network that was made to slide, before what may take hours."""
    slid = network.slid
    is_rewritten = isinstance(slid, Sliding) and slid.patch is not None
    return certify(network.patch, slid, seed=seed) if is_rewritten else None
