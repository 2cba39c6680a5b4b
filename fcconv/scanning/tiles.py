"""The tiles of a scan, one after the other: read, scored, written and counted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from fcconv.images.missing import Mask, count_unscored, masked
from fcconv.scanning.engine import Score
from fcconv.scanning.job import Job
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
    """What became of the tiles, and which windows have no score.

    Attributes
    ----------
    computed : int
        Tiles that were computed.
    skipped : list of bool
        For each tile whether it was not even looked at: none of its windows is wanted.
    unscored, outside : int
        Windows that hold a pixel without a value, and others that are not wanted.
    """

    computed: int
    skipped: list[bool]
    unscored: int
    outside: int


class _Left(NamedTuple):
    """A tile that is to be scored: of which image, and how many of its windows are not wanted."""

    number: int
    tile: Tile
    left_out: int


class _Ready(NamedTuple):
    """A tile that can be scored: its pixels, and the cells that are to have no score."""

    tile: Tile
    pixels: Array
    without: Mask | None


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
        if left_out < tile.windows:
            unscored += count_unscored(scores, len(cut.axes)) - left_out
        done = done._replace(tiles=done.tiles + 1, windows=done.windows + tile.windows)

    left: list[_Left] = []
    skipped: list[bool] = []
    for number, tile in tiles:
        unwanted = job.unwanted(tile)
        left_out = 0 if unwanted is None else int(unwanted.sum())
        skipped.append(left_out == tile.windows)
        if skipped[-1]:
            store.skip(chunk(number, tile))
            count(tile, (), left_out)
        else:
            finished = store.read(chunk(number, tile))  # once
            if finished is None:
                left.append(_Left(number, tile, left_out))
                continue
            count(tile, finished.values(), left_out)
        done = done._replace(before=done.windows)
        report(done)

    def read(item: _Left) -> _Ready:
        number, tile, left_out = item
        pixels, missing = job.read(number, tile.pixels)
        without = job.without_score(number, tile, missing)
        unwanted = job.unwanted(tile) if left_out else None
        if unwanted is not None:
            without = unwanted if without is None else without | unwanted
        return _Ready(tile, pixels, without)

    def compute(ready: _Ready) -> list[Array]:
        tile, pixels, without = ready
        if without is not None and without.all():
            return job.blank(without.shape)
        made = [np.ascontiguousarray(x) for x in job.activated(score(pixels, tile.inner))]
        return made if without is None else [masked(x, without) for x in made]

    def write(item: _Left, made: list[Array]) -> None:
        number, tile, left_out = item
        scores = (x.reshape(*job.lead(1), *x.shape) for x in made)
        store.write(chunk(number, tile), dict(zip(names, scores, strict=True)))
        count(tile, made, left_out)
        report(done)

    pipeline(left, read, compute, write)
    return Tally(len(left), skipped, unscored, outside)
