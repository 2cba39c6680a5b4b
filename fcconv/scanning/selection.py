"""Which windows of an image are wanted: those inside a region, and with their centre in an area."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcconv.arguments import as_integer
from fcconv.errors import ArgumentError, ImageError
from fcconv.images.blocks import blocks
from fcconv.images.layouts import axes_in_words
from fcconv.images.missing import Mask
from fcconv.images.padded import Opened
from fcconv.scanning.areas import Area, open_area
from fcconv.scanning.windows import Box, Windows

WINDOWS_AT_A_TIME = 2**20
"""Windows that are looked at together, to see whether any is wanted."""


@dataclass(frozen=True, eq=False)
class Selection(Windows):
    """The windows of an image that are wanted.

    Attributes
    ----------
    size, window, stride : tuple of int
        See :class:`Windows`.
    scale : float
        Size of the image in parts of the picture that the region and the area are about.
    region : tuple of (int, int) or None
        Pixels of the picture in which windows lie as a whole, along each axis.
    area : Area or None
        What holds their centres.
    """

    size: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    scale: float = 1.0
    region: tuple[tuple[int, int], ...] | None = None
    area: Area | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for, in words."""
        notes = []
        if self.region is not None:
            where = " x ".join(f"{start:,} to {stop:,}" for start, stop in self.region)
            notes.append(f"region {where}: windows outside were not scored")
        if self.area is not None:
            notes.append(f"{self.area.note}; windows with their centre outside were not scored")
        return tuple(notes)

    def record(self) -> dict[str, Any]:
        """Write down, for JSON, what decides which windows have scores."""
        told: dict[str, Any] = {}
        if self.region is not None:
            told["region"] = [list(part) for part in self.region]
        if self.area is not None:
            told["mask"] = self.area.identity()
        return told

    def wanted(self, cells: Box) -> Mask:
        """Say which windows of a part of the map are wanted."""
        shape = tuple(part.stop - part.start for part in cells)
        found = np.zeros(shape, bool)
        inside = cells if self.region is None else self._inside(cells)
        if any(part.start >= part.stop for part in inside):
            return found
        own = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(inside, cells, strict=True)
        )
        found[own] = True if self.area is None else self.area.holds(*self._centres(inside))
        return found

    def check_any(self) -> None:
        """Check that there is something to score.

        Raises
        ------
        ImageError
            If no window is wanted.
        """
        if any(
            self.wanted(part).any()
            for part in blocks(self.cells, [1] * len(self.cells), WINDOWS_AT_A_TIME)
        ):
            return
        if self.area is None:
            sides = _times(stop - start for start, stop in self.region or ())
            raise ArgumentError(
                f"region (--region) of {sides} pixels holds no window of "
                f"{_times(n / self.scale for n in self.window)}: give a larger one"
            )
        within = "" if self.region is None else ", in the region,"
        raise ImageError(
            f"{self.area.note}{within} holds the centre of no window of {self.window}, "
            f"{self.stride} apart: give a mask that marks what is to be scored, in pixels of the "
            f"image, or polygons on the ground that it lies on"
        )

    def _inside(self, cells: Box) -> Box:
        """Return the part of some cells whose windows lie in the region."""
        found = []
        for part, ends, k, s in zip(
            cells, self.region or (), self.window, self.stride, strict=True
        ):
            start, stop = (end * self.scale for end in ends)
            # a scale such as 0.1 is rounded
            first, last = math.ceil(start / s - 1e-9), math.floor((stop - k) / s + 1e-9) + 1
            found.append(slice(max(part.start, first), min(part.stop, last)))
        return tuple(found)

    def _centres(self, cells: Box) -> list[Any]:
        """Return where the centres of windows lie in the picture, along each axis."""
        return [
            (np.arange(part.start, part.stop) * s + k / 2) / self.scale
            for part, k, s in zip(cells, self.window, self.stride, strict=True)
        ]


def _times(numbers: Iterable[float]) -> str:
    return " x ".join(f"{n:,g}" for n in numbers)


def make_selection(
    image: Opened,
    window: tuple[int, ...],
    stride: tuple[int, ...],
    region: Sequence[slice] | None,
    mask: Any,
) -> Selection | None:
    """Check what is wanted of an image; None if all of it is.

    Raises
    ------
    ArgumentError
        If the region is none, or not in the image.
    ImageError
        If the mask can't be read, does not cover the image, or nothing is left.
    UnsupportedError
        If there can't be such a mask of this image.
    BackendError
        If a library is not installed.
    """
    if region is None and mask is None:
        return None
    # a padded image is larger than the picture, a resized one may have lost part of a pixel
    sizes = zip(image.picture.size, image.size, strict=True)
    size = [max(n, math.ceil(resized / image.scale)) for n, resized in sizes]
    selection = Selection(
        image.size,
        window,
        stride,
        image.scale,
        None if region is None else _checked(region, size),
        None if mask is None else open_area(mask, image.picture),
    )
    selection.check_any()
    return selection


def _checked(region: Any, size: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return where a region begins and ends along each axis."""
    needs = f"region (--region) needs a slice of pixels for each of {axes_in_words(len(size))}"
    try:
        parts = [(part.start, part.stop, part.step) for part in region]
    except (TypeError, AttributeError):
        raise ArgumentError(f"{needs}, got {region!r}") from None
    if len(parts) != len(size) or any(step not in (None, 1) for _, _, step in parts):
        raise ArgumentError(f"{needs}, without steps, got {region!r}")
    found = []
    for (start, stop, _), n in zip(parts, size, strict=True):
        first = 0 if start is None else as_integer(start)
        last = n if stop is None else as_integer(stop)
        if first is None or last is None or not 0 <= first < last <= n:
            words = f"{'' if start is None else start}:{'' if stop is None else stop}"
            raise ArgumentError(
                f"region (--region) has {words} along an axis of {n} pixels: give the first, from "
                f"0 on, and one past the last, up to {n}"
            )
        found.append((first, last))
    return tuple(found)
