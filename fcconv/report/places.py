"""Places in the units of an image: scale bars, times of day of a recording, sizes of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fcconv.images.coordinates import Coordinates
from fcconv.images.lengths import MICRONS
from fcconv.scanning.result import Scan

LADDERS: tuple[dict[str, float], ...] = (
    {**{unit: MICRONS[unit] for unit in ("nm", "µm", "mm", "m")}, "km": 1e3 * MICRONS["m"]},
    {"ms": 1e-3, "s": 1.0},
)
"""Units of one kind, and how large each is; any other, such as "°", stays as it is."""

BAR_PART = 0.2
"""Length of a scale bar, about, in parts of the width of the picture."""

TIME_STEPS = (
    *(m * 10.0**k for k in range(-6, 1) for m in (1, 2, 5)),
    *(10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0),
    *(hours * 3600.0 for hours in (6, 12, 24)),
)
"""Seconds that a clock counts in, from tick to tick."""

LONG_SECONDS = 60
"""Seconds from which on places in a recording are hours, minutes and seconds."""


class Bar(NamedTuple):
    """A scale bar.

    Attributes
    ----------
    pixels : float
        How long it is in the picture.
    words : str
        What that is, such as "50 µm".
    """

    pixels: float
    words: str


def scale_bar(spacing: float, unit: str, wide: float) -> Bar:
    """Choose a round length of about a fifth of a picture: 1, 2 or 5 of a unit that fits.

    Parameters
    ----------
    spacing : float
        Units from one pixel to the next.
    unit : str
        What that is in.
    wide : float
        Pixels of the picture.

    Examples
    --------
    >>> scale_bar(0.5, "µm", 1000)
    Bar(pixels=200.0, words='100 µm')
    >>> scale_bar(0.5, "µm", 40_000).words, scale_bar(10, "m", 10_980).words
    ('5 mm', '20 km')
    """
    wanted = BAR_PART * wide * spacing
    tens = 10.0 ** math.floor(math.log10(wanted))
    length = min((m * tens for m in (1, 2, 5, 10)), key=lambda n: abs(math.log(n / wanted)))
    told = {name: length / size for name, size in ladder(unit).items()}
    fits = [name for name, number in told.items() if number >= 1 - 1e-9] or list(told)[:1]
    number = np.format_float_positional(float(f"{told[fits[-1]]:.4g}"), trim="-")
    return Bar(length / spacing, f"{number} {fits[-1]}")


def known_places(scan: Scan) -> Coordinates | None:
    """Return where in the world pixels lie, unless the file says what can't be."""
    known = scan.coordinates
    if known is None or not all(0 < step < math.inf for step in known.spacing):
        return None
    return known


def ladder(unit: str) -> dict[str, float]:
    """Return the units of the same kind, from small to large, in parts of the one given.

    Examples
    --------
    >>> ladder("mm")["m"], ladder("°")
    (1000.0, {'°': 1.0})
    """
    kind = next((known for known in LADDERS if unit in known), {unit: 1.0})
    return {name: size / kind[unit] for name, size in kind.items()}


def is_clock(coordinates: Coordinates, size: float) -> bool:
    """Say whether places along an image of one axis are hours, minutes and seconds."""
    return coordinates.unit == "s" and size * coordinates.spacing[0] >= LONG_SECONDS


def time_step(seconds: float, ticks: int) -> float:
    """Choose the seconds from tick to tick so that no more than some fit."""
    return next((step for step in TIME_STEPS if seconds / step <= ticks), TIME_STEPS[-1])


def clock(seconds: float, decimals: int = 0) -> str:
    """Write seconds as hours, minutes and seconds.

    Examples
    --------
    >>> clock(5025.25, 1), clock(59.99, 1), clock(-61)
    ('1:23:45.2', '0:01:00.0', '-0:01:01')
    """
    rounded = round(abs(seconds), decimals)
    whole = int(rounded)
    part = f"{rounded - whole:.{decimals}f}"[1:] if decimals else ""
    sign = "-" if seconds < 0 and rounded else ""
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}{part}"


def spacing_words(coordinates: Coordinates) -> str:
    """Say how far pixels are apart, rows before columns.

    Examples
    --------
    >>> from fcconv.images.coordinates import spaced
    >>> spacing_words(spaced((0.5, 0.25), "µm", ("y", "x")))
    '0.5 x 0.25 µm'
    >>> spacing_words(spaced((1 / 16000,), "s", ("time",)))
    '1 / 16,000 s'
    """
    spacing, unit = coordinates.spacing, coordinates.unit
    if len(spacing) == 1 and unit == "s":
        return f"1 / {1 / spacing[0]:,.10g} s"
    return f"{' x '.join(f'{step:.6g}' for step in _once(spacing))} {unit}"


def _once(numbers: Sequence[float]) -> Sequence[float]:
    """Leave out repetitions if all are one number."""
    return numbers[:1] if len({f"{number:.6g}" for number in numbers}) == 1 else numbers
