"""The suite of stages: where the seconds of `fcconv scan` go, each stage by itself.

Stages overlap: the next tile is read while one is computed and the one before is written. So the
whole command takes less than their sum; what it takes above the engine alone is what a scan costs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import fcconv
from fcconv.certificate.certify import certify
from fcconv.cli.wanted import MOST_PEAKS
from fcconv.remote import as_place
from fcconv.report.heatmap import write_heatmap
from fcconv.report.page import write_page
from fcconv.scanning.engine import checked
from fcconv.scanning.job import make_job
from fcconv.scanning.memory import parse_bytes
from fcconv.scanning.network import as_network
from fcconv.scanning.parts import whole
from fcconv.scanning.plan import Tile
from fcconv.scanning.result import Scan
from fcconv.scanning.run import Run, plan_run
from fcconv_bench import networks, scans
from fcconv_bench.scans import Image, temporary
from fcconv_bench.suite import Call, Facts, Prepared, Suite
from fcconv_bench.ways import Way

ENGINE = "engine"
"""The least that a scan takes: its tiles scored one after the other, ready in memory."""

COMMAND = "command"


@dataclass(frozen=True)
class Staged:
    """A BigTIFF that `fcconv scan` scores into zarr, with peaks, a heatmap and a page."""

    image: Image

    @property
    def name(self) -> str:
        """What is scanned."""
        return self.image.name.rpartition(": ")[2]

    @property
    def group(self) -> str:
        """The network."""
        return self.image.network.__name__

    def small(self) -> Staged:
        """Shrink the image."""
        return replace(self, image=self.image.small())

    def can(self, _way: str, _engine: str) -> bool:
        """Whether there is such a stage: there is."""
        return True

    def prepare(self, way: str, engine: str) -> Prepared:
        """Make what a stage needs of those before."""
        return Prepared(STAGES[way](self.image, engine), Facts(output_bytes=0))


def _run(image: Image, engine: str) -> Run:
    """Plan the scan as the command does."""
    job = make_job(as_network(image.network(), image.stride), image.tiff())
    return plan_run(job, checked(engine), parse_bytes("512MB"), None)


def _of_each(run: Run, make: Callable[[Tile], Any]) -> list[tuple[Tile, Any]]:
    """Return each tile with what is made of it, once for tiles that are alike."""
    made: dict[Any, Any] = {}
    found = []
    for tile in run.cut:
        alike = (
            *(s.stop - s.start for s in tile.pixels),
            *((s.start, s.stop) for s in tile.inner),
        )
        if alike not in made:
            made[alike] = make(tile)
        found.append((tile, made[alike]))
    return found


def _engine(image: Image, engine: str) -> Call:
    run = _run(image, engine)
    score = run.score()
    ready = _of_each(run, lambda tile: run.job.read(0, tile.pixels)[0])
    return lambda: [score(pixels, tile.inner)[0].shape for tile, pixels in ready]


def _reading(image: Image, engine: str) -> Call:
    run = _run(image, engine)
    source, nodata = run.job.source(0), run.job.preparation.nodata
    return lambda: [source.read_valid(tile.pixels, nodata)[0].shape for tile in run.cut]


def _preparing(image: Image, engine: str) -> Call:
    run = _run(image, engine)
    source, preparation = run.job.source(0), run.job.preparation
    dtype = run.job.network.layout.dtype
    ready = _of_each(run, lambda tile: source.read_valid(tile.pixels, preparation.nodata)[0])
    return lambda: [preparation.prepared(pixels, dtype, finite=True).shape for _, pixels in ready]


def _writing(image: Image, engine: str) -> Call:
    run, out = _run(image, engine), as_place(temporary("stage.zarr"), "out")
    score = run.score()
    ready = _of_each(run, lambda tile: score(run.job.read(0, tile.pixels)[0], tile.inner))

    def write() -> None:
        with whole(out, run, "overwrite") as (_, store):
            for tile, scores in ready:
                store.write((0, *tile.index), dict(zip(run.outputs, scores, strict=True)))
            store.finish()

    return write


def _scan(image: Image, engine: str) -> Scan:
    """Scan an image as the command does, into a folder of this process."""
    out = temporary(f"scan-{os.getpid()}.zarr")
    return fcconv.scan(
        image.network(), image.tiff(), stride=image.stride, engine=engine, out=out,
        existing="overwrite",
    )  # fmt: skip


def _peaks(image: Image, engine: str) -> Call:
    found = _scan(image, engine)
    return partial(found.peaks, found.labels, scans.THRESHOLD, most=MOST_PEAKS + 1)


def _pictures(image: Image, engine: str) -> Call:
    found = _scan(image, engine)
    peaks = found.peaks(found.labels, scans.THRESHOLD, most=MOST_PEAKS + 1)

    def draw() -> None:
        overview = found.overview()
        write_heatmap(temporary("stage.png"), found, overview, None, peaks)
        write_page(temporary("stage.html"), found, overview, None, found.layers, peaks)

    return draw


def _proof(image: Image, _engine: str) -> Call:
    network = as_network(image.network(), image.stride)
    return partial(certify, network.patch, network.sliding, seed=0)


def _whole(image: Image, engine: str) -> Call:
    group = "command for scores and files, over scoring"
    return scans.COMPARED[group][scans.SCAN](replace(image, group=group), engine)


STAGES: dict[str, Callable[[Image, str], Call]] = {
    ENGINE: _engine,
    "reading": _reading,
    "preparing": _preparing,
    "writing": _writing,
    "peaks": _peaks,
    "pictures": _pictures,
    "proof": _proof,
    "scan": lambda image, engine: partial(_scan, image, engine),
    COMMAND: _whole,
}


def suite() -> Suite[Staged]:
    """Return BigTIFFs of two networks, and the stages of a scan of each."""
    cases = (
        Staged(Image(scans.FILE, networks.grey, (12_288, 12_288), 24)),
        Staged(Image(scans.FILE, networks.colour, (5_000, 5_000), 4)),
    )
    contenders = [Way(stage, "onnxruntime") for stage in STAGES]
    title = "Where the seconds of fcconv scan go"
    return Suite("stages", title, ENGINE, (COMMAND,), cases, lambda _: contenders)
