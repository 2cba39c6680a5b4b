"""The tiles of a scan, one after the other: read, scored, written and counted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from fcconv.scanning.engine import Score
from fcconv.scanning.job import Job
from fcconv.scanning.missing import Mask, count_unscored, masked
from fcconv.scanning.network_layout import Array
from fcconv.scanning.pipeline import pipeline
from fcconv.scanning.plan import Plan, Tile
from fcconv.scanning.store import Store


class Progress(NamedTuple):
    """How far a scan is.

    Attributes
    ----------
    tiles, all_tiles : int
        Tiles that are finished, and all.
    windows, all_windows : int
        Windows of these.
    before : int
        How many of the windows an earlier run scored: finished tiles are checked first.
    """

    tiles: int
    all_tiles: int
    windows: int
    all_windows: int
    before: int


class Tally(NamedTuple):
    """What became of the tiles: how many were computed, and the windows without a score.

    Those are counted apart that hold a pixel without a value, and that were not wanted.
    """

    computed: int
    unscored: int
    outside: int


class _Ready(NamedTuple):
    """A tile that can be scored.

    Its pixels, if any window is wanted, the cells that get no score, and how many of these were
    not wanted.
    """

    tile: Tile
    pixels: Array | None
    without: Mask | None
    left_out: int


def score_tiles(
    job: Job, score: Score, cut: Plan, store: Store, report: Callable[[Progress], None]
) -> Tally:
    """Score the tiles that are not finished."""
    names = list(job.outputs(cut))
    tiles = list(itertools.product(range(len(job.images)), cut))
    done = Progress(0, len(tiles), 0, math.prod(cut.cells) * len(job.images), 0)
    unscored = outside = 0
    report(done)

    def chunk(number: int, tile: Tile) -> tuple[int, ...]:
        return (*job.lead(number), 0, *tile.index)

    def count(tile: Tile, scores: Iterable[Array], left_out: int) -> None:
        """Count a tile as finished, by its scores of each output."""
        nonlocal done, unscored, outside
        outside += left_out
        unscored += count_unscored(scores, len(cut.axes)) - left_out
        done = done._replace(tiles=done.tiles + 1, windows=done.windows + tile.windows)

    left: list[tuple[int, Tile]] = []
    for number, tile in tiles:
        finished = store.read(chunk(number, tile))  # once
        if finished is None:
            left.append((number, tile))
            continue
        unwanted = job.unwanted(tile)
        count(tile, finished.values(), 0 if unwanted is None else int(unwanted.sum()))
        done = done._replace(before=done.windows)
        report(done)

    def read(item: tuple[int, Tile]) -> _Ready:
        number, tile = item
        unwanted = job.unwanted(tile)
        left_out = 0 if unwanted is None else int(unwanted.sum())
        if left_out == tile.windows:
            return _Ready(tile, None, unwanted, left_out)
        pixels, missing = job.read(number, tile.pixels)
        without = job.without_score(number, tile, missing)
        if unwanted is not None:
            without = unwanted if without is None else without | unwanted
        return _Ready(tile, pixels, without, left_out)

    def compute(ready: _Ready) -> tuple[list[Array], int]:
        tile, pixels, without, left_out = ready
        if pixels is None or (without is not None and without.all()):
            return job.blank(tuple(part.stop - part.start for part in tile.cells)), left_out
        made = [np.ascontiguousarray(x) for x in job.activated(score(pixels, tile.inner))]
        return made if without is None else [masked(x, without) for x in made], left_out

    def write(item: tuple[int, Tile], computed: tuple[list[Array], int]) -> None:
        (number, tile), (made, left_out) = item, computed
        scores = (x.reshape(*job.lead(1), *x.shape) for x in made)
        store.write(chunk(number, tile), dict(zip(names, scores, strict=True)))
        count(tile, made, left_out)
        report(done)

    pipeline(left, read, compute, write)
    return Tally(len(left), unscored, outside)
