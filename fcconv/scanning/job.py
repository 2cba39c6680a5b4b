"""What a scan is to do: network, images and what is done to their pixels, checked."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import fcconv
from fcconv.errors import ArgumentError, ImageError
from fcconv.graph.run import fixed_batch
from fcconv.scanning.arguments import one
from fcconv.scanning.chunks import Output
from fcconv.scanning.engine import Cropped, Score, Shared, fastest
from fcconv.scanning.gaps import Gapless
from fcconv.scanning.images import Image
from fcconv.scanning.layouts import unit
from fcconv.scanning.memory import Footprint
from fcconv.scanning.missing import Mask, windows_with
from fcconv.scanning.network import Array, Network, digest, explained, labels_of, shared_if_exact
from fcconv.scanning.opening import open_images
from fcconv.scanning.plan import Plan, Tile, check_size, plans
from fcconv.scanning.preparation import Preparation, check_channels
from fcconv.scanning.records import Record
from fcconv.scanning.scales import Resized
from fcconv.scanning.source import Source

FEWEST_CROPS, MOST_CROPS = 16, 256
"""Windows that are scored together, if each is cut out: some, so that weights are read once for
several, and no more than pay."""

TRIAL_PIXELS, TRIAL_CELLS = 160, 4
"""Most pixels along an axis of the tile on which engines are timed, or cells where that is more."""


COMFORTABLE = 2**26
"""Bytes from which on smaller tiles are not faster, as fresh memory costs time, too."""

COMFORTABLE_BATCH = 2**25
"""Bytes from which on larger batches of cut out windows are not faster, but leave caches."""

MOST_BATCHES = 64
"""Batches of cut out windows in a tile, so that an interrupted run loses little."""

MOST_REPEATED = 1.1
"""Pixels that such tiles may read, in parts of the image's."""


