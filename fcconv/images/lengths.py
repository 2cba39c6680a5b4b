"""Lengths of pixels, in the unit that microscopy has: micrometres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MICRONS = {
    **dict.fromkeys(("micrometer", "µm", "μm", "um", "micron", "microns"), 1.0),
    **dict.fromkeys(("picometer", "pm"), 1e-6),
    **dict.fromkeys(("angstrom", "Å"), 1e-4),
    **dict.fromkeys(("nanometer", "nm"), 1e-3),
    **dict.fromkeys(("millimeter", "mm"), 1e3),
    **dict.fromkeys(("centimeter", "cm"), 1e4),
    **dict.fromkeys(("meter", "m"), 1e6),
    **dict.fromkeys(("inch", "inches", "in"), 25400.0),
}
"""Micrometres in a unit, by what OME and ImageJ call it; the two letters µ look the same."""


def positive(told: Any) -> float | None:
    """Read a number that a scanner wrote; None if it is not above 0, or makes no sense.

    Examples
    --------
    >>> positive("0.25"), positive("0"), positive("n/a"), positive(None)
    (0.25, None, None, None)
    """
    try:
        number = float(told)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None


def in_one_unit(
    spacing: Sequence[float], units: Sequence[str]
) -> tuple[tuple[float, ...], str] | None:
    """Return lengths in one unit: micrometres if all are known, else the one that they share.

    Returns
    -------
    lengths, unit : tuple of float, str
        NaN along an axis without a unit beside axes that have one. None where units differ and one
        is not known.

    Examples
    --------
    >>> in_one_unit((2, 65), ("micrometer", "nanometer"))
    ((2.0, 0.065), 'µm')
    >>> in_one_unit((2, 2), ("pixel", "pixel"))
    ((2.0, 2.0), 'pixel')
    >>> in_one_unit((1, 0.5), ("", "micrometer"))
    ((nan, 0.5), 'µm')
    """
    known = [MICRONS.get(unit, MICRONS.get(unit.lower(), math.nan)) for unit in units]
    if len(set(units)) == 1 and math.isnan(known[0]):
        return tuple(map(float, spacing)), units[0]
    if any(math.isnan(micron) and unit for micron, unit in zip(known, units, strict=True)):
        return None
    return tuple(n * micron for n, micron in zip(spacing, known, strict=True)), "µm"
