"""The levels of a pyramid: how many pixels of the image one of a level stands for."""

from __future__ import annotations

from collections.abc import Sequence

ROUNDING = 1e-9
"""Parts of a factor that are no more than the rounding of floats."""


def downsample(size: Sequence[int], level: Sequence[int]) -> float | None:
    """Return the factor between an image and a level of it.

    Sizes are rounded, so that a level of 2,500 pixels may be one of 10,001 by 4: a whole factor is
    taken where sizes leave it open.

    Parameters
    ----------
    size, level : sequence of int
        Pixels of the image and of the level along each axis.

    Returns
    -------
    float or None
        None if no factor from 1 on gives this size along all axes, within a pixel: such a level is
        padded, or shows something else.

    Examples
    --------
    >>> downsample((10001, 8000), (2500, 2000)), downsample((1000, 600), (300, 180))
    (4, 3.3333333333333335)
    >>> downsample((1000, 600), (300, 256))
    """
    n, m = max(zip(size, level, strict=True))
    for factor in (round(n / m), n / m):
        if factor >= 1 and all(
            abs(short - long / factor) < 1 for long, short in zip(size, level, strict=True)
        ):
            return factor
    return None


def level_for(scale: float, factors: Sequence[float | None]) -> int:
    """Return the coarsest level that has at least the pixels wanted; the image itself at worst.

    Parameters
    ----------
    scale : float
        The size wanted, in parts of the image's.
    factors : sequence of float or None
        What :func:`downsample` says of each level, the image first.
    """
    fits = [
        (factor, number)
        for number, factor in enumerate(factors)
        if factor is not None and factor * scale <= 1 + ROUNDING
    ]
    return max(fits, key=lambda fit: (fit[0], -fit[1]), default=(1.0, 0))[1]
