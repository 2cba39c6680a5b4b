"""Scores some windows of a scan again, each cut out."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.graph.engines.compiling import Engine
from fcconv.scanning.cutting import planned
from fcconv.scanning.differences import Floats
from fcconv.scanning.engine import Cropped, by_crops
from fcconv.scanning.job import Job

Places: TypeAlias = npt.NDArray[np.int64]
"""Windows: image and cell, ``(n, 1 + axes)``."""


@dataclass(frozen=True, eq=False)
class CutOut:
    """Cuts windows of a scan out, and scores them.

    Attributes
    ----------
    job : Job
        What was scanned.
    engine : Engine
        What computes.
    memory : int
        Bytes that a batch may take.
    """

    job: Job
    engine: Engine
    memory: int

    def __call__(self, places: Places) -> Floats:
        """Return the scores of the first output for some windows, ``(n, K)``."""
        order = np.lexsort(places.T[::-1])  # some files are read from the beginning only
        found = [
            self._scores(places[order[start : start + self._score.batch]])
            for start in range(0, len(places), self._score.batch)
        ]
        return np.concatenate(found)[np.argsort(order)]

    def _scores(self, places: Places) -> Floats:
        job, windows = self.job, []
        for number, *cell in places.tolist():
            starts = [k * step for k, step in zip(cell, job.step, strict=True)]
            ends = zip(starts, job.network.window, strict=True)
            windows.append(job.read(number, tuple(slice(a, a + n) for a, n in ends))[0])
        made = self._score(np.concatenate(windows, axis=1))
        scores = np.asarray(job.activated(made)[0], np.float64)
        return scores.reshape(-1, len(places)).T

    @functools.cached_property
    def _score(self) -> Cropped:
        """What scores as many windows as fit into the memory; made when it is first asked."""
        network = self.job.network
        _, batch = planned(replace(self.job, windows="crops"), self.memory, self.engine.name)
        return by_crops(network, network.window, self.engine, batch)
