"""How a job is cut: into which tiles, within some memory, and on which engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from fcconv.errors import ArgumentError
from fcconv.graph.engines.compiling import Engine
from fcconv.graph.running.run import fixed_batch
from fcconv.images.layouts import unit
from fcconv.scanning.engine import Score, fastest
from fcconv.scanning.job import Job
from fcconv.scanning.memory import Footprint, corners, footprint_of
from fcconv.scanning.plan import Plan, plans
from fcconv.scanning.records import Record

FEWEST_CROPS, MOST_CROPS = 16, 256
"""Windows that are scored together, if each is cut out: some, so that weights are read once for
several, and no more than pay."""

TRIAL_PIXELS, TRIAL_CELLS = 160, 4
"""Most pixels along an axis of the tile on which engines are timed, or cells where that is more."""

ENOUGH_TILE_BYTES = 2**26
"""Bytes from which on smaller tiles are not faster, as fresh memory costs time, too."""

ENOUGH_BATCH_BYTES = 2**25
"""Bytes from which on larger batches of cut out windows are not faster, but leave caches."""

MOST_BATCHES = 64
"""Batches of cut out windows in a tile, so that an interrupted run loses little."""

MOST_REPEATED = 1.1
"""Pixels that such tiles may read, in parts of the image's."""


def fastest_engine(job: Job, memory: int) -> str:
    """Find the engine that is the fastest on a small tile of the first image."""
    cut = next(
        cut
        for cut in ways(job)
        if all(a.pixels <= TRIAL_PIXELS or a.kept <= TRIAL_CELLS for a in cut.axes)
    )
    pixels, _ = job.read(0, next(iter(cut)).pixels)
    share = math.prod(cut.scored) / math.prod(cut.cells) / len(job.images)

    def make(engine: str) -> Score:
        _, batch = planned(job, memory, engine)
        return job.score(Engine(engine), min(batch, math.prod(cut.scored)))

    return fastest(make, pixels, share)


def planned(job: Job, memory: int, engine: str) -> tuple[Plan, int]:
    """Cut the images into tiles that stay within some bytes of memory, on an engine.

    Returns
    -------
    Plan, int
        The tiles, and how many windows are scored together if each is cut out.

    Raises
    ------
    ArgumentError
        If not even the smallest tile does.
    """
    footprint, batch = _footprint(job, engine), 1
    computed = 0  # by a batch, which is as large for every tile
    if job.windows == "crops":
        each = footprint.bytes(()) // _fixed_batch(job) + 1
        batch = _fixed_batch(job) * max(_crops(each, memory) // _fixed_batch(job), 1)
        computed = each * batch
    scores = sum(channels * dtype.itemsize for channels, dtype in job.network.outputs.values())
    layout = job.network.layout
    prepared = layout.channels * layout.dtype.itemsize + 1  # and what has no value

    def needed(cut: Plan) -> int:
        read = job.source(0).bytes(cut.pixels) + math.prod(cut.pixels) * prepared
        # one tile is read, and one written, while one is computed
        both = 2 * (read + math.prod(cut.scored) * scores)
        if job.windows == "crops":
            return both
        own = job.network.sliding.stride
        # a stride more for what remains of the image at its end
        return both + footprint.bytes(
            [
                -(-(axis.pixels - axis.window) // n)
                for axis, n in zip(cut.axes, own, strict=True)
                if axis.window + n <= axis.size
            ]
        )

    def is_many(cut: Plan) -> bool:
        return job.windows == "crops" and math.prod(cut.kept) > MOST_BATCHES * batch

    chosen = None
    for cut in ways(job):  # ever smaller
        takes = needed(cut)
        if takes + computed > memory or is_many(cut):
            continue
        if chosen is None or cut.repeated <= MOST_REPEATED:
            chosen = cut
        if takes <= ENOUGH_TILE_BYTES or math.prod(cut.kept) <= batch:
            break
    if chosen is None:
        *_, smallest = ways(job)
        takes = needed(smallest) + computed
        raise ArgumentError(
            f"not even the smallest tile of {smallest.pixels} {unit(len(job.size))}, which "
            f"needs {takes / 1e6:,.1f} MB, fits: allow more memory"
        )
    count = math.prod(chosen.kept)
    return chosen, -(-count // -(-count // batch))  # batches of one size


def _footprint(job: Job, engine: str) -> Footprint:
    """Describe the memory of a pass over a tile, or of a batch of windows."""
    network, layout = job.network, job.network.layout
    if job.windows == "crops":
        shape = layout.shape(network.window, _fixed_batch(job))
        return footprint_of(network.patch, [shape], engine)
    sliding = network.sliding
    tiles = corners(job.source(0).size, sliding.window, sliding.stride)
    return footprint_of(sliding.model, [layout.shape(tile) for tile in tiles], engine)


def _fixed_batch(job: Job) -> int:
    """Windows that the network scores at a time, if each is cut out; one if that is free."""
    return fixed_batch(job.network.patch.graph.inputs) or 1


def planned_before(job: Job, record: Record | None) -> tuple[Plan, int] | None:
    """Return the tiles and the batch of an earlier run; None without any that fit the image."""
    told: dict[str, Any] = record or {}
    kept, batch = told.get("tile", []), told.get("batch", 0)
    if not (_are_counts(kept) and _are_counts([batch]) and len(kept) == len(job.size)):
        return None
    whole = next(ways(job))
    axes = (replace(axis, kept=n) for axis, n in zip(whole.axes, kept, strict=True))
    return Plan(tuple(axes)), batch


def ways(job: Job) -> Iterator[Plan]:
    """Yield ways to cut the images, from one tile to one for each window."""
    window = job.network.window
    if job.windows == "crops":
        margins: Sequence[tuple[int, int]] = ((0, 0),) * len(window)
    else:
        margins = job.network.sliding.margins
    return plans(job.source(0).size, window, job.step, margins)


def _crops(each: int, memory: int) -> int:
    """Return how many windows are scored together, of which each takes some bytes."""
    enough = max(ENOUGH_BATCH_BYTES // each, FEWEST_CROPS)
    return max(min(memory // 2 // each, enough, MOST_CROPS), 1)


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and n > 0 for n in numbers)
