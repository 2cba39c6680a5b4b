"""What a scan is to do: network, images and what is done to their pixels, checked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

import fcconv
from fcconv.errors import ImageError, ShapeError, UnsupportedError
from fcconv.geometry import Ints, per_axis
from fcconv.graph.load import Source, load
from fcconv.graph.slide import convolutionize
from fcconv.graph.sliding import Sliding, restored
from fcconv.scanning.engine import Array, Cropped, Layout, Score, Shared, fastest
from fcconv.scanning.images import Image, open_images
from fcconv.scanning.memory import Footprint
from fcconv.scanning.plan import Plan, plan
from fcconv.scanning.preparation import Preparation, check_channels
from fcconv.scanning.scales import Resized
from fcconv.scanning.store import Output, Record

MOST_CROPS = 256
"""Windows that are scored together, if each is cut out."""

TRIAL_PIXELS, TRIAL_CELLS = 160, 4
"""Most pixels along an axis of the tile on which engines are timed, or cells where that is more."""


COMFORTABLE = 2**26
"""Bytes from which on smaller tiles are not faster, as fresh memory costs time, too."""

MOST_REPEATED = 1.05
"""Pixels that such tiles may read, in parts of the image's."""


@dataclass(frozen=True)
class Job:
    """A network and the images that it is to scan.

    Attributes
    ----------
    sliding : Sliding
        The network.
    images : sequence of Image or Resized
        One, or those of a batch; all of one size.
    batched : bool
        Whether they are a batch.
    preparation : Preparation
        What is done to their pixels.
    windows : {"shared", "exact"}
        Whether windows share one pass, or each is cut out.
    labels : tuple of str
        Names of the channels of the first output.
    """

    sliding: Sliding
    images: Sequence[Image | Resized]
    batched: bool
    preparation: Preparation
    windows: str
    labels: tuple[str, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels of an image along each axis."""
        return self.images[0].size

    @property
    def layout(self) -> Layout:
        """How the network wants its images."""
        return Layout.of(self.sliding.model)

    def pixels(self, image: Image | Resized, region: tuple[slice, ...]) -> Array:
        """Read a region of an image and prepare it, ``(C, *region)``.

        Raises
        ------
        ImageError
            If it can't be read or holds no numbers.
        """
        pixels = image.read(region)
        try:
            return self.preparation.prepared(pixels, self.layout.dtype)
        except ImageError as error:
            where = " x ".join(f"{part.start} to {part.stop}" for part in region)
            raise ImageError(f"{image.name}, pixels {where}, {error}") from error

    def score(self, engine: str, batch: int = MOST_CROPS) -> Score:
        """Make what scores a tile."""
        if self.windows == "exact":
            return Cropped(self.sliding, engine, batch)
        return Shared(self.sliding, engine)

    def fastest(self) -> str:
        """Find the engine that is the fastest on a small tile of the first image."""
        cut = self._plan(
            lambda cut: all(a.pixels <= TRIAL_PIXELS or a.kept <= TRIAL_CELLS for a in cut.axes)
        )
        pixels = self.pixels(self.images[0], next(iter(cut)).pixels)
        share = math.prod(cut.scored) / math.prod(cut.cells) / len(self.images)
        return fastest(self.score, pixels, share)

    def planned(self, memory: int, engine: str) -> tuple[Plan, int]:
        """Cut the images into tiles that stay within some bytes of memory, on an engine.

        Returns
        -------
        Plan, int
            The tiles, and how many windows are scored together if each is cut out.
        """
        layout, sliding = self.layout, self.sliding
        larger = [n + s for n, s in zip(sliding.window, sliding.stride, strict=True)]
        shapes = layout.shape(sliding.window), layout.shape(larger)
        footprint = Footprint(sliding.model, shapes, sliding.stride, engine)
        native = footprint.bytes([0] * len(larger))
        batch = min(max(memory // 2 // native, 1), MOST_CROPS)
        channels = sum(int(str(v.shape[1])) for v in sliding.model.graph.outputs if v.shape)

        def fits(cut: Plan) -> bool:
            entry = self.layout.dtype.itemsize
            read = math.prod(cut.pixels) * (
                self.images[0].channels * self.images[0].dtype.itemsize + layout.channels * entry
            )
            kept = math.prod(cut.scored) * channels * entry
            computed = (
                native * batch
                if self.windows == "exact"
                else footprint.bytes([axis.pixels - axis.window for axis in cut.axes])
            )
            needed = 2 * (read + kept) + computed  # one tile is read while one is computed
            cheap_to_cut = self.windows == "shared" and cut.repeated < MOST_REPEATED
            return needed <= memory and (needed <= COMFORTABLE or not cheap_to_cut)

        return self._plan(fits), batch

    def _plan(self, fits: Callable[[Plan], bool]) -> Plan:
        sliding = self.sliding
        margins = sliding.margins
        if self.windows == "exact":
            margins = ((0, 0),) * len(sliding.window)
        return plan(self.size, sliding.window, sliding.stride, margins, fits)

    def outputs(self, cut: Plan) -> dict[str, Output]:
        """Describe the scores of all windows, a chunk a tile."""
        lead = (len(self.images),) if self.batched else ()
        described = {}
        for value in self.sliding.model.graph.outputs:
            channels = int(str(value.shape[1])) if value.shape is not None else 0
            dtype = np.dtype(value.dtype.numpy() if value.dtype is not None else np.float32)
            shape, chunk = (*lead, channels, *cut.cells), (1,) * len(lead)
            described[str(value.name)] = Output(shape, (*chunk, channels, *cut.kept), dtype)
        return described

    def record(self, engine: str, cut: Plan, batch: int) -> Record:
        """Write down, for JSON, all that the bytes of the scores depend on."""
        return {
            "fcconv": fcconv.__version__,
            "network": _digest(self.sliding.model),
            "image": [image.identity() for image in self.images],
            "preparation": str(self.preparation),
            "size": list(self.size),
            "window": list(self.sliding.window),
            "stride": list(self.sliding.stride),
            "windows": self.windows,
            "labels": list(self.labels),
            "engine": engine,
            "tile": list(cut.kept),
            "batch": batch,
        }


def make_job(
    network: Sliding | Source,
    image: Any,
    stride: Ints | None,
    windows: str | None,
    preparation: Preparation | None,
    layout: str | None,
    labels: Sequence[str] | None,
) -> Job:
    """Check what is to be scanned; see :func:`fcconv.scanning.scan.scan`."""
    if windows not in (None, "shared", "exact"):
        raise ShapeError(f"windows is 'shared' or 'exact', got {windows!r}")
    sliding = as_sliding(network, stride)
    images: Sequence[Image | Resized]
    if isinstance(image, Image | Resized):
        images, batched = [image], False
    else:
        images, batched = open_images(image, len(sliding.window), layout)
    prepared = (preparation or Preparation()).resolved(images[0].dtype)
    needed = Layout.of(sliding.model).channels
    check_channels(images[0].channels, prepared, needed, images[0].name)
    return Job(
        sliding,
        images,
        batched,
        prepared,
        windows or _shared_if_exact(sliding),
        _labels(sliding, labels),
    )


def as_sliding(
    network: Sliding | Source, stride: Ints | None = None, window: Sequence[int] | None = None
) -> Sliding:
    """Make a network slide, unless it does already.

    Raises
    ------
    ShapeError
        If it slides at another stride.
    """
    if isinstance(network, Sliding):
        sliding = network
    else:
        model = load(network, window)
        told = restored(model)
        if told is None:
            return convolutionize(model, stride=stride)
        sliding = told
    if stride is not None and per_axis(stride, len(sliding.window), "stride") != sliding.stride:
        raise ShapeError(
            f"the network slides by {sliding.stride}, not by {stride}: make it from the patch "
            f"network again"
        )
    return sliding


def _shared_if_exact(sliding: Sliding) -> str:
    if sliding.exact:
        return "shared"
    raise UnsupportedError(
        f"{'; '.join(sliding.reasons)}: at the border of a window the network sees zeros, inside "
        f"an image real pixels, so that scores of one pass are not those of the windows. Choose: "
        f"windows='shared' (--windows shared), fast, the fully convolutional convention, or "
        f"windows='exact' (--windows exact), each window cut out, slower"
    )


def _labels(sliding: Sliding, labels: Sequence[str] | None) -> tuple[str, ...]:
    first = sliding.model.graph.outputs[0]
    count = int(str(first.shape[1])) if first.shape is not None else 0
    if labels is None:
        return (str(first.name),) if count == 1 else tuple(map(str, range(count)))
    if len(labels) != count or len(set(labels)) != count:
        raise ShapeError(
            f"the output {first.name!r} needs {count} labels, each another, got {len(labels)}: "
            f"{', '.join(labels)}"
        )
    return tuple(labels)


def _digest(model: ir.Model) -> str:
    """Hash a network: its nodes and its weights."""
    found = hashlib.sha256()
    for node in model.graph:
        values = [None if v is None else v.name for v in (*node.inputs, *node.outputs)]
        attributes = sorted(f"{name}={value}" for name, value in node.attributes.items())
        found.update(repr((node.domain, node.op_type, values, attributes)).encode())
    for name, value in sorted(model.graph.initializers.items()):
        if value.const_value is not None:
            array = np.ascontiguousarray(value.const_value.numpy())
            found.update(repr((name, array.dtype, array.shape)).encode())
            found.update(array.tobytes())
    return found.hexdigest()
