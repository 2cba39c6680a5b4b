"""What a stream tells, cell by cell or event by event: records, with times in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt


@dataclass
class Events:
    """Makes records of cells.

    Attributes
    ----------
    rate : float
        Samples in a second.
    window, stride : int
        Samples of a window, and from one to the next.
    names : sequence of str
        Names of the outputs.
    threshold : float, optional
        Lowest score of an event, of the first output; without it each cell is a record.
    refractory : float
        Seconds from the start of an event to that of the next of its class, at least.
    last : dict of int to int
        The sample at which the last event of each class starts.
    """

    rate: float
    window: int
    stride: int
    names: Sequence[str]
    threshold: float | None = None
    refractory: float = 0.0
    last: dict[int, int] = field(default_factory=dict)

    def records(self, start: int, scores: Sequence[npt.NDArray[Any]]) -> Iterator[dict[str, Any]]:
        """Yield what is to be told of cells.

        Parameters
        ----------
        start : int
            Sample at which the window of the first starts.
        scores : sequence of array, each of shape (K, cells)
            The cells of each output.
        """
        for k in range(scores[0].shape[1]):
            first = start + k * self.stride
            when = {"start": self._seconds(first), "end": self._seconds(first + self.window)}
            cell = [output[:, k] for output in scores]
            if self.threshold is None:
                yield {**when, **self._cell(cell)}
                continue
            for number, score in enumerate(cell[0]):
                if score >= self.threshold and self._is_new(number, first):
                    yield {**when, "class": number, "score": _number(score)}

    def _cell(self, cell: Sequence[npt.NDArray[Any]]) -> Mapping[str, Any]:
        named = {
            name: [*map(_number, scores)] for name, scores in zip(self.names, cell, strict=True)
        }
        return {"scores": named[self.names[0]] if len(named) == 1 else named}

    def _is_new(self, number: int, first: int) -> bool:
        if number in self.last and first - self.last[number] < self.refractory * self.rate:
            return False
        self.last[number] = first
        return True

    def _seconds(self, samples: int) -> float:
        return round(samples / self.rate, 6)


def _number(score: Any) -> float | int | None:
    """Write a score in as few digits as tell it; JSON has no NaN, and no infinity."""
    if score.dtype.kind in "iub":
        return int(score)
    return float(str(score)) if math.isfinite(score) else None
