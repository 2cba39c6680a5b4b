"""What a function that slides is given, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from fcconv.errors import ArgumentError, ShapeError
from fcconv.geometry import integer


def check_window(window: Sequence[int]) -> tuple[int, ...]:
    """Check the shape of a patch."""
    if not isinstance(window, Sequence) or not window:
        raise ArgumentError(
            f"window needs the shape of a patch, such as (64, 64, 3), got {window!r}"
        )
    return tuple(integer(n, "a length of window", 1) for n in window)


def check_axes(spatial_axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Check the spatial axes of a patch, and count them from 0 on."""
    given = tuple(
        integer(axis, "an axis of spatial_axes", -rank, rank - 1) for axis in spatial_axes
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
        raise ArgumentError(f"argnum is {argnum}, but the function got {count} arguments")
    return argnum % count


def check_image(image: Any, rank: int) -> Any:
    """Check that an image is an array with the axes of a patch."""
    try:
        array = jnp.asarray(image)
    except (TypeError, ValueError):
        kind = type(image).__name__
        raise ArgumentError(f"the image needs to be an array, got a {kind}: see argnum") from None
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
