"""What a function that slides is given, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from fcconv.errors import ArgumentError, ShapeError
from fcconv.geometry import integer


def check_window(window: Sequence[int]) -> tuple[int, ...]:
    """Check the shape of a patch."""
    lengths = _listed(window, "window", "the shape of a patch, such as (64, 64, 3)")
    if not lengths:
        raise ArgumentError("window needs the shape of a patch, such as (64, 64, 3), got none")
    return tuple(integer(n, "a length of window", 1) for n in lengths)


def _listed(given: Any, name: str, needed: str) -> list[Any]:
    try:
        return list(given)
    except TypeError:
        raise ArgumentError(f"{name} needs {needed}, got {given!r}") from None


def check_axes(spatial_axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Check the spatial axes of a patch, and count them from 0 on."""
    given = tuple(
        integer(axis, "an axis of spatial_axes", -rank, rank - 1)
        for axis in _listed(spatial_axes, "spatial_axes", "several axes, such as (0, 1)")
    )
    axes = tuple(axis % rank for axis in given)
    if not 1 <= len(axes) <= 3 or list(axes) != sorted(set(axes)):
        raise ArgumentError(
            f"spatial_axes needs one to three of the {rank} axes of a patch, in order, such as "
            f"(0, 1) of (H, W, C); got {spatial_axes!r}"
        )
    return axes


def find_position(argnum: int, count: int) -> int:
    """Find the argument that is the image, counted from 0 on."""
    if not -count <= argnum < count:
        raise ArgumentError(
            f"argnum is {argnum}, but the function got {count} by position: the image needs to be "
            f"one of these"
        )
    return argnum % count


def check_image(image: Any, rank: int) -> Any:
    """Check that an image is an array with the axes of a patch."""
    try:
        array = jnp.asarray(image)
    except (TypeError, ValueError):
        kind = getattr(image, "dtype", type(image).__name__)
        raise ArgumentError(
            f"the image needs to be an array of numbers, got {kind}: see argnum"
        ) from None
    if not isinstance(array.dtype, np.dtype):
        raise ArgumentError(f"the image needs to be an array of numbers, got {array.dtype}")
    if array.ndim != rank:
        raise ShapeError(
            f"the image needs the {rank} axes of a patch, got the shape {array.shape}: "
            f"jax.vmap takes a batch"
        )
    return array


def check_size(image: Sequence[int], window: Sequence[int], axes: Sequence[int]) -> None:
    """Check that an image holds a window, and is as long as one along the other axes."""
    for axis, (n, size) in enumerate(zip(image, window, strict=True)):
        if n < size if axis in axes else n != size:
            raise ShapeError(
                f"an image of shape {tuple(image)} holds no window of {tuple(window)} along the "
                f"axes {tuple(axes)}: axis {axis} has {n}, needs {size}"
            )