@dataclass(frozen=True)
class Job:
    """A network and the images that it is to scan.

    Attributes
    ----------
    network : Network
        The network, and where its windows stand.
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

    network: Network
    images: Sequence[Image | Resized]
    batched: bool
    preparation: Preparation
    windows: str
    labels: tuple[str, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels of an image along each axis."""
        return self.images[0].size

    @functools.cached_property
    def sources(self) -> Sequence[Source]:
        """What is read of the images: if windows are cut out, nothing of the gaps between them."""
        if self.windows == "exact" and self.step != self.network.stride:
            window, stride = self.network.window, self.network.stride
            return [Gapless(image, window, stride) for image in self.images]
        return self.images

    @property
    def step(self) -> tuple[int, ...]:
        """Pixels from one window to the next in what is read."""
        if self.windows == "exact":
            return tuple(map(min, self.network.window, self.network.stride))
        return self.network.stride

    def lead(self, number: int) -> tuple[int, ...]:
        """Return what comes before the channels of scores: a number in a batch, else nothing."""
        return (number,) if self.batched else ()

    def read(self, number: int, region: tuple[slice, ...]) -> tuple[Array, Mask | None]:
        """Read a region of an image and prepare it, ``(C, *region)``.

        Returns
        -------
        pixels, missing : array, array of bool or None
            What the network reads, zeros where pixels have no value, and where that is. To the
            network zeros are what its own padding is.

        Raises
        ------
        ImageError
            If it can't be read, or numbers are too large for the network.
        """
        source = self.sources[number]
        pixels, missing = source.read_valid(region, self.preparation.nodata)
        try:
            prepared = self.preparation.prepared(pixels, self.network.layout.dtype, finite=True)
        except ImageError as error:
            raise ImageError(f"{source.name}, {_words(region)}, {error}") from error
        if missing is not None:
            prepared[:, missing] = 0
        return prepared, missing

    def without_score(self, number: int, tile: Tile, missing: Mask | None) -> Mask | None:
        """Find the cells of a tile whose windows contain a pixel without a value; None if none do.

        Raises
        ------
        ImageError
            If some do, and scores are integers, of which none says that there is no score.
        """
        if missing is None:
            return None
        found = windows_with(missing, self.network.window, self.step)[tile.inner]
        if not found.any():
            return None
        for name, (_, dtype) in self.network.outputs.items():
            if dtype.kind in "iub":
                raise ImageError(
                    f"{self.sources[number].name}, {_words(tile.pixels)}, holds NaN, infinite or "
                    f"nodata {unit(len(found.shape))}, and scores of the output {name!r} are "
                    f"{dtype}, which has no NaN to say that there is none: replace them first"
                )
        return found

    def blank(self, cells: tuple[int, ...]) -> list[Array]:
        """Return the scores ``(K, *cells)`` of each output for cells that have none."""
        return [
            np.full((channels, *cells), np.nan, dtype)
            for channels, dtype in self.network.outputs.values()
        ]

    def score(self, engine: str, batch: int = MOST_CROPS) -> Score:
        """Make what scores a tile."""
        if self.windows == "exact":
            return Cropped(self.network, self.step, engine, batch)
        return Shared(self.network, engine)

    def fastest(self, memory: int) -> str:
        """Find the engine that is the fastest on a small tile of the first image."""
        cut = next(
            cut
            for cut in self._plans()
            if all(a.pixels <= TRIAL_PIXELS or a.kept <= TRIAL_CELLS for a in cut.axes)
        )
        pixels, _ = self.read(0, next(iter(cut)).pixels)
        share = math.prod(cut.scored) / math.prod(cut.cells) / len(self.images)

        def make(engine: str) -> Score:
            _, batch = self.planned(memory, engine)
            return self.score(engine, min(batch, math.prod(cut.scored)))

        return fastest(make, pixels, share)

    def planned(self, memory: int, engine: str) -> tuple[Plan, int]:
        """Cut the images into tiles that stay within some bytes of memory, on an engine.

        Returns
        -------
        Plan, int
            The tiles, and how many windows are scored together if each is cut out.
        """
        footprint, batch = self._footprint(engine), 1
        computed = 0  # by a batch, which is as large for every tile
        if self.windows == "exact":
            each = footprint.bytes([0] * len(self.size)) // self._fixed_batch + 1
            batch = self._fixed_batch * max(_crops(each, memory) // self._fixed_batch, 1)
            computed = each * batch
        scores = sum(channels * dtype.itemsize for channels, dtype in self.network.outputs.values())
        layout = self.network.layout
        prepared = layout.channels * layout.dtype.itemsize + 1  # and what has no value

        def needed(cut: Plan) -> int:
            read = self.sources[0].bytes(cut.pixels) + math.prod(cut.pixels) * prepared
            # one tile is read, and one written, while one is computed
            both = 2 * (read + math.prod(cut.scored) * scores)
            if self.windows == "exact":
                return both
            own = self.network.sliding.stride
            # a stride more for what remains of the image at its end
            return both + footprint.bytes(
                [
                    (axis.pixels - axis.window) // n + 1
                    for axis, n in zip(cut.axes, own, strict=True)
                    if axis.window + n <= axis.size
                ]
            )

        def is_many(cut: Plan) -> bool:
            return self.windows == "exact" and math.prod(cut.kept) > MOST_BATCHES * batch

        chosen = None
        for cut in self._plans():  # ever smaller
            takes = needed(cut)
            if takes + computed > memory or is_many(cut):
                continue
            if chosen is None or cut.repeated <= MOST_REPEATED:
                chosen = cut
            if takes <= COMFORTABLE or math.prod(cut.kept) <= batch:
                break
        if chosen is None:
            *_, smallest = self._plans()
            takes = needed(smallest) + computed
            raise ArgumentError(
                f"not even the smallest tile of {smallest.pixels} {unit(len(self.size))}, which "
                f"needs {takes / 1e6:,.1f} MB, fits: allow more memory"
            )
        count = math.prod(chosen.kept)
        return chosen, -(-count // -(-count // batch))  # batches of one size

    def _footprint(self, engine: str) -> Footprint:
        """Describe the memory of a pass over a tile, or of a batch of windows.

        Along an axis on which the image has one window, a tile is as large as the image.
        """
        network, layout = self.network, self.network.layout
        if self.windows == "exact":
            shape = layout.shape(network.window, self._fixed_batch)
            return Footprint(network.patch, shape, None, engine)
        sliding = network.sliding
        smallest, larger = [], []
        for n, window, stride in zip(self.size, sliding.window, sliding.stride, strict=True):
            grows = window + stride <= n
            smallest.append(window if grows else n)
            larger.append(window + stride if grows else n)
        return Footprint(sliding.model, layout.shape(smallest), layout.shape(larger), engine)

    @property
    def _fixed_batch(self) -> int:
        """Windows that the network scores at a time, if each is cut out; one if that is free."""
        return fixed_batch(self.network.patch.graph.inputs) or 1

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
        window = self.network.window
        if self.windows == "exact":
            margins: Sequence[tuple[int, int]] = ((0, 0),) * len(window)
        else:
            margins = self.network.sliding.margins
        return plans(self.sources[0].size, window, self.step, margins)

    def outputs(self, cut: Plan) -> dict[str, Output]:
        """Describe the scores of all windows, a chunk a tile."""
        whole, one_tile = self.lead(len(self.images)), self.lead(1)
        return {
            name: Output((*whole, channels, *cut.cells), (*one_tile, channels, *cut.kept), dtype)
            for name, (channels, dtype) in self.network.outputs.items()
        }

    def record(self, engine: str, cut: Plan, batch: int) -> Record:
        """Write down, for JSON, all that the scores depend on; threads may change last bits."""
        return {
            "fcconv": fcconv.__version__,
            "network": digest(self.network.model),
            "image": [image.identity() for image in self.images],
            "preparation": str(self.preparation),
            "size": list(self.size),
            "window": list(self.network.window),
            "stride": list(self.network.stride),
            "windows": self.windows,
            "engine": engine,
            "tile": list(cut.kept),
            "batch": batch,
        }


def make_job(
    network: Network,
    image: Any,
    windows: str | None,
    preparation: Preparation | None,
    layout: str | None,
    labels: Sequence[str] | None,
    series: int | None = None,
    page: int | None = None,
) -> Job:
    """Check what is to be scanned; see :func:`fcconv.scanning.scan.scan`."""
    steps = Preparation() if preparation is None else one(preparation, Preparation, "preparation")
    images: Sequence[Image | Resized]
    with explained(network):
        if isinstance(image, Image | Resized):
            _check_left_out(layout=layout, series=series, page=page)
            images, batched = [image], False
        else:
            images, batched = open_images(image, len(network.window), layout, series, page)
        prepared = steps.resolved(images[0].dtype, images[0].bits, images[0].nodata)
        check_channels(images[0], prepared, network.layout.channels)
    check_size(images[0].size, network.window)
    return Job(
        network,
        images,
        batched,
        prepared,
        windows or shared_if_exact(network),
        labels_of(network, labels),
    )


def _check_left_out(**given: Any) -> None:
    """Check that nothing is said of how to open an image that is open."""
    for name, value in given.items():
        if value is not None:
            raise ImageError(
                f"{name}={value!r} says how an image is to be opened, but this one is open: leave "
                f"it out"
            )


def _crops(each: int, memory: int) -> int:
    """Return how many windows are scored together, of which each takes some bytes."""
    comfortable = max(COMFORTABLE_BATCH // each, FEWEST_CROPS)
    return max(min(memory // 2 // each, comfortable, MOST_CROPS), 1)


def _words(region: tuple[slice, ...]) -> str:
    """Name a region."""
    where = " x ".join(f"{part.start} to {part.stop}" for part in region)
    return f"{unit(len(region))} {where}"


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and n > 0 for n in numbers)
