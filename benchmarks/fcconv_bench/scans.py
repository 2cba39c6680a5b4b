"""The suite of scans: what they cost beside the plainest thing that they could be.

That is one whole pass, a loop over crops, bare products, reading the file, or scoring alone.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import PIL.Image
import tifffile

import fcconv
from fcconv.backend import to_numpy, without_gradients
from fcconv.cli import app
from fcconv.graph.engines.compiled import Compiled
from fcconv.images.sizing import open_sized
from fcconv.scanning.network import as_network
from fcconv.scanning.network_layout import NetworkLayout
from fcconv_bench import networks
from fcconv_bench.crops import Scene
from fcconv_bench.suite import Call, Facts, Prepared, Suite
from fcconv_bench.ways import ways

Array = npt.NDArray[Any]

PLAIN = "plain"
SCAN = "scan"

THRESHOLD = 2.0
"""Score of a peak: these networks have random weights."""

LOOPED = 64
"""Windows that a plain loop scores together."""


@dataclass(frozen=True)
class Image:
    """An image that a network scans.

    Attributes
    ----------
    group : str
        How, and what that is compared with: one of `COMPARED`.
    network : callable
        Builds the network.
    size : (int, int)
        Pixels along each axis.
    stride : int
        Pixels from one window to the next.
    """

    group: str
    network: Callable[[], onnx.ModelProto]
    size: tuple[int, int]
    stride: int

    @property
    def name(self) -> str:
        """What is scanned, and how."""
        height, width = self.size
        return f"{self.group}: {self.network.__name__}, stride {self.stride}, {height}x{width}"

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return int(self.network().graph.input[0].type.tensor_type.shape.dim[1].dim_value)

    def small(self) -> Image:
        """Shrink the image; of a file more than one tile is left."""
        most = 600 if self.group == FILE else 100
        return replace(self, size=(min(self.size[0], most), min(self.size[1], most)))

    def can(self, _way: str, engine: str) -> bool:
        """Whether it is measured with an engine: commands and slides are with the fastest."""
        return engine == "onnxruntime" or self.group not in {**WRITTEN, **SLIDES}

    def prepare(self, way: str, engine: str) -> Prepared:
        """Make image and network; scores that stay in memory count as what a scan takes."""
        return Prepared(COMPARED[self.group][way](self, engine), Facts(output_bytes=0))

    def scene(self) -> Scene:
        """Draw the image, and let the network slide."""
        noise = np.random.default_rng(0).random((self.channels, *self.size), np.float32)
        return Scene(fcconv.convolutionize(self.network(), stride=self.stride), noise)

    def tiff(self) -> str:
        """Write noise and gradients into a tiled BigTIFF, a tile at a time, unless it is there."""
        path, tile = Path(temporary(f"{self.name.rpartition(' ')[2]}x{self.channels}.tif")), 512
        noise = np.random.default_rng(0).integers(0, 64, (tile, tile, self.channels), np.uint8)
        count = (-(-self.size[0] // tile)) * (-(-self.size[1] // tile))
        tiles = (noise + np.uint8(number % 192) for number in range(count))
        if not path.exists():
            with tifffile.TiffWriter(path, bigtiff=True) as file:
                file.write(
                    tiles, shape=(*self.size, self.channels), dtype=np.uint8, tile=(tile, tile),
                    photometric="rgb" if self.channels == 3 else "minisblack",
                    compression="zlib", compressionargs={"level": 1},
                )  # fmt: skip
        return str(path)

    def slide(self) -> str:
        """Write a slide in tiles of JPEG, a pixel of which is a quarter or half of one scanned."""
        times = SLIDES[self.group]
        path, tile = Path(temporary(f"{self.name.rpartition(' ')[2]}x{times}.svs")), 256
        # as smooth as tissue: noise of one pixel would take JPEG longer than any picture
        noise = np.random.default_rng(0).integers(0, 256, (tile // 4, tile // 4, 3), np.uint8)
        smooth = np.asarray(PIL.Image.fromarray(noise).resize((tile, tile)))
        levels = [tuple(n * times for n in self.size), self.size][: times // 2]
        title = "Aperio Image Library v11\r\n|MPP = "
        if not path.exists():
            with tifffile.TiffWriter(path, bigtiff=True) as file:
                for height, width in levels:
                    file.write(
                        itertools.repeat(smooth, -(-height // tile) * -(-width // tile)),
                        shape=(height, width, 3), dtype=np.uint8, tile=(tile, tile),
                        photometric="rgb", compression="jpeg", compressionargs={"level": 80},
                        description=f"{title}{1 / times}", metadata=None,
                    )  # fmt: skip
        return str(path)


def temporary(name: str) -> str:
    """Return the path of a file that all contenders share; the folder goes when all is measured."""
    return str(Path(tempfile.gettempdir()) / name)


def _one_pass(image: Image, engine: str) -> Call:
    return image.scene().one_pass(engine)


def _tiles(image: Image, engine: str) -> Call:
    scene = image.scene()
    return partial(fcconv.scan, scene.sliding, scene.image, engine=engine)


def _loop(image: Image, engine: str) -> Call:
    patch = fcconv.compile(image.network(), engine)
    return partial(_looped, patch, image.scene().image, image.stride)


def _looped(patch: Compiled, image: Array, stride: int) -> Array:
    """Cut out each window of 64x64 and score them in batches, as anybody would write it."""
    starts = [range(0, n - 63, stride) for n in image.shape[1:]]
    corners = list(itertools.product(*starts))
    batches = (corners[k : k + LOOPED] for k in range(0, len(corners), LOOPED))
    crops = (np.stack([image[:, y : y + 64, x : x + 64] for y, x in part]) for part in batches)
    with without_gradients(patch.engine):
        return np.concatenate([to_numpy(patch(part)) for part in crops])


def _cut_out(image: Image, engine: str) -> Call:
    network = as_network(image.network(), image.stride, windows="crops")
    return partial(fcconv.scan, network, image.scene().image, engine=engine, windows="crops")


def _products(image: Image, _engine: str) -> Call:
    scene, rng = image.scene(), np.random.default_rng(0)
    model = scene.sliding.model
    shape = NetworkLayout.of(model).shape(image.size)
    operands = [
        (rng.random((rows, terms), np.float32), rng.random((terms, columns), np.float32))
        for rows, terms, columns in networks.products(model, shape)
    ]
    return lambda: [np.matmul(weight, x) for weight, x in operands]


def _read(image: Image, _engine: str) -> Call:
    return partial(tifffile.imread, image.tiff())


def _from_file(image: Image, engine: str) -> Call:
    kept = "scores" in WRITTEN.get(image.group, "scores")
    out: Any = {"out": temporary(f"{engine}.zarr"), "existing": "overwrite"} if kept else {}
    stride = image.stride
    return partial(fcconv.scan, image.network(), image.tiff(), engine=engine, stride=stride, **out)


def _of_slide(image: Image, engine: str) -> Call:
    stride = image.stride
    return partial(fcconv.scan, image.network(), image.slide(), engine=engine, stride=stride, mpp=1)


def _of_pixels(image: Image, engine: str) -> Call:
    (opened,), _ = open_sized(image.slide(), 2, mpp=1)
    pixels, _ = opened.read_valid(tuple(slice(0, n) for n in opened.size), None)
    return partial(fcconv.scan, image.network(), pixels, engine=engine, stride=image.stride)


def _command(image: Image, engine: str) -> Call:
    model, written = temporary("model.onnx"), WRITTEN[image.group]
    onnx.save(image.network(), model)
    words = ["--engine", engine, "--stride", f"{image.stride}", "--threshold", f"{THRESHOLD}"]
    if "scores" in written:
        words += ["--out", temporary("command.zarr"), "--overwrite"]
    if "files" in written:
        words += ["--peaks", temporary("peaks.csv"), "--heatmap", temporary("heat.png")]
        words += ["--report", temporary("page.html")]
    return partial(command, model, image.tiff(), *words)


def command(*words: str) -> None:
    """Run ``fcconv scan``, and print nothing."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = app.run(["scan", *words])
    if code:
        raise RuntimeError(f"fcconv scan ended with exit code {code}")


