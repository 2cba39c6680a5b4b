"""What a scan gives: scores, and which pixels each is about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fcconv.errors import ShapeError
from fcconv.scanning.arguments import as_integer, as_number
from fcconv.scanning.peaks import Peak, find_peaks

Box: TypeAlias = tuple[slice, ...]
"""A part of an image or of a map of scores: a slice an axis, to index it with."""


@dataclass(frozen=True)
class Scan:
    """The scores of every window of an image.

    Attributes
    ----------
    outputs : mapping of str to array, shape (K, *cells) or (N, K, *cells)
        The scores of each output of the network; where they were written to a file, an array that
        reads it by region.
    labels : tuple of str
        Names of the `K` channels of the first output.
    size : tuple of int
        Pixels of the image, for each spatial axis.
    window, stride : tuple of int
        Pixels of a window, and from one to the next.
    windows : {"shared", "exact"}
        Whether windows shared one pass, or each was cut out and scored by itself.
    exact : bool
        Whether every score equals that of its window, cut out.
    reasons : tuple of str
        The nodes that forbid it, and why.
    engine : str
        What computed.
    preparation : str
        What was done to the pixels, in words.
    tiles : int
        Tiles that the image was cut into.
    computed : int
        Tiles that this run computed; the others were finished before.
    seconds : float
        Time that this run took.
    unscored : int
        Windows that have no score, of all images: NaN in every output, because they contain a
        pixel without a value.
    scale : float
        Size of the scanned image in parts of the picture that peaks are about.
    """

    outputs: Mapping[str, Any]
    labels: tuple[str, ...]
    size: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    windows: str
    exact: bool
    reasons: tuple[str, ...]
    engine: str
    preparation: str
    tiles: int
    computed: int
    seconds: float
    unscored: int = 0
    scale: float = 1.0

    @property
    def scores(self) -> Any:
        """The scores of the first output."""
        return next(iter(self.outputs.values()))

    @property
    def cells(self) -> tuple[int, ...]:
        """Windows along each axis."""
        return tuple(
            (n - k) // s + 1 for n, k, s in zip(self.size, self.window, self.stride, strict=True)
        )

    def box(self, *cell: int) -> Box:
        """Return the pixels of a window.

        Parameters
        ----------
        *cell : int
            Which window, an integer an axis; below zero counted from the end.

        Returns
        -------
        tuple of slice
            Its pixels along each axis: ``image[:, *scan.box(i, j)]`` cuts it out.

        Raises
        ------
        ShapeError
            If there is no such window.
        """
        counts = self.cells
        numbers = zip(map(as_integer, cell), counts, strict=False)
        found = [i % n for i, n in numbers if i is not None and -n <= i < n]
        if not len(cell) == len(found) == len(counts):
            raise ShapeError(f"needs a cell of the map of {counts}, integers, got {cell}")
        starts = [i * s for i, s in zip(found, self.stride, strict=True)]
        return tuple(slice(a, a + k) for a, k in zip(starts, self.window, strict=True))

    def within(self, box: Box) -> Box:
        """Return the cells whose windows lie inside a box of pixels.

        Parameters
        ----------
        box : tuple of slice
            Pixels along each axis.

        Returns
        -------
        tuple of slice
            Cells along each axis, to index scores with; empty where no window fits in.

        Raises
        ------
        ShapeError
            If the box has another number of axes, or is none.
        """
        found = []
        for (start, stop), k, s, count in zip(
            self._pixels(box), self.window, self.stride, self.cells, strict=True
        ):
            first = -(-start // s)
            found.append(slice(first, max(first, min((stop - k) // s + 1, count))))
        return tuple(found)

    def peaks(
        self, label: int | str, threshold: float, *, overlap: float = 0.3, image: int = 0
    ) -> list[Peak]:
        """Find the windows that score highest around, strongest first.

        A peak scores at least `threshold` and no less than the cells beside it, more than those
        before it, so that a flat part has one; and no stronger peak overlaps it by more than
        `overlap` (greedy non-maximum suppression).

        Parameters
        ----------
        label : int or str
            Channel of the first output, or its name.
        threshold : float
            Lowest score of a peak.
        overlap : float
            Area that two peaks may share, in parts of the area that both cover; 0 to 1.
        image : int
            Which image of a batch.

        Returns
        -------
        list of Peak
            Label, score, cell and box in pixels of the picture.

        Raises
        ------
        ShapeError
            If there is no such label or image, `threshold` is no number, or `overlap` none from 0
            to 1.
        """
        channel, lead = self._channel(label), self.lead(image)
        lowest, most = as_number(threshold), as_number(overlap)
        if math.isnan(lowest):
            raise ShapeError(f"threshold needs a number, got {threshold!r}")
        if not 0 <= most <= 1:
            raise ShapeError(f"overlap is a part of an area, 0 to 1, got {overlap!r}")
        return find_peaks(
            self.scores, (*lead, channel), self.labels[channel], self.window, self.stride, lowest,
            most, self.scale,
        )  # fmt: skip

    def lead(self, image: int = 0) -> tuple[int, ...]:
        """Return what `scores` are indexed by before their channel: the image of a batch, if any.

        Raises
        ------
        ShapeError
            If there is no such image.
        """
        batch = self.scores.shape[: -len(self.size) - 1]
        number = as_integer(image)
        if number is None or not 0 <= number < math.prod(batch):
            raise ShapeError(f"there is no image {image!r}: it has {math.prod(batch)}")
        return (number,) if batch else ()

    def _channel(self, label: int | str) -> int:
        names = self.labels
        if isinstance(label, str):
            number = names.index(label) if label in names else None
        else:
            number = as_integer(label)
        if number is None or not 0 <= number < len(names):
            raise ShapeError(
                f"there is no label {label!r}: give its number or its name, of {', '.join(names)}"
            )
        return number

    def _pixels(self, box: Box) -> list[tuple[int, int]]:
        """Return where a box begins and ends along each axis."""
        try:
            parts = [part.indices(n) for part, n in zip(box, self.size, strict=True)]
        except (TypeError, ValueError, AttributeError):  # no sequence, too short, or no slices
            raise ShapeError(
                f"box needs a slice for each of {len(self.size)} axes, got {box!r}"
            ) from None
        return [(start, stop) for start, stop, _ in parts]
