"""Colours by which classes are told apart."""

from __future__ import annotations

COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)
"""Colours that the colour-blind tell apart (Okabe & Ito, *Color universal design*, 2008)."""
