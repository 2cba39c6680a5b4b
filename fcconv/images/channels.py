"""Which channels of an image are read, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fcconv.arguments import as_integer
from fcconv.errors import ImageError
from fcconv.images.stored import listed

MOST_DIGITS = 20
"""Digits of a number, at most; Python reads no more than some thousands."""


def find_channels(name: str, asked: Any, count: int, names: Sequence[str]) -> tuple[int, ...]:
    """Return the places, from 0 on, of channels that were asked for.

    Parameters
    ----------
    name : str
        Name of the image, for errors.
    asked : sequence of int or str
        Channels by number, from 1 on, or by name, in the order to read them; one may stand there
        several times. A text of digits is a number, unless a channel is called so.
    count : int
        Channels of the image.
    names : sequence of str
        What they are called; empty where its file does not say.

    Raises
    ------
    ImageError
        If there is no such channel, or two of that name.

    Examples
    --------
    >>> find_channels("scene.tif", ("nir", 1, "2"), 4, ("blue", "green", "red", "nir"))
    (3, 0, 1)
    """
    if isinstance(asked, str) or not isinstance(asked, Sequence) or not asked:
        raise ImageError(
            f"channels (--channels) needs numbers from 1 on or names, such as (4, 3, 2), got "
            f"{asked!r}"
        )
    return tuple(_place(name, one, count, names) for one in asked)


def _place(name: str, one: Any, count: int, names: Sequence[str]) -> int:
    """Return the place of one channel."""
    if isinstance(one, str) and names.count(one) == 1:
        return names.index(one)
    is_number = isinstance(one, str) and one.isdecimal() and len(one) < MOST_DIGITS
    number = int(one) if is_number else as_integer(one)
    if number is not None and 1 <= number <= count and not names.count(str(one)) > 1:
        return number - 1
    told = [called or "without a name" for called in names] or ["without a name"] * count
    raise ImageError(
        f"{name} has {'several channels' if names.count(str(one)) > 1 else 'no channel'} {one!r}: "
        f"choose by number from {listed(enumerate(told, 1))}"
    )


def runs(chosen: Sequence[int], together: int) -> list[slice]:
    """Return what is read so that some channels are there, in ascending order.

    Channels that lie in one part of the file, or in parts beside each other, are read at once.

    Parameters
    ----------
    chosen : sequence of int
        The channels.
    together : int
        Channels that the file stores together.

    Examples
    --------
    >>> runs((6, 1, 0), together=1)
    [slice(0, 2, None), slice(6, 7, None)]
    >>> runs((6, 1, 0), together=8)
    [slice(0, 7, None)]
    """
    found: list[slice] = []
    for place in sorted(set(chosen)):
        if found and place // together - (found[-1].stop - 1) // together <= 1:
            found[-1] = slice(found[-1].start, place + 1)
        else:
            found.append(slice(place, place + 1))
    return found
