"""How far the scores of a shared pass are from those of windows that are cut out: what is found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
"""Probability with which an interval holds what it is about."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """Some windows, each scored twice: in the pass, and cut out.

    Attributes
    ----------
    windows : int
        How many.
    median, most, largest : float
        The largest difference of a window's scores: in the middle of the windows, at 95 % of them,
        and of all.
    changed : int or None
        Windows in which another class scores highest; None where there is one class.
    """

    windows: int
    median: float
    most: float
    largest: float
    changed: int | None

    @classmethod
    def of(cls, shared: Floats, crops: Floats) -> Compared:
        """Compare the scores ``(n, K)`` of some windows."""
        apart = differences(shared, crops)
        median, most, largest = np.quantile(apart, [0.5, 0.95, 1], method="higher").tolist()
        changed = None
        if shared.shape[1] > 1:
            changed = int((shared.argmax(axis=1) != crops.argmax(axis=1)).sum())
        return cls(len(apart), median, most, largest, changed)

    def told(self) -> str:
        """Say it in words."""
        words = (
            f"{self.windows:,} window{'s' * (self.windows != 1)}: median {self.median:.3g}, "
            f"95 % within {self.most:.3g}, largest {self.largest:.3g}"
        )
        if self.changed is None:
            return words
        return f"{words}; another class wins in {self.changed:,}"


@dataclass(frozen=True)
class Audit:
    """What windows say that were scored in a shared pass, and cut out as well.

    Attributes
    ----------
    drawn : Compared
        Windows drawn at random, each as likely as any other.
    peaks, edge : Compared or None
        Those of the strongest peaks, and those whose two highest scores are closest; None where
        there are none.
    changed : tuple of (float, float) or None
        The part of all windows in which another class wins lies between these, with 95 %
        confidence (Clopper and Pearson's interval); None where there is one class.
    distances : tuple of (int, int, Compared)
        The windows drawn, by their distance from the border of the image: from so many pixels on,
        and less than so many.
    """

    drawn: Compared
    peaks: Compared | None
    edge: Compared | None
    changed: tuple[float, float] | None
    distances: tuple[tuple[int, int, Compared], ...]

    @classmethod
    def restored(cls, told: Mapping[str, Any]) -> Audit:
        """Return what :func:`dataclasses.asdict` made a record of, which JSON may have held."""

        def compared(name: str) -> Compared | None:
            return None if told[name] is None else Compared(**told[name])

        return cls(
            Compared(**told["drawn"]),
            compared("peaks"),
            compared("edge"),
            None if told["changed"] is None else tuple(told["changed"]),
            tuple((start, stop, Compared(**found)) for start, stop, found in told["distances"]),
        )

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each statement as a name and what is found."""
        yield "drawn at random", self.drawn.told()
        if self.changed is not None:
            low, high = self.changed
            yield (
                "another class wins in",
                f"{100 * low:.3g} to {100 * high:.3g} % of all windows, with 95 % confidence",
            )
        if self.peaks is not None:
            yield "at the strongest peaks", self.peaks.told()
        if self.edge is not None:
            yield "at the closest decisions", self.edge.told()
        for start, stop, found in self.distances:
            far = f"{start:,} to {stop - 1:,} pixels from the border"
            yield "at the border" if stop == 1 else far, found.told()


def differences(shared: Floats, crops: Floats) -> Floats:
    """Return the largest difference of each window's scores, ``(n, K)``."""
    found: Floats = np.abs(shared - crops).max(axis=1)
    return found


def by_distance(
    distances: npt.NDArray[np.int64], shared: Floats, crops: Floats, nearest: int
) -> tuple[tuple[int, int, Compared], ...]:
    """Compare windows by their distance from the border: up to `nearest`, then twice as far ..."""
    found, start, stop = [], 0, max(nearest, 1)
    while start <= distances.max():
        here = (start <= distances) & (distances < stop)
        if here.any():
            found.append((start, stop, Compared.of(shared[here], crops[here])))
        start, stop = stop, 2 * stop
    return tuple(found)


def clopper_pearson(count: int, total: int) -> tuple[float, float]:
    """Return the interval that holds a probability of which `count` of `total` trials were seen.

    Examples
    --------
    >>> low, high = clopper_pearson(0, 100)
    >>> low, round(high, 4)
    (0.0, 0.0362)
    """
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if count == 0 else _last(lambda p: 1 - _at_most(count - 1, total, p) < tail)
    high = 1.0 if count == total else _last(lambda p: _at_most(count, total, p) > tail)
    return low, high


def _last(holds: Callable[[float], bool]) -> float:
    """Find up to which probability something holds."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2


def _at_most(count: int, total: int, p: float) -> float:
    """Return the probability of at most so many of so many trials, each with a probability."""
    every = math.lgamma(total + 1)
    logs = (
        every
        - math.lgamma(k + 1)
        - math.lgamma(total - k + 1)
        + k * math.log(p)
        + (total - k) * math.log1p(-p)
        for k in range(count + 1)
    )
    return math.fsum(map(math.exp, logs))
