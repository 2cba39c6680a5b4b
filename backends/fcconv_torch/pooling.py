"""Pools of tensors, ``(N, C, *S')``: by PyTorch's own, or by reducing windows where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from fcconv_torch.convolution import padded, windows

if TYPE_CHECKING:
    from fcconv.geometry import Window

MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
"""PyTorch's own, by the number of spatial axes."""


def highest(x: torch.Tensor, window: Window) -> torch.Tensor:
    """Take the maximum of each window."""
    rank = len(window.kernel)
    whole = not x.is_floating_point()
    pixels = padded(x, window, torch.iinfo(x.dtype).min if whole else -torch.inf)
    if whole or _is_odd(x, window):
        return windows(pixels, window).amax(_taps(rank))
    return MAXIMA[rank](pixels, window.kernel, window.stride, 0, window.dilation)


def sums(x: torch.Tensor, window: Window) -> torch.Tensor:
    """Add up each window."""
    rank = len(window.kernel)
    pixels = padded(x, window)
    if max(window.dilation) > 1 or _is_odd(x, window):
        return windows(pixels, window).sum(_taps(rank))
    if rank == 1:  # the pool over lines has no divisor to choose
        rows = functional.avg_pool2d(
            pixels[:, :, None], (1, *window.kernel), (1, *window.stride), divisor_override=1
        )
        return rows[:, :, 0]
    pool = functional.avg_pool2d if rank == 2 else functional.avg_pool3d
    return pool(pixels, window.kernel, window.stride, divisor_override=1)


def _is_odd(x: torch.Tensor, window: Window) -> bool:
    """Say whether a pool has nothing to move over: it is global, or there is nothing to read."""
    return window.covers(tuple(x.shape[2:])) or 0 in x.shape


def _taps(rank: int) -> tuple[int, ...]:
    """Name the last axes, which hold the pixels of a window."""
    return tuple(range(-rank, 0))
