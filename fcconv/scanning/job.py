"""What a scan is to do: network, images and what is done to their pixels, checked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

import fcconv
from fcconv.errors import ImageError, ShapeError, UnsupportedError
from fcconv.geometry import Ints, per_axis
from fcconv.graph.load import Source, load
from fcconv.graph.slide import convolutionize
from fcconv.graph.sliding import Sliding, restored
from fcconv.scanning.arguments import one, several
from fcconv.scanning.chunks import Output, Record
from fcconv.scanning.engine import Array, Cropped, Layout, Score, Shared, fastest
from fcconv.scanning.images import Image, open_images
from fcconv.scanning.memory import Footprint
from fcconv.scanning.plan import Plan, plans
from fcconv.scanning.preparation import Preparation, check_channels
from fcconv.scanning.scales import Resized

MOST_CROPS = 256
"""Windows that are scored together, if each is cut out."""

TRIAL_PIXELS, TRIAL_CELLS = 160, 4
"""Most pixels along an axis of the tile on which engines are timed, or cells where that is more."""


COMFORTABLE = 2**26
"""Bytes from which on smaller tiles are not faster, as fresh memory costs time, too."""

MOST_BATCHES = 64
"""Batches of cut out windows in a tile, so that an interrupted run loses little."""

MOST_REPEATED = 1.1
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

    def fastest(self, memory: int) -> str:
        """Find the engine that is the fastest on a small tile of the first image."""
        _, batch = self.planned(memory, "numpy")
        cut = next(
            cut
            for cut in self._plans()
            if all(a.pixels <= TRIAL_PIXELS or a.kept <= TRIAL_CELLS for a in cut.axes)
        )
        pixels = self.pixels(self.images[0], next(iter(cut)).pixels)
        share = math.prod(cut.scored) / math.prod(cut.cells) / len(self.images)
        batch = min(batch, math.prod(cut.scored))
        return fastest(lambda engine: self.score(engine, batch), pixels, share)

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
        footprint = Footprint(sliding.model, shapes, engine)
        native = footprint.bytes([0] * len(larger))
        batch = min(max(memory // 2 // native, 1), MOST_CROPS)
        scores = sum(channels * dtype.itemsize for channels, dtype in sliding.outputs.values())
        prepared = layout.channels * layout.dtype.itemsize

        def needed(cut: Plan) -> int:
            read = self.images[0].bytes(cut.pixels) + math.prod(cut.pixels) * prepared
            computed = native * batch
            if self.windows == "shared":
                # a stride more for what remains of the image at its end
                computed = footprint.bytes([axis.scored for axis in cut.axes])
            # one tile is read, and one written, while one is computed
            return 2 * (read + math.prod(cut.scored) * scores) + computed

        def fits(cut: Plan) -> bool:
            many = self.windows == "exact" and math.prod(cut.kept) > MOST_BATCHES * batch
            return needed(cut) <= memory and not many

        cuts = list(self._plans())
        fitting = [cut for cut in cuts if fits(cut)]
        if not fitting:
            raise ShapeError(
                f"not even the smallest tile of {cuts[-1].pixels} pixels, which needs "
                f"{needed(cuts[-1]) / 1e6:,.1f} MB, fits: allow more memory"
            )
        cheap = [cut for cut in fitting if cut.repeated <= MOST_REPEATED]
        comfortable = (cut for cut in cheap if needed(cut) <= COMFORTABLE)
        return next(comfortable, (cheap or fitting[:1])[-1]), batch

    def planned_before(self, record: Record | None) -> tuple[Plan, int] | None:
        """Return the tiles and the batch of an earlier run; None without any that fit the image."""
        told: dict[str, Any] = record or {}
        kept, batch = told.get("tile", []), told.get("batch", 0)
        if not (_are_counts(kept) and _are_counts([batch]) and len(kept) == len(self.size)):
            return None
        whole = next(self._plans())
        axes = (replace(axis, kept=n) for axis, n in zip(whole.axes, kept, strict=True))
        return Plan(tuple(axes)), batch

    def _plans(self) -> Iterator[Plan]:
        sliding = self.sliding
        margins = sliding.margins
        if self.windows == "exact":
            margins = ((0, 0),) * len(sliding.window)
        return plans(self.size, sliding.window, sliding.stride, margins)

    def outputs(self, cut: Plan) -> dict[str, Output]:
        """Describe the scores of all windows, a chunk a tile."""
        lead = (len(self.images),) if self.batched else ()
        return {
            name: Output(
                (*lead, channels, *cut.cells), (*(1 for _ in lead), channels, *cut.kept), dtype
            )
            for name, (channels, dtype) in self.sliding.outputs.items()
        }

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
            "engine": engine,
            "tile": list(cut.kept),
            "batch": batch,
        }


def make_job(
    sliding: Sliding,
    image: Any,
    windows: str | None,
    preparation: Preparation | None,
    layout: str | None,
    labels: Sequence[str] | None,
) -> Job:
    """Check what is to be scanned; see :func:`fcconv.scanning.scan.scan`."""
    if windows not in (None, "shared", "exact"):
        raise ShapeError(f"windows is 'shared' or 'exact', got {windows!r}")
    images: Sequence[Image | Resized]
    if isinstance(image, Image | Resized):
        images, batched = [image], False
    else:
        images, batched = open_images(image, len(sliding.window), layout)
    steps = Preparation() if preparation is None else one(preparation, Preparation, "preparation")
    prepared = steps.resolved(images[0].dtype)
    needed = Layout.of(sliding.model).channels
    check_channels(images[0].channels, prepared, needed, images[0].name)
    return Job(
        sliding,
        images,
        batched,
        prepared,
        windows or _shared_if_exact(sliding),
        labels_of(sliding, labels),
    )


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and n > 0 for n in numbers)


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


def labels_of(sliding: Sliding, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Name the channels of the first output; by numbers, if no names are given.

    Raises
    ------
    ShapeError
        If there are not as many names, each another.
    """
    first, (count, _) = next(iter(sliding.outputs.items()))
    if labels is None:
        return (first,) if count == 1 else tuple(map(str, range(count)))
    names = several(labels, str, "labels")
    if len(names) != count or len(set(names)) != count:
        raise ShapeError(
            f"the output {first!r} needs {count} labels, each another, got {len(names)}: "
            f"{', '.join(names)}"
        )
    return names


def _digest(model: ir.Model) -> str:
    """Hash a network: its nodes and its weights."""
    found = hashlib.blake2b(repr(sorted(model.opset_imports.items())).encode())
    for node in model.graph:
        values = [None if v is None else v.name for v in (*node.inputs, *node.outputs)]
        attributes = sorted(f"{name}={value}" for name, value in node.attributes.items())
        found.update(repr((node.domain, node.op_type, values, attributes)).encode())
    for name, value in sorted(model.graph.initializers.items()):
        if value.const_value is not None:
            array = np.ascontiguousarray(value.const_value.numpy())
            found.update(repr((name, array.dtype, array.shape)).encode())
            found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()
