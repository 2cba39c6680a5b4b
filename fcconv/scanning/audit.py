"""Audits: some windows of a scan are also cut out, to see how far the scores of a pass are off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcconv.errors import ArgumentError
from fcconv.images.blocks import blocks
from fcconv.scanning.cached import cached
from fcconv.scanning.cut_out import CutOut, Places
from fcconv.scanning.differences import Audit, Compared, Floats, by_distance, clopper_pearson
from fcconv.scanning.job import Job
from fcconv.scanning.peaks import Criterion, find_peaks

SCORES_PER_READ = 2**22
"""Scores that are read at a time."""

PEAK_CANDIDATES = 64
"""Strongest windows among which one peak is looked for."""

MAX_DRAWS = 16
"""How often windows are drawn anew where some have no score."""

MAX_PEAK_OVERLAP = 0.3
"""The area that two peaks may share."""


def check_audit(audit: Any, windows: str) -> None:
    """Check how many windows are to be scored twice.

    Raises
    ------
    ArgumentError
        If that is not a number of windows, or all are cut out already.
    """
    if isinstance(audit, bool) or not isinstance(audit, int | np.integer) or audit < 1:
        raise ArgumentError(f"audit needs a number of windows from 1 on, got {audit!r}")
    if windows == "crops":
        raise ArgumentError(
            f"audit={audit} compares a pass that windows share with windows that are cut out, but "
            f"all are cut out: leave it out"
        )


def audited(job: Job, scores: Any, windows: int, cut_out: CutOut) -> Audit | None:
    """Cut out some windows, and compare their scores with those of the pass.

    Half of them are drawn at random, a quarter are the strongest peaks, and a quarter those whose
    two highest scores are closest. Of a network with one class half are peaks.

    Parameters
    ----------
    job : Job
        What was scanned.
    scores : array, shape (K, *cells) or (N, K, *cells)
        The scores of its first output.
    windows : int
        How many to cut out, at most.
    cut_out : CutOut
        Scores windows that are cut out.

    Returns
    -------
    Audit or None
        What they say; None if no window has a score.
    """
    audit = _Auditor(job, cached(scores), cut_out)
    classes = audit.classes
    few = windows // 4 if classes > 1 else windows // 2
    peaks, edge = audit.remarkable(few)
    drawn = audit.drawn(windows - few * (2 if classes > 1 else 1))
    if not len(drawn):
        return None
    shared, crops = audit.compared(drawn)
    found = Compared.of(shared, crops)
    nearest = max(max(ends) for ends in job.network.sliding.margins)
    return Audit(
        drawn=found,
        peaks=Compared.of(*audit.compared(peaks)) if len(peaks) else None,
        edge=Compared.of(*audit.compared(edge)) if len(edge) else None,
        changed=None if found.changed is None else clopper_pearson(found.changed, found.windows),
        distances=by_distance(audit.distances(drawn), shared, crops, nearest),
    )


@dataclass(frozen=True, eq=False)
class _Auditor:
    """Chooses windows of a scan, and scores them again."""

    job: Job
    scores: Any
    cut_out: CutOut

    @property
    def cells(self) -> tuple[int, ...]:
        """Windows along each axis."""
        cells: tuple[int, ...] = self.scores.shape[-len(self.job.network.window) :]
        return cells

    @property
    def classes(self) -> int:
        """Channels of the scores."""
        return int(self.scores.shape[-len(self.cells) - 1])

    def drawn(self, count: int) -> Places:
        """Draw windows that have a score, each as likely as any other."""
        shape = len(self.job.images), *self.cells
        rng, total = np.random.default_rng(0), math.prod(shape)
        order = rng.choice(total, min(total, MAX_DRAWS * count), replace=False)
        kept = np.empty((0, len(shape)), np.int64)
        for start in range(0, len(order), count):
            numbers = np.sort(order[start : start + count])  # so that chunks are read once
            places = np.stack(np.unravel_index(numbers, shape), axis=-1)
            scored = np.isfinite(self._of_pass(places)).all(axis=1)
            kept = np.concatenate([kept, places[scored]])
            if len(kept) >= count:
                break
        return kept[:count]

    def remarkable(self, count: int) -> tuple[Places, Places]:
        """Find the strongest peaks, and the windows whose two highest scores are closest."""
        images = range(len(self.job.images))
        found = [self._remarkable(number, count // len(images)) for number in images]
        peaks, edge = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return peaks, edge

    def _remarkable(self, number: int, count: int) -> tuple[Places, Places]:
        lead, none = self.job.lead(number), np.empty((0, 1 + len(self.cells)), np.int64)
        if not count:
            return none, none
        strong, gaps, cells = np.empty(0), np.empty(0), np.empty(0, np.int64)
        for piece in blocks(
            self.cells, [1] * len(self.cells), max(SCORES_PER_READ // self.classes, 1)
        ):
            part = np.asarray(self.scores[(*lead, slice(0, self.classes), *piece)], np.float64)
            flat = part.reshape(self.classes, -1)
            scored = np.flatnonzero(np.isfinite(flat).all(axis=0))
            highest = np.sort(flat[:, scored], axis=0)[-2:]
            strong = np.sort(np.concatenate([strong, highest[-1]]))[-PEAK_CANDIDATES * count :]
            if self.classes > 1:
                there = np.unravel_index(scored, part.shape[1:])
                places = [k + p.start for k, p in zip(there, piece, strict=True)]
                cells = np.concatenate([cells, np.ravel_multi_index(places, self.cells)])
                gaps = np.concatenate([gaps, highest[1] - highest[0]])
                closest = np.argsort(gaps, kind="stable")[:count]
                gaps, cells = gaps[closest], cells[closest]
        if not len(strong):
            return none, none
        network = self.job.network
        criterion = Criterion(network.window, network.stride, float(strong[0]), MAX_PEAK_OVERLAP)
        peaks, _ = find_peaks(self.scores, lead, range(self.classes), criterion, lambda part: None)
        edge = np.stack(np.unravel_index(np.sort(cells), self.cells), axis=-1)
        return _with_image(number, peaks[:count, 1:]), _with_image(number, edge)

    def compared(self, places: Places) -> tuple[Floats, Floats]:
        """Return the scores of windows, ``(n, K)``: in the pass, and cut out."""
        return self._of_pass(places), self.cut_out(places)

    def _of_pass(self, places: Places) -> Floats:
        every = slice(0, self.classes)
        found = [
            np.asarray(self.scores[(*self.job.lead(number), every, *cell)], np.float64)
            for number, *cell in places.tolist()
        ]
        return np.array(found, np.float64).reshape(len(places), self.classes)

    def distances(self, places: Places) -> Places:
        """Return how many pixels lie between windows and the border of the image."""
        starts = places[:, 1:] * np.array(self.job.network.stride)
        ends = np.array(self.job.size) - starts - np.array(self.job.network.window)
        nearest: Places = np.minimum(starts, ends).min(axis=1)
        return nearest


def _with_image(number: int, cells: Places) -> Places:
    return np.insert(cells, 0, number, axis=1)
