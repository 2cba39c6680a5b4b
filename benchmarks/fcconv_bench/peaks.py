"""What comes after the scores: peaks, and the whole of ``fcconv scan`` against scoring alone.

``python -m fcconv_bench.peaks`` measures and prints three tables, each figure in a process of its
own.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import tifffile
from rich.console import Console

from fcconv.cli import app
from fcconv.scanning import scan as scanning
from fcconv.scanning.result import Scan
from fcconv_bench import networks
from fcconv_bench.environment import environment, in_words
from fcconv_bench.memory import ALLOCATOR, resident_peak
from fcconv_bench.scans import alone, table

Array = npt.NDArray[Any]

# Peaks --------------------------------------------------------------------------------------------

MAPS: Mapping[str, Callable[[tuple[int, ...], Array], Array]] = {
    "noise": lambda cells, noise: noise,
    "every second cell": lambda cells, noise: noise + _every_second(cells),
    "every second cell of a ramp": lambda cells, noise: (
        np.indices(cells).sum(axis=0) / sum(cells) + _every_second(cells)
    ),
    "a plateau": lambda cells, noise: np.ones(cells, np.float32),
}
"""Maps of scores, by their shape and noise from 0 to 1, half of which reaches a half or more."""


def _every_second(cells: tuple[int, ...]) -> Array:
    """Raise every second cell along each axis, so that it is higher than those beside it."""
    return np.asarray((np.indices(cells) % 2 == 0).all(axis=0), np.float32)


CASES = [
    *((name, (1000, 1000), 16, overlap) for name in MAPS for overlap in (0.3, 0, 1)),
    *((name, (1000, 1000), 1, overlap) for name in MAPS for overlap in (0.3, 0, 0.9)),
    *((name, (1_000_000,), 1, 0.3) for name in MAPS),
    *((name, (100, 100, 100), 16, 0.3) for name in MAPS),
]
"""Map, cells, stride of windows of 64 pixels along each axis, and overlap."""


def scan_of(name: str, cells: tuple[int, ...], stride: int) -> Scan:
    """Return a scan with the scores of a map, as an image just large enough would have."""
    noise = np.random.default_rng(0).random(cells, np.float32)
    scores = np.asarray(MAPS[name](cells, noise), np.float32)[None]
    rank = len(cells)
    return Scan(
        {"score": scores}, ("score",), tuple((n - 1) * stride + 64 for n in cells), (64,) * rank,
        (stride,) * rank, "shared", True, (), "numpy", "as it is", 1, 1, 0.0,
    )  # fmt: skip


def peaks(
    name: str, cells: tuple[int, ...], stride: int, overlap: float
) -> tuple[int, float, int | None]:
    """Return how many peaks reach a half, and the seconds and bytes that finding them takes."""
    scan, found = scan_of(name, cells, stride), []
    small = scan_of(name, (20,) * len(cells), stride)
    small.peaks("score", 0.5, overlap=overlap)  # what is loaded at first is not of the peaks
    begin = time.perf_counter()
    taken = resident_peak(lambda: found.extend(scan.peaks("score", 0.5, overlap=overlap)))
    return len(found), time.perf_counter() - begin, taken


# The command --------------------------------------------------------------------------------------


def grey() -> onnx.ModelProto:
    """Build a small classifier of grey patches of 64x64, window stride 4."""
    pool = networks.POOL
    return networks.chain(64, 1, [(5, 8), pool, (3, 8), pool, (14, 16), (1, 2)])


def many_classes(classes: int) -> onnx.ModelProto:
    """Build a network that tells many classes apart by patches of 16x16, window stride 4."""
    return networks.chain(16, 1, [(5, 8), networks.POOL, (3, 16), networks.POOL, (2, classes)])


def write_grey(path: Path, side: int) -> None:
    """Write a tiled BigTIFF of grey noise, not compressed, a tile at a time."""
    tile = 512
    noise = np.random.default_rng(0).integers(0, 256, (tile, tile), np.uint8)
    tiles = (
        np.roll(noise, 37 * k, axis=0) // np.uint8(1 + k % 3)
        for k in range((-(-side // tile)) ** 2)
    )
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            tiles, shape=(side, side), dtype=np.uint8, tile=(tile, tile), photometric="minisblack"
        )


def command(
    model: onnx.ModelProto, image: str, options: Mapping[str, object]
) -> tuple[float, float]:
    """Run ``fcconv scan``; return the seconds of the whole, and of scoring alone."""
    scored: list[float] = []
    scan = scanning.scan

    def timed(*arguments: Any, **named: Any) -> Scan:
        begin = time.perf_counter()
        found = scan(*arguments, **named)
        scored.append(time.perf_counter() - begin)
        return found

    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/model.onnx")
        words = [word.format(folder=folder) for pair in options.items() for word in map(str, pair)]
        scanning.scan = timed
        try:
            begin = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                code = app.run(["scan", f"{folder}/model.onnx", image, *words])
            whole = time.perf_counter() - begin
        finally:
            scanning.scan = scan
    if code:
        raise RuntimeError(f"fcconv scan ended with exit code {code}")
    return whole, scored[0]


FILES = {"--peaks": "{folder}/p.csv", "--heatmap": "{folder}/h.png", "--report": "{folder}/r.html"}
"""Everything that can be written of a scan but its scores."""


def whole_command(engine: str, side: int, files: bool) -> tuple[float, float]:
    """Scan a BigTIFF with a small network, 24 pixels from window to window."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        write_grey(path, side)
        options = {"--engine": engine, "--stride": 24, "--out": "{folder}/s.zarr"}
        return command(grey(), str(path), {**options, **(FILES if files else {})})


