"""What the pictures of a scan share: the image, the classes drawn, their colours and places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fcconv.arguments import check_sequence
from fcconv.errors import ArgumentError
from fcconv.images.layouts import unit
from fcconv.report.blocks import LONGEST, Scores, maxima, ranges
from fcconv.report.pixels import Bytes
from fcconv.scanning.cached import cached
from fcconv.scanning.result import Scan

HIGH_PERCENTILE = 99.5
"""Percentile of the scores shown at which their colours end, if a few are far above."""

ENDS = {1: ("sample",), 2: ("row", "column"), 3: ("plane", "row", "column")}
"""What lies at the end of each axis, by their number."""


class Scale(NamedTuple):
    """A colour scale.

    Attributes
    ----------
    low, high : float
        Scores at its ends; lower and higher ones have the colours of these.
    words : str
        What the ends are.
    """

    low: float
    high: float
    words: str

    @property
    def ends_within(self) -> bool:
        """Whether there can be scores beyond its ends."""
        return (self.low, self.high) != (0, 1)


@dataclass(frozen=True)
class Heat:
    """The classes of a scan that are drawn, as small as a picture needs.

    Attributes
    ----------
    labels : tuple of str
        Names of the classes drawn.
    highest : tuple of float
        The highest finite score of each, or minus infinity.
    values : array, shape (classes, *blocks)
        The score of the strongest window of each block.
    offsets : array, shape (classes, *blocks)
        Which cell of its block that is, counted row by row.
    factor : tuple of int
        Cells of a block along each axis.
    scale : Scale
        Which scores the colours are of.
    """

    labels: tuple[str, ...]
    highest: tuple[float, ...]
    values: Scores
    offsets: npt.NDArray[np.uint32]
    factor: tuple[int, ...]
    scale: Scale


def read_heat(scan: Scan, labels: Sequence[str] | None, most: int, factor: tuple[int, ...]) -> Heat:
    """Read the classes with the highest scores, in blocks; of a batch those of the first image.

    Parameters
    ----------
    scan : Scan
        What to read; its scores may be larger than memory.
    labels : sequence of str, optional
        Names of the classes to choose from; all by default.
    most : int
        Most classes to choose.
    factor : tuple of int
        Cells of a block along each axis.

    Raises
    ------
    ArgumentError
        If there is no such label.
    """
    lead, scores = scan.lead(), cached(scan.scores)
    asked = _channels(scan, labels)
    low, high = ranges(scores, lead)
    chosen = sorted(sorted(asked, key=lambda channel: -high[channel])[:most])
    values, offsets = maxima(scores, lead, chosen, factor)
    return Heat(
        tuple(scan.labels[channel] for channel in chosen),
        tuple(float(high[channel]) for channel in chosen),
        values,
        offsets,
        factor,
        colour_scale(float(low[chosen].min()), float(high[chosen].max()), values),
    )


def colour_scale(low: float, high: float, values: Scores) -> Scale:
    """Choose the ends of a colour scale: 0 and 1 for probabilities, else percentiles.

    Scores without bounds have a long tail downwards, whose colours would leave none for the top: so
    it begins at the median. A few scores far above all others would leave none for these: so it
    ends at a percentile, unless this is the median, too.

    Parameters
    ----------
    low, high : float
        The lowest and the highest finite score.
    values : array
        The scores shown.
    """
    if low > high or (low >= 0 and high <= 1):  # no finite score at all, or probabilities
        return Scale(0.0, 1.0, "from 0 to 1")
    finite = values[np.isfinite(values)].astype(np.float64)  # the mean of two stays finite
    middle, top = (
        float(np.median(finite)),
        float(np.percentile(finite, HIGH_PERCENTILE, method="higher")),
    )
    if middle < top < high:
        return Scale(
            middle, top, f"from the median to percentile {HIGH_PERCENTILE:g} of what is shown"
        )
    if middle < high:
        return Scale(middle, high, "from the median of what is shown to the highest score")
    around = max(0.5, abs(high) * 1e-6)  # which float32 tells from the score, however large
    words = f"from {around:g} below the highest score to {around:g} above it"
    return Scale(high - around, high + around, words)


def palette() -> Bytes:
    """Return 256 colours, ``(256, 4)``, low ones transparent so that the image shows through."""
    import matplotlib as mpl

    place = np.linspace(0, 1, 256)
    colours = mpl.colormaps["inferno"](place)
    colours[:, 3] = 0.1 + 0.8 * place
    return np.asarray(np.rint(colours * 255), np.uint8)


def colours(values: Scores, scale: Scale) -> Bytes:
    """Colour scores, ``(..., 4)``; where there is none, nothing is drawn."""
    wide = values.astype(np.float64)  # differences of what float32 holds can be too large for it
    place = np.clip((wide - scale.low) / (scale.high - scale.low), 0, 1)
    drawn: Bytes = palette()[np.rint(np.nan_to_num(place) * 255).astype(np.intp)]
    drawn[np.isnan(values)] = 0
    return drawn


def edges(scan: Scan, axis: int, factor: int) -> npt.NDArray[np.float64]:
    """Return where blocks of cells begin and end along an axis, in pixels of the picture.

    A cell stands for `stride` pixels around the centre of its window.
    """
    count, stride = scan.cells[axis], scan.stride[axis]
    cells = np.append(np.arange(0, count, factor), count)
    return np.asarray(((scan.window[axis] - stride) / 2 + cells * stride) / scan.scale)


def extent(scan: Scan) -> tuple[float, ...]:
    """Return the size of the picture in pixels: that of the image, had it not been scaled."""
    return tuple(n / scan.scale for n in scan.size)


def stretch(scan: Scan) -> tuple[float, float]:
    """Return how many times a picture is drawn as high, and as wide, as it would be in proportion.

    Both are 1 but for a strip, which would be a line.
    """
    high, wide = extent(scan)[-2:]
    return max(1.0, wide / high / LONGEST), max(1.0, high / wide / LONGEST)


def stretched(scan: Scan) -> str:
    """Say how a strip is drawn; nothing of other pictures."""
    if len(scan.size) == 1 or max(stretch(scan)) == 1:
        return ""
    down, right = stretch(scan)
    return f"drawn {max(down, right):,.0f} times as {'high' if down > 1 else 'wide'} as it is"


def padded_from(scan: Scan, axis: int) -> tuple[float, float]:
    """Return where the cells begin and end along an axis whose windows reach into padding.

    Both are the same where there are none.
    """
    begin, end = scan.unpadded[axis], scan.cells[axis]
    first, _ = edges(scan, axis, scan.cells[axis])
    start, stop = (float(first + n * scan.stride[axis] / scan.scale) for n in (begin, end))
    return start, stop


def padded_corner(scan: Scan) -> tuple[tuple[float, float], ...]:
    """Return, rows before columns, where the map begins, where padding has a part, and its end."""
    axes = [(float(edges(scan, k, scan.cells[k])[0]), *padded_from(scan, k)) for k in (-2, -1)]
    return tuple(zip(*axes, strict=True))


def padding(scan: Scan) -> str:
    """Say which windows reach into what was added at the ends; nothing if none do."""
    count = math.prod(scan.cells) - math.prod(scan.unpadded)
    reach = "window that reaches" if count == 1 else "windows that reach"
    return f"{count:,} {reach} into padding ({scan.pad})" if count else ""


def apart(scan: Scan) -> str:
    """Say how large windows are, and how far apart."""
    stride = scan.stride[:1] if len(set(scan.stride)) == 1 else scan.stride
    return f"{times(scan.window)} {unit(len(scan.size))}, {times(stride)} apart"


def scoring(scan: Scan) -> str:
    """Say whether windows shared a pass, and whether the scores are those of their crops."""
    how = "Each window scored by itself" if scan.windows == "crops" else "Windows share one pass"
    if scan.exact:
        return f"{how}; every score equals that of its window, cut out"
    return f"{how}; scores differ from those of windows cut out"


def in_no_window(scan: Scan) -> str:
    """Say which pixels at the ends of the image have no part in any score."""
    left = zip(scan.remainder, ENDS[len(scan.size)], strict=True)
    listed = " and ".join(f"{n} {axis}{'s' * (n != 1)}" for n, axis in left if n)
    return f"the last {listed} (--pad reaches them)"


def short(label: str) -> str:
    """Return a name that fits over a panel."""
    return label if len(label) <= 40 else f"{label[:39]}…"


def times(numbers: Sequence[float]) -> str:
    """Write a size: ``25 x 25``."""
    return " x ".join(f"{round(number, 1):,.15g}" for number in numbers)


def _channels(scan: Scan, labels: Sequence[str] | None) -> list[int]:
    names = scan.labels if labels is None else check_sequence(labels, str, "labels")
    for label in names:
        if label not in scan.labels:
            raise ArgumentError(f"there is no label {label!r}: it has {', '.join(scan.labels)}")
    if not names:
        raise ArgumentError(f"labels needs one or more of {', '.join(scan.labels)}, got none")
    return [k for k, label in enumerate(scan.labels) if label in names]
