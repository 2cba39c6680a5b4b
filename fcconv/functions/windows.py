"""What each window has for itself: its part of an image or of a tensor, and what follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from fcconv.graph.rules.values import SlidingValue

ENTRIES = 2**18
"""Entries of blocks that windows compute with at a time: what caches of a CPU hold."""

FEWEST = 16
"""Windows that are computed at a time at least, however large: a GPU wants several."""


def count_windows(
    shape: Sequence[int], window: Sequence[int], axes: Sequence[int], stride: Sequence[int]
) -> tuple[int, ...]:
    """Count the windows in an image of a shape, along each of its spatial axes."""
    return tuple(
        (shape[axis] - window[axis]) // step + 1 for axis, step in zip(axes, stride, strict=True)
    )


def block(x: SlidingValue[Any], tensor: Any, stride: Sequence[int], window: Sequence[Any]) -> Any:
    """Read what a value holds of one window.

    Parameters
    ----------
    x : SlidingValue
        The value.
    tensor : array, shape (1, C, *S)
        The tensor that holds it for all windows.
    stride : sequence of int
        Pixels from one window to the next, for each spatial axis.
    window : sequence of int
        The window's place among the windows, for each spatial axis.
    """
    starts = [i * (s // axis.step) for i, s, axis in zip(window, stride, x.axes, strict=True)]
    spans = [(axis.block - 1) * axis.scale + 1 for axis in x.axes]
    part = lax.dynamic_slice(tensor[0], (0, *starts), (x.channels, *spans))
    part = part[:, *(slice(None, None, axis.scale) for axis in x.axes)]
    return ordered(x, part)


def ordered(x: SlidingValue[Any], part: Any) -> Any:
    """Put the entries of a block ``(C, *block, ...)`` in the order of the value."""
    rest = part.shape[1 + len(x.axes) :]
    flat = part.reshape(x.entries, *rest)
    numbers = x.numbers.ravel()
    if not np.array_equal(numbers, np.arange(x.entries)):
        flat = flat[numbers]
    return flat.reshape(*x.shape, *rest)


def of_all(x: SlidingValue[Any], tensor: Any, stride: Sequence[int], cells: Sequence[int]) -> Any:
    """Read what a value of one sample holds of all windows, ``(*cells, *shape)``."""
    steps = [s // axis.step for s, axis in zip(stride, x.axes, strict=True)]
    part = tensor[0][:, *(slice(0, (n - 1) * r + 1, r) for n, r in zip(cells, steps, strict=True))]
    made = ordered(x, part.reshape(x.channels, *[1] * len(cells), *cells))
    rank = len(x.shape)
    return jnp.moveaxis(made, range(rank, rank + len(cells)), range(len(cells)))


def for_each(
    function: Callable[..., Sequence[Any]],
    values: Mapping[int, tuple[SlidingValue[Any], Any]],
    stride: Sequence[int],
    cells: Sequence[int],
) -> list[Any]:
    """Apply a function to each window's own blocks, some windows at a time.

    Parameters
    ----------
    function : callable
        Takes a block of each value, by number.
    values : mapping of int to (SlidingValue, array)
        The values that windows share, and their tensors.
    stride, cells : sequence of int
        Pixels from window to window, and how many there are.

    Returns
    -------
    list of array, shape (*cells, ...)
        What the function returned for all windows.
    """

    def one(window: Any) -> list[Any]:
        place = [window[k] for k in range(len(cells))]
        return list(function({k: block(*v, stride, place) for k, v in values.items()}))

    places = jnp.asarray(np.stack([grid.ravel() for grid in np.indices(cells)], axis=1))
    entries = max(sum(math.prod(x.shape) for x, _ in values.values()), 1)
    together = min(max(ENTRIES // entries, FEWEST), len(places))
    found = lax.map(one, places, batch_size=together)
    return [made.reshape(*cells, *made.shape[1:]) for made in found]