def classes(engine: str, count: int, side: int, out: bool) -> tuple[float, float]:
    """Scan an image for many classes, with scores in memory or in a zarr, and write all files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        np.save(path, np.random.default_rng(0).random((1, side, side), np.float32))
        options = {"--engine": engine, "--threshold": 2, **FILES}
        return command(
            many_classes(count),
            str(path),
            {**options, **({"--out": "{folder}/s.zarr"} if out else {})},
        )


def report(console: Console) -> None:
    """Measure everything, and print tables."""
    found = table("Peaks of 64 pixels, half of 1,000,000 windows above the threshold", "scores",
                  "cells", "stride", "overlap", "peaks", "s", "MB")  # fmt: skip
    for name, cells, stride, overlap in CASES:
        count, seconds, taken = alone(peaks, name, cells, stride, overlap, **ALLOCATOR)
        found.add_row(name, " x ".join(map(str, cells)), f"{stride}", f"{overlap}", f"{count:,}",
                      f"{seconds:.2f}", f"{(taken or 0) / 1e6:.0f}")  # fmt: skip
    console.print(found)
    whole = table("fcconv scan of 12,288 x 12,288 pixels, 260,100 windows", "writes", "whole, s",
                  "scoring, s", "ratio")  # fmt: skip
    for files in (False, True):
        seconds, scored = alone(whole_command, "onnxruntime", 12_288, files)
        what = "scores, peaks, heatmap, page" if files else "scores"
        whole.add_row(what, f"{seconds:.1f}", f"{scored:.1f}", f"{seconds / scored:.2f}")
    console.print(whole)
    many = table(
        "fcconv scan for 1,000 classes, 50,176 windows", "scores", "whole, s", "scoring, s"
    )
    for out in (False, True):
        seconds, scored = alone(classes, "onnxruntime", 1000, 908, out)
        many.add_row("in a .zarr" if out else "in memory", f"{seconds:.1f}", f"{scored:.1f}")
    console.print(many)
    for line in in_words(environment()):
        console.print(line, highlight=False)


if __name__ == "__main__":
    report(Console(width=120))
