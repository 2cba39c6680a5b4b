"""A-priori bounds on rounding errors: floats are compared without a tolerance that was chosen.

Source: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition (2002),
sections 2.2 and 3.1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fcconv.errors import ArgumentError, DtypeError
from fcconv.geometry import integer


def unit_roundoff(dtype: npt.DTypeLike) -> float:
    """Give the largest relative error of rounding a real number to a floating point dtype.

    Parameters
    ----------
    dtype : data type
        float16, bfloat16, float32 or float64.

    Returns
    -------
    float
        Half the distance from 1 to the next larger number.

    Raises
    ------
    DtypeError
        If the dtype is not real floating point.

    Examples
    --------
    >>> unit_roundoff("float32") == 2**-24
    True
    """
    return unit_and_range(dtype).unit


def gamma(terms: int, dtype: npt.DTypeLike) -> float:
    """Bound the relative error of `terms` roundings, ``n*u / (1 - n*u)`` (Higham, lemma 3.1).

    Parameters
    ----------
    terms : int
        Number of roundings, n.
    dtype : data type
        Dtype that rounds; float16 and bfloat16 accumulate in float32 in this package.

    Returns
    -------
    float
        The bound.

    Raises
    ------
    ArgumentError
        If `terms` is not a count, or ``n*u`` reaches 1, where no bound holds.
    DtypeError
        If the dtype is not real floating point.

    Examples
    --------
    >>> gamma(1000, "float32") < 6e-5
    True
    """
    relative = integer(terms, "terms", 0) * unit_roundoff(dtype)
    if relative >= 1:
        raise ArgumentError(
            f"terms={terms} roundings in {dtype} have no bound: sum in a wider dtype"
        )
    return relative / (1 - relative)


def dot_bound(magnitude: npt.ArrayLike, terms: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Bound the error of a computed dot product of `terms` terms, summed in any order.

    Two right implementations differ by at most twice this bound.

    Parameters
    ----------
    magnitude : array of float64
        The dot product of the absolute values, ``|w| . |x| + |bias|``.
    terms : int
        Number of products; a bias counts as one.
    dtype : data type
        Dtype of operands and result.

    Returns
    -------
    array of float64, shape of `magnitude`
        ``gamma(terms) * magnitude`` (Higham, equation 3.5) in the dtype that accumulates, and, for
        float16 and bfloat16, the rounding of the result. Underflow in the accumulator costs at
        most its smallest normal number an operation, whether hardware keeps subnormal numbers or
        not.

    Raises
    ------
    ArgumentError
        If `terms` is not a count, or so many that no bound holds.
    DtypeError
        If the dtype is not real floating point.

    Examples
    --------
    >>> float(dot_bound(1.0, 1, "float64")) < 2.3e-16
    True
    """
    unit, smallest_result, _ = unit_and_range(dtype)
    narrow = np.dtype(dtype).itemsize == 2
    accumulator = np.dtype(np.float32 if narrow else dtype)
    smallest = unit_and_range(accumulator).smallest
    magnitude = np.asarray(magnitude, np.float64)
    # terms + 1: the magnitude was itself summed, in float64 at least
    bound = gamma(terms + 1, accumulator) * magnitude + 2 * terms * smallest
    if narrow:
        # below the smallest normal number rounding is absolute: half the spacing there
        bound = bound + np.maximum(unit * (magnitude + bound), unit * smallest_result)
    return bound


class Range(NamedTuple):
    """What a floating point type can hold.

    Attributes
    ----------
    unit : float
        The unit roundoff: half the distance from 1 to the next larger number.
    smallest, largest : float
        Its smallest normal and its largest number.
    """

    unit: float
    smallest: float
    largest: float


def unit_and_range(dtype: npt.DTypeLike) -> Range:
    """Look up what rounds and what overflows; finfo does not know bfloat16.

    Parameters
    ----------
    dtype : data type
        float16, bfloat16, float32 or float64.

    Returns
    -------
    Range
        Its unit roundoff, its smallest normal and its largest number.

    Raises
    ------
    DtypeError
        If the dtype is not real floating point.

    Examples
    --------
    >>> unit_and_range("float16")
    Range(unit=0.00048828125, smallest=6.103515625e-05, largest=65504.0)
    """
    try:
        known: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise DtypeError(f"dtype needs a floating point dtype, got {dtype!r}") from None
    if known.name == "bfloat16":
        return Range(2.0**-8, 2.0**-126, (2 - 2.0**-7) * 2.0**127)
    if known.kind != "f":
        raise DtypeError(f"dtype needs a floating point dtype, got {known}")
    info = np.finfo(known)
    return Range(float(info.eps) / 2, float(info.smallest_normal), float(info.max))
