"""The suite of peaks: how long they take to be found, and how much memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.scanning.result import Scan
from fcconv_bench.suite import Facts, Prepared, Suite
from fcconv_bench.ways import Way

Array = npt.NDArray[Any]

SORT = "sort"
SEARCH = "search"

MAPS: Mapping[str, Callable[[tuple[int, ...], Array], Array]] = {
    "noise": lambda cells, noise: noise,
    "every second cell": lambda cells, noise: noise + _every_second(cells),
    "every second cell of a ramp": lambda cells, noise: (
        np.indices(cells).sum(axis=0) / sum(cells) + _every_second(cells)
    ),
    "a plateau": lambda cells, noise: np.ones(cells, np.float32),
}
"""Maps of scores, by their shape and noise from 0 to 1, half of which reaches a half or more."""


def _every_second(cells: tuple[int, ...]) -> Array:
    """Raise every second cell along each axis, so that it is higher than those beside it."""
    return np.asarray((np.indices(cells) % 2 == 0).all(axis=0), np.float32)


@dataclass(frozen=True)
class Scores:
    """A map whose peaks are 64 pixels wide.

    Attributes
    ----------
    group : str
        One of `MAPS`.
    cells : tuple of int
        Its shape.
    stride : int
        Pixels from one window to the next along each axis.
    overlap : float
        That of two peaks at most.
    """

    group: str
    cells: tuple[int, ...]
    stride: int
    overlap: float

    @property
    def name(self) -> str:
        """All that it is."""
        cells = "x".join(map(str, self.cells))
        return f"{self.group}, {cells}, stride {self.stride}, overlap {self.overlap}"

    def small(self) -> Scores:
        """Shrink the map."""
        return replace(self, cells=tuple(min(n, 20) for n in self.cells))

    def can(self, _way: str, _engine: str) -> bool:
        """Whether it takes a reasonable time: it does."""
        return True

    def scan(self) -> Scan:
        """Return a scan with the scores of the map, as an image just large enough would have."""
        noise = np.random.default_rng(0).random(self.cells, np.float32)
        scores = np.asarray(MAPS[self.group](self.cells, noise), np.float32)[None]
        rank, stride = len(self.cells), self.stride
        return Scan(
            {"score": scores}, ("score",), tuple((n - 1) * stride + 64 for n in self.cells),
            (64,) * rank, (stride,) * rank, "shared", True, (), "numpy", "as it is", 1, 1, 0.0,
        )  # fmt: skip

    def prepare(self, way: str, _engine: str) -> Prepared:
        """Return the search for peaks, or the least that it takes: to sort what may be one."""
        scan = self.scan()
        if way == SEARCH:
            call: Callable[[], Any] = partial(scan.peaks, "score", 0.5, overlap=self.overlap)
        else:
            call = partial(np.argsort, scan.scores[scan.scores >= 0.5])
        return Prepared(call, Facts(output_bytes=0))


def suite() -> Suite[Scores]:
    """Return a million scores, half of which may be peaks, in one to three axes."""
    maps = [
        ((1000, 1000), 16, (0.3, 0, 1)),
        ((1000, 1000), 1, (0.3, 0, 0.9)),
        ((1_000_000,), 1, (0.3,)),
        ((100, 100, 100), 16, (0.3,)),
    ]
    cases = tuple(
        Scores(name, cells, stride, overlap)
        for cells, stride, overlaps in maps
        for name in MAPS
        for overlap in overlaps
    )
    contenders = [Way(SORT, "numpy"), Way(SEARCH, "numpy", is_resident=True)]
    title = "Peaks of 64 pixels, half of 1,000,000 windows above the threshold"
    return Suite("peaks", title, SORT, (SEARCH,), cases, lambda _platforms: contenders)
