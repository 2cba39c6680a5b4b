"""A run of a job: in which tiles, on which engine; and what its scores are kept with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fcconv.graph.engines.compiling import Engine
from fcconv.scanning import cutting
from fcconv.scanning.engine import Score, checked
from fcconv.scanning.job import Job
from fcconv.scanning.outputs import Output
from fcconv.scanning.plan import Plan
from fcconv.scanning.records import Record


@dataclass(frozen=True, eq=False)
class Run:
    """A job, and all else that its scores depend on.

    Attributes
    ----------
    job : Job
        What is to be done.
    engine : Engine
        What computes.
    cut : Plan
        The tiles of an image.
    batch : int
        Windows that are scored together if each is cut out.
    """

    job: Job
    engine: Engine
    cut: Plan
    batch: int

    @functools.cached_property
    def record(self) -> Record:
        """What tells it from other runs; an image in memory is read for it."""
        return self.job.record(self.engine, self.cut, self.batch)

    @property
    def outputs(self) -> Mapping[str, Output]:
        """The scores of all windows, one chunk per tile."""
        return self.job.outputs(self.cut)

    def score(self) -> Score:
        """Make what scores a tile."""
        return self.job.score(self.engine, self.batch)

    def __reduce__(self) -> tuple[Callable[..., Run], tuple[Any, ...]]:
        """Pickle it without the record: another machine looks at the image that it has."""
        return Run, (self.job, self.engine, self.cut, self.batch)


def plan_run(job: Job, engine: Engine, memory: int, before: Record | None) -> Run:
    """Decide how a job is done.

    Parameters
    ----------
    job : Job
        What is to be done.
    engine : Engine
        What computes; "auto" for that of the run before, or the fastest.
    memory : int
        Bytes that a tile may take.
    before : dict or None
        The record of a run that is to be gone on with, in its tiles.

    Raises
    ------
    ArgumentError
        If not even the smallest tile fits into memory.
    """
    if engine.name == "auto" and before:
        engine = checked(str(before.get("engine")), before.get("providers"), before.get("device"))
    elif engine.name == "auto":
        engine = Engine(cutting.fastest_engine(job, memory))
    cut, batch = cutting.planned_before(job, before) or cutting.planned(job, memory, engine.name)
    return Run(job, engine, cut, batch)
