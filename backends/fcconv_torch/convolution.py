"""Convolutions and windows of tensors, in the form that is fastest.

All forms take ``x (N, C, *S)`` and ``weight (O, C / groups, *K)`` and give ``(N, O, *S')``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from fcconv_torch.dtypes import is_whole

if TYPE_CHECKING:
    from fcconv.geometry import Window

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
"""PyTorch's own, by the number of spatial axes."""

TERMS = 2**8
"""Terms of a product of integers that are in memory at a time, where there is no such product."""


def convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, window: Window, groups: int
) -> torch.Tensor:
    """Convolve: by PyTorch, unless a product is faster, or PyTorch has no such convolution.

    It has none of integers, and of no images, channels or outputs.
    """
    if groups == 1 and window.kernel == x.shape[2:] and not any(map(any, window.padding)):
        # a convolution moves the axes of all weights first, and takes up to 17 times as long
        n, outputs, terms = x.shape[0], weight.shape[0], math.prod(weight.shape[1:])
        y = linear(x.reshape(n, terms), weight.reshape(outputs, terms), bias)
        return y.reshape(n, outputs, *window.output)
    if not (x.is_floating_point() and x.numel() and weight.numel()):
        return _by_columns(x, weight, bias, window, groups)
    sides = [before for before, after in window.padding if before == after]
    if len(sides) < len(window.padding):
        x, sides = padded(x, window), [0] * len(window.padding)
    if x.dtype == torch.float32 and x.device.type == "cuda":
        return in_whole_float32(x, weight, bias, window, sides, groups)
    convolution = CONVOLUTIONS[len(sides)]
    return convolution(x, weight, bias, window.stride, sides, window.dilation, groups)


def in_whole_float32(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    window: Window,
    sides: Sequence[int],
    groups: int,
) -> torch.Tensor:
    """Convolve on a GPU without TF32, unless PyTorch was told that products may be rounded.

    The function below :mod:`torch.nn.functional` has this as an argument, so that it holds for
    this call alone, and in a compiled or exported function too.
    """
    cudnn, rank = torch.backends.cudnn, len(sides)
    may_round = torch.get_float32_matmul_precision() != "highest" and cudnn.allow_tf32
    how = cudnn.benchmark, cudnn.deterministic, cudnn.enabled, may_round
    moves = window.stride, sides, window.dilation, False, (0,) * rank, groups
    y: torch.Tensor = torch.ops.aten._convolution(x, weight, bias, *moves, *how)
    return y


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
    if not is_whole(x):
        return functional.linear(x, weight, bias)
    y = product(x, weight.T)
    return y if bias is None else y + bias


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply stacks of matrices, of integers too where the device has no product of them."""
    if not is_whole(a) or a.device.type == "cpu":
        return torch.matmul(a, b)
    return summed_product(a, b)


def summed_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply stacks of matrices entry by entry, and add up some terms at a time."""
    if b.ndim == 1:
        return (a * b).sum(-1, dtype=a.dtype)
    rows = a[None] if a.ndim == 1 else a
    parts = [
        (left.unsqueeze(-1) * right.unsqueeze(-3)).sum(-2, dtype=a.dtype)
        for left, right in zip(torch.split(rows, TERMS, -1), torch.split(b, TERMS, -2), strict=True)
    ]
    total = torch.stack(parts).sum(0, dtype=a.dtype)
    return total.squeeze(-2) if a.ndim == 1 else total


def padded(x: torch.Tensor, window: Window, blank: float = 0) -> torch.Tensor:
    """Pad the spatial axes with a number."""
    ends = [n for ends in reversed(window.padding) for n in ends]
    return functional.pad(x, ends, value=blank) if any(ends) else x


def windows(x: torch.Tensor, window: Window) -> torch.Tensor:
    """Show the windows of a padded input where they lie, ``(N, C, *S', *K)``."""
    moves = zip(window.extent, window.stride, window.dilation, window.output, strict=True)
    for axis, (extent, stride, dilation, count) in enumerate(moves, 2):
        x = x.unfold(axis, extent, stride).narrow(axis, 0, count)[..., ::dilation]
    return x


def columns(x: torch.Tensor, window: Window) -> torch.Tensor:
    """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
    n, c = x.shape[:2]
    rank = len(window.kernel)
    view = windows(padded(x, window), window)
    view = view.permute(0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    return view.reshape(n, c * math.prod(window.kernel), math.prod(window.output))


def _by_columns(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, window: Window, groups: int
) -> torch.Tensor:
    """Convolve by gathering windows and a product."""
    n, outputs, terms = x.shape[0], weight.shape[0], math.prod(weight.shape[1:])
    gathered = columns(x, window).reshape(n, groups, terms, math.prod(window.output))
    y = product(weight.reshape(groups, outputs // groups, terms), gathered)
    y = y.reshape(n, outputs, *window.output)
    return y if bias is None else y + bias.reshape(-1, *(1,) * len(window.output))
