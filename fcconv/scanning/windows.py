"""Which pixels a window is about, and which windows lie in a part of an image."""

from __future__ import annotations

from typing import TypeAlias

from fcconv.arguments import as_integer
from fcconv.errors import ArgumentError
from fcconv.images.layouts import axes_in_words

WINDOWS = ("shared", "exact", "crops")
"""How windows are scored: in one pass that they share, in one that gives each the score of its
crop, or each cut out."""

Box: TypeAlias = tuple[slice, ...]
"""A part of an image or of a map of scores: a slice an axis, to index it with."""


class Windows:
    """Windows at even steps over an image.

    Attributes
    ----------
    size : tuple of int
        Pixels of the image, for each spatial axis.
    window, stride : tuple of int
        Pixels of a window, and from one to the next.
    """

    size: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def cells(self) -> tuple[int, ...]:
        """Windows along each axis."""
        return tuple(
            (n - k) // s + 1 for n, k, s in zip(self.size, self.window, self.stride, strict=True)
        )

    @property
    def remainder(self) -> tuple[int, ...]:
        """Pixels at the end of each axis, fewer than the stride, that no window reaches."""
        return tuple(
            (n - k) % s for n, k, s in zip(self.size, self.window, self.stride, strict=True)
        )

    def box(self, *cell: int) -> Box:
        """Return the pixels of a window.

        Parameters
        ----------
        *cell : int
            Which window, an integer per axis; below zero counted from the end.

        Returns
        -------
        tuple of slice
            Its pixels along each axis: ``image[:, *scan.box(i, j)]`` cuts it out.

        Raises
        ------
        ArgumentError
            If there is no such window.
        """
        counts = self.cells
        numbers = zip(map(as_integer, cell), counts, strict=False)
        found = [i % n for i, n in numbers if i is not None and -n <= i < n]
        if not len(cell) == len(found) == len(counts):
            raise ArgumentError(f"needs a cell of the map of {counts}, integers, got {cell}")
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
        ArgumentError
            If the box has another number of axes, or is none, or has steps.
        """
        found = []
        for (start, stop), k, s, count in zip(
            self._pixels(box), self.window, self.stride, self.cells, strict=True
        ):
            first = -(-start // s)
            found.append(slice(first, max(first, min((stop - k) // s + 1, count))))
        return tuple(found)

    def _pixels(self, box: Box) -> list[tuple[int, int]]:
        """Return where a box begins and ends along each axis."""
        try:
            parts = [part.indices(n) for part, n in zip(box, self.size, strict=True)]
        except (TypeError, ValueError, AttributeError):  # no sequence, too short, or no slices
            parts = []
        if not parts or any(step != 1 for _, _, step in parts):
            raise ArgumentError(
                f"box needs a slice without steps for each of {axes_in_words(len(self.size))}, "
                f"got {box!r}"
            )
        return [(start, stop) for start, stop, _ in parts]
