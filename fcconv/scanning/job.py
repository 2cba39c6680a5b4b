"""What a scan is to do: network, images and what is done to their pixels, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

import fcconv
from fcconv.arguments import check_type
from fcconv.errors import ArgumentError, ImageError, UnsupportedError
from fcconv.graph.engines.compiling import Engine
from fcconv.images.blocks import in_words
from fcconv.images.gaps import Gapless
from fcconv.images.image import Image
from fcconv.images.layouts import unit
from fcconv.images.missing import Mask, windows_with
from fcconv.images.padded import Opened, padded
from fcconv.images.preparation import Preparation, check_channels
from fcconv.images.reading import Reading, as_reading
from fcconv.images.scales import Resized
from fcconv.images.sizing import open_sized
from fcconv.images.source import Source
from fcconv.scanning.activation import activated, check_activation
from fcconv.scanning.areas import TISSUE
from fcconv.scanning.engine import Score, by_crops, one_pass
from fcconv.scanning.network import Network, digest, explained, labels_of, shared_if_exact
from fcconv.scanning.network_layout import Array
from fcconv.scanning.outputs import Output
from fcconv.scanning.plan import Plan, Tile, check_size
from fcconv.scanning.records import Record
from fcconv.scanning.sample_rate import check_sample_rate
from fcconv.scanning.selection import Selection, make_selection


@dataclass(frozen=True)
class Job:
    """A network and the images that it is to scan.

    Attributes
    ----------
    network : Network
        The network, and where its windows stand.
    images : sequence of Image, Resized or Padded
        One, or those of a batch; all of one size.
    batched : bool
        Whether they are a batch.
    preparation : Preparation
        What is done to their pixels.
    windows : {"shared", "exact", "crops"}
        Whether windows share one pass, or one that scores each as its crop, or each is cut out.
    labels : tuple of str
        Names of the channels of the first output.
    activation : {"softmax", "sigmoid"} or None
        What the scores of the first output go through.
    selection : Selection or None
        Which windows are wanted; None for all.
    """

    network: Network
    images: Sequence[Opened]
    batched: bool
    preparation: Preparation
    windows: str
    labels: tuple[str, ...]
    activation: str | None = None
    selection: Selection | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels of an image along each axis."""
        return self.images[0].size

    def source(self, number: int) -> Source:
        """Return what is read of an image: where windows share nothing, no gaps between them."""
        image = self.images[number]
        if self.step != self.network.stride:
            return Gapless(image, self.network.window, self.network.stride)
        return image

    @property
    def step(self) -> tuple[int, ...]:
        """Pixels from one window to the next in what is read."""
        if self.windows == "shared":
            return self.network.stride
        return tuple(map(min, self.network.window, self.network.stride))

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
        source = self.source(number)
        pixels, missing = source.read_valid(region, self.preparation.nodata)
        try:
            prepared = self.preparation.prepared(pixels, self.network.layout.dtype, finite=True)
        except ImageError as error:
            raise ImageError(f"{source.name}, {in_words(region)}, {error}") from error
        if missing is not None:
            prepared[:, missing] = 0
        return prepared, missing

    def unwanted(self, tile: Tile) -> Mask | None:
        """Find the cells of a tile that are not wanted; None if all are."""
        if self.selection is None:
            return None
        wanted = self.selection.wanted(tile.cells)
        return None if wanted.all() else ~wanted

    def without_score(self, number: int, tile: Tile, missing: Mask | None) -> Mask | None:
        """Find the cells of a tile whose windows contain a pixel without a value; None if none do.

        Raises
        ------
        ImageError
            If some do, and scores are integers, which have no NaN to mark a missing score.
        """
        if missing is None:
            return None
        found = windows_with(missing, self.network.window, self.step)[tile.inner]
        if not found.any():
            return None
        for name, (_, dtype) in self.network.outputs.items():
            if dtype.kind in "iub":
                raise ImageError(
                    f"{self.images[number].name}, {in_words(tile.pixels)}, holds NaN, infinite or "
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

    def score(self, engine: Engine, batch: int) -> Score:
        """Make what scores a tile."""
        if self.windows == "crops":
            return by_crops(self.network, self.step, engine, batch)
        return one_pass(self.network, self.step, engine)

    def activated(self, made: Sequence[Array]) -> list[Array]:
        """Return the scores ``(K, *cells)`` of each output as they are kept."""
        first, *others = made
        return [activated(self.activation, first), *others]

    def outputs(self, cut: Plan) -> dict[str, Output]:
        """Describe the scores of all windows, one chunk per tile."""
        whole, one_tile = self.lead(len(self.images)), self.lead(1)
        return {
            name: Output((*whole, channels, *cut.cells), (*one_tile, channels, *cut.kept), dtype)
            for name, (channels, dtype) in self.network.outputs.items()
        }

    def record(self, engine: Engine, cut: Plan, batch: int) -> Record:
        """Write down, for JSON, all that the scores depend on; threads may change last bits."""
        record = {
            "fcconv": fcconv.__version__,
            "network": digest(self.network.model),
            "image": [image.identity() for image in self.images],
            "preparation": str(self.preparation),
            "size": list(self.size),
            "window": list(self.network.window),
            "stride": list(self.network.stride),
            "windows": self.windows,
            "engine": engine.name,
            "tile": list(cut.kept),
            "batch": batch,
        }
        # what was not asked for is not said, as it never was
        if self.activation is not None:
            record["activation"] = self.activation
        if engine.providers:
            record["providers"] = list(engine.providers)
        if engine.device:
            record["device"] = engine.device
        return record if self.selection is None else {**record, **self.selection.record()}


def make_job(
    network: Network,
    image: Any,
    *,
    windows: str | None = None,
    preparation: Preparation | None = None,
    labels: Sequence[str] | None = None,
    activation: str | None = None,
    region: Sequence[slice] | None = None,
    mask: Any = None,
    pad: str | None = None,
    **reading: Unpack[Reading],
) -> Job:
    """Check what is to be scanned; see :func:`fcconv.scanning.scan.scan`."""
    steps = (
        Preparation()
        if preparation is None
        else check_type(preparation, Preparation, "preparation")
    )
    opened: Sequence[Image | Resized]
    with explained(network):
        if isinstance(image, Image | Resized):
            _check_left_out(as_reading({**reading}))
            opened, batched = [image], False
        elif _is_opened_batch(image):
            _check_left_out(as_reading({**reading}))
            opened, batched = image, True
        else:
            opened, batched = open_sized(image, len(network.window), **reading)
        images: Sequence[Opened] = opened
        if pad is not None:
            images = [padded(one, network.window, network.stride, pad) for one in opened]
        prepared = steps.resolved(images[0].dtype, images[0].bits, images[0].nodata)
        check_channels(images[0], prepared, network.layout.channels)
        check_sample_rate(network, images[0])
    check_size(images[0].size, network.window)
    check_activation(activation, network.outputs, network.patch)
    selection = make_selection(images[0], network.window, network.stride, region, mask)
    if selection is not None:
        _check_nan(network)
    if len(images) > 1 and isinstance(mask, str) and mask == TISSUE:
        raise UnsupportedError(
            f"mask 'tissue' (--mask tissue) is that of one image, here are {len(images)}: page "
            f"(--page) takes one of them"
        )
    return Job(
        network,
        images,
        batched,
        prepared,
        "crops" if network.cut_out else windows or shared_if_exact(network),
        labels_of(network, labels),
        activation,
        selection,
    )


def _is_opened_batch(image: Any) -> bool:
    return isinstance(image, list) and all(isinstance(one, Image | Resized) for one in image)


def _check_nan(network: Network) -> None:
    """Check that scores can say that there is none."""
    for name, (_, dtype) in network.outputs.items():
        if dtype.kind in "iub":
            raise ArgumentError(
                f"region and mask (--region, --mask) leave windows without scores, but those of "
                f"the output {name!r} are {dtype}, which has no NaN to say so: leave them out"
            )


def _check_left_out(reading: Reading) -> None:
    """Check that nothing is said of how to open an image that is open."""
    for name, value in reading.items():
        raise ImageError(
            f"{name}={value!r} says how an image is to be opened, but this one is open: leave it "
            f"out"
        )
