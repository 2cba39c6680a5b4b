"""What a scan is to do: network, images and what is done to their pixels, checked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import fcconv
from fcconv.errors import ImageError, ShapeError
from fcconv.graph.sliding import Sliding
from fcconv.scanning.arguments import one
from fcconv.scanning.chunks import Output
from fcconv.scanning.engine import Array, Cropped, Layout, Score, Shared, fastest
from fcconv.scanning.images import Image, open_images
from fcconv.scanning.layouts import unit
from fcconv.scanning.memory import Footprint
from fcconv.scanning.network import digest, explained, labels_of, shared_if_exact
from fcconv.scanning.plan import Plan, plans
from fcconv.scanning.preparation import Preparation, check_channels
from fcconv.scanning.records import Record
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

    def lead(self, number: int) -> tuple[int, ...]:
        """Return what comes before the channels of scores: a number in a batch, else nothing."""
        return (number,) if self.batched else ()

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
            raise ImageError(f"{image.name}, {unit(len(region))} {where}, {error}") from error

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

        def many(cut: Plan) -> bool:
            return self.windows == "exact" and math.prod(cut.kept) > MOST_BATCHES * batch

        chosen = None
        for cut in self._plans():  # ever smaller
            takes = needed(cut)
            if takes > memory or many(cut):
                continue
            if chosen is None or cut.repeated <= MOST_REPEATED:
                chosen = cut
            if takes <= COMFORTABLE:
                break
        if chosen is None:
            *_, smallest = self._plans()
            raise ShapeError(
                f"not even the smallest tile of {smallest.pixels} {unit(len(self.size))}, which "
                f"needs {needed(smallest) / 1e6:,.1f} MB, fits: allow more memory"
            )
        return chosen, batch

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
        whole, one_tile = self.lead(len(self.images)), self.lead(1)
        return {
            name: Output((*whole, channels, *cut.cells), (*one_tile, channels, *cut.kept), dtype)
            for name, (channels, dtype) in self.sliding.outputs.items()
        }

    def record(self, engine: str, cut: Plan, batch: int) -> Record:
        """Write down, for JSON, all that the scores depend on; threads may change last bits."""
        return {
            "fcconv": fcconv.__version__,
            "network": digest(self.sliding.model),
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
    series: int | None = None,
    page: int | None = None,
) -> Job:
    """Check what is to be scanned; see :func:`fcconv.scanning.scan.scan`."""
    if windows not in (None, "shared", "exact"):
        raise ShapeError(f"windows is 'shared' or 'exact', got {windows!r}")
    steps = Preparation() if preparation is None else one(preparation, Preparation, "preparation")
    images: Sequence[Image | Resized]
    with explained(sliding):
        if isinstance(image, Image | Resized):
            images, batched = [image], False
        else:
            images, batched = open_images(image, len(sliding.window), layout, series, page)
        prepared = steps.resolved(images[0].dtype, images[0].bits)
        needed = Layout.of(sliding.model).channels
        check_channels(images[0], prepared, needed)
    return Job(
        sliding,
        images,
        batched,
        prepared,
        windows or shared_if_exact(sliding),
        labels_of(sliding, labels),
    )


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and n > 0 for n in numbers)