TILES = "tiles, over one pass"
CUT_OUT = "windows cut out, over a loop"
EVERY_PIXEL = "every pixel, over bare products"
FILE = "BigTIFF to zarr, over reading"

SLIDES = {
    "slide at its level by 4, over its pixels in memory": 4,
    "slide resampled by 2, over its pixels in memory": 2,
}
"""How many pixels of a slide are one that is scanned, along each axis."""

WRITTEN = {
    f"command for {what}, over scoring": what for what in ("scores", "files", "scores and files")
}

COMPARED: dict[str, dict[str, Callable[[Image, str], Call]]] = {
    TILES: {PLAIN: _one_pass, SCAN: _tiles},
    CUT_OUT: {PLAIN: _loop, SCAN: _cut_out},
    EVERY_PIXEL: {PLAIN: _products, SCAN: _tiles},
    FILE: {PLAIN: _read, SCAN: _from_file},
    **{group: {PLAIN: _of_pixels, SCAN: _of_slide} for group in SLIDES},
    **{group: {PLAIN: _from_file, SCAN: _command} for group in WRITTEN},
}


def suite() -> Suite[Image]:
    """Return scans of images in memory and of files, and the whole command."""
    scores, files, both = WRITTEN
    cut_out = [(16, 1024), (32, 1024), (64, 1024), (100, 1024), (1000, 1024), (1000, 4096)]
    cases = (
        Image(TILES, networks.colour, (2048, 2048), 4),
        *(Image(CUT_OUT, networks.padded, (side, side), stride) for stride, side in cut_out),
        Image(EVERY_PIXEL, networks.bailer, (720 + 14, 1080 + 14), 1),
        *(Image(FILE, networks.colour, (n, n), 4) for n in (5_000, 10_000, 20_000)),
        *(Image(group, networks.colour, (4096, 4096), 4) for group in SLIDES),
        *(Image(group, networks.grey, (12_288, 12_288), 24) for group in (scores, both)),
        *(Image(group, networks.thousand_classes, (908, 908), 4) for group in (files, both)),
    )
    title = "Scans beside the plainest thing that they could be"
    contenders = partial(ways, (PLAIN, SCAN), resident=(SCAN,))
    return Suite("scans", title, PLAIN, (SCAN,), cases, contenders)
