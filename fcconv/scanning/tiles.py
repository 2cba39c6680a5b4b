"""The tiles of a scan, one after the other: read, scored, written and counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from fcconv.images.missing import Mask, count_unscored, masked
from fcconv.scanning.engine import Score
from fcconv.scanning.job import Job
from fcconv.scanning.network_layout import Array
from fcconv.scanning.pipeline import pipeline
from fcconv.scanning.plan import Part, Tile, share
from fcconv.scanning.run import Run
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
    tiles, computed : int
        Tiles that this run was to finish, and how many of them it computed.
    skipped : list of bool
        For each tile of the image whether it was not even looked at: none of its windows is wanted.
    unscored, outside : int
        Windows that hold a pixel without a value, and others that are not wanted.
    """

    tiles: int
    computed: int
    skipped: list[bool]
    unscored: int
    outside: int


class Asked(NamedTuple):
    """A tile, and what is asked for in it.

    Attributes
    ----------
    chunk : tuple of int
        Where its scores go.
    number : int
        Which image it is of.
    tile : Tile
        What is read and kept.
    left_out : int
        How many of its windows are not wanted.
    """

    chunk: tuple[int, ...]
    number: int
    tile: Tile
    left_out: int

    @property
    def is_skipped(self) -> bool:
        """Whether none of its windows is wanted."""
        return self.left_out == self.tile.windows


class _Ready(NamedTuple):
    """A tile that can be scored: its pixels, and the cells that are to have no score."""

    tile: Tile
    pixels: Array
    without: Mask | None


def score_tiles(
    run: Run,
    score: Score,
    store: Store,
    report: Callable[[Progress], None],
    part: Part | None = None,
) -> Tally:
    """Score the tiles that are not finished: of the whole image, or of a part of its tiles.

    A part has an equal share of the tiles that hold windows which are wanted. They follow each
    other, as those that lie near each other read the same parts of a file.
    """
    job = run.job
    names = list(run.outputs)
    every = tiles_of(run)
    own = every if part is None else share([tile for tile in every if not tile.is_skipped], part)
    done = Progress(0, len(own), 0, sum(item.tile.windows for item in own), 0)
    unscored = outside = 0
    report(done)

    def count(item: Asked, scores: Iterable[Array]) -> None:
        """Count a tile as finished, by its scores of each output."""
        nonlocal done, unscored, outside
        outside += item.left_out
        if not item.is_skipped:
            unscored += count_unscored(scores, len(item.tile.cells)) - item.left_out
        done = done._replace(tiles=done.tiles + 1, windows=done.windows + item.tile.windows)

    chunks = {item.chunk for item in own}
    for item in every:
        if item.chunk not in chunks:
            store.skip(item.chunk)
    left: list[Asked] = []
    for item in own:
        if item.is_skipped:
            store.skip(item.chunk)
            count(item, ())
        else:
            finished = store.read(item.chunk)  # once
            if finished is None:
                left.append(item)
                continue
            count(item, finished.values())
        done = done._replace(before=done.windows)
        report(done)

    def write(item: Asked, made: list[Array]) -> None:
        scores = (x.reshape(*job.lead(1), *x.shape) for x in made)
        store.write(item.chunk, dict(zip(names, scores, strict=True)))
        count(item, made)
        report(done)

    pipeline(left, partial(_read, job), partial(_scored, job, score), write)
    skipped = [item.is_skipped for item in every]
    return Tally(len(own), len(left), skipped, unscored, outside)


def _read(job: Job, item: Asked) -> _Ready:
    """Read a tile, and see which of its cells are to have no score."""
    pixels, missing = job.read(item.number, item.tile.pixels)
    without = job.without_score(item.number, item.tile, missing)
    unwanted = job.unwanted(item.tile) if item.left_out else None
    if unwanted is not None:
        without = unwanted if without is None else without | unwanted
    return _Ready(item.tile, pixels, without)


def _scored(job: Job, score: Score, ready: _Ready) -> list[Array]:
    """Score a tile: an array for each output, NaN where there is to be no score."""
    tile, pixels, without = ready
    if without is not None and without.all():
        return job.blank(without.shape)
    made = [np.ascontiguousarray(x) for x in job.activated(score(pixels, tile.inner))]
    return made if without is None else [masked(x, without) for x in made]


def tiles_of(run: Run) -> list[Asked]:
    """List the tiles of all images, row by row."""
    job, found = run.job, []
    for number, tile in itertools.product(range(len(job.images)), run.cut):
        unwanted = job.unwanted(tile)
        left_out = 0 if unwanted is None else int(unwanted.sum())
        found.append(Asked((*job.lead(number), 0, *tile.index), number, tile, left_out))
    return found
