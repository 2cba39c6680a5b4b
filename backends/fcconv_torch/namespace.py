"""The functions of NumPy's namespace that networks ask for, on tensors.

PyTorch has most of them under the same names. Here are those that have another name or other
arguments there, or no kernel for unsigned integers of several bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fcconv_torch.dtypes import narrow, signed, to_torch

mod, power = torch.remainder, torch.pow
left_shift, right_shift = torch.bitwise_left_shift, torch.bitwise_right_shift


def __getattr__(name: str) -> Any:
    """Give PyTorch's function of the same name."""
    return getattr(torch, name)


def astype(x: torch.Tensor, dtype: npt.DTypeLike | torch.dtype) -> torch.Tensor:
    """Convert to a dtype of NumPy or PyTorch."""
    return x.to(dtype if isinstance(dtype, torch.dtype) else to_torch(np.dtype(dtype)))


def maximum(x: torch.Tensor, y: Any) -> torch.Tensor:
    """Take the larger one of each pair; `y` may be a number."""
    return torch.maximum(x, y) if isinstance(y, torch.Tensor) else torch.clamp(x, min=y)


def minimum(x: torch.Tensor, y: Any) -> torch.Tensor:
    """Take the smaller one of each pair; `y` may be a number."""
    return torch.minimum(x, y) if isinstance(y, torch.Tensor) else torch.clamp(x, max=y)


def sign(x: torch.Tensor) -> torch.Tensor:
    """Take the sign, which NaN has not."""
    return torch.where(torch.isnan(x), x, torch.sign(x))


def transpose(x: torch.Tensor, axes: Sequence[int] | None = None) -> torch.Tensor:
    """Order the axes; reverse them, if no order is given."""
    return x.permute(*(range(x.ndim)[::-1] if axes is None else axes))


def squeeze(x: torch.Tensor, axis: int | Sequence[int]) -> torch.Tensor:
    """Drop axes of length 1."""
    return torch.squeeze(x, axis if isinstance(axis, int) else tuple(axis))


def expand_dims(x: torch.Tensor, axis: Sequence[int]) -> torch.Tensor:
    """Give the result axes of length 1 at some places."""
    lengths = iter(x.shape)
    rank = x.ndim + len(axis)
    new = {a % rank for a in axis}
    return x.reshape([1 if a in new else next(lengths) for a in range(rank)])


def concatenate(xs: Sequence[torch.Tensor], axis: int = 0) -> torch.Tensor:
    """Join along an axis."""
    return torch.cat(tuple(xs), axis)


def split(x: torch.Tensor, indices: Sequence[int], axis: int = 0) -> list[torch.Tensor]:
    """Cut before some places along an axis."""
    return list(torch.tensor_split(x, tuple(indices), dim=axis))


def flip(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Turn an axis round."""
    return narrow(torch.flip(signed(x), (axis,)), x.dtype)


def take(x: torch.Tensor, indices: npt.ArrayLike, axis: int) -> torch.Tensor:
    """Take some entries along an axis, in the shape of the indices."""
    index = torch.as_tensor(np.array(indices, np.int64), device=x.device)
    taken = torch.index_select(signed(x), axis, index.reshape(-1))
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis:][1:])
    return narrow(taken.reshape(shape), x.dtype)


def pad(
    x: torch.Tensor,
    widths: Sequence[tuple[int, int]],
    mode: str = "constant",
    constant_values: torch.Tensor | float = 0,
) -> torch.Tensor:
    """Pad each axis before and after: with a number, or with entries that NumPy's `mode` names."""
    if mode != "constant":
        for axis, (n, width) in enumerate(zip(x.shape, widths, strict=True)):
            if any(width):
                x = take(x, np.pad(np.arange(n), width, mode=mode), axis)  # type: ignore[call-overload]
        return x
    ends = [n for width in reversed(widths) for n in width]
    if not isinstance(constant_values, torch.Tensor):
        return torch.nn.functional.pad(x, ends, value=constant_values)
    inside = torch.nn.functional.pad(torch.ones_like(x, dtype=torch.bool), ends, value=False)
    return torch.where(inside, torch.nn.functional.pad(x, ends), constant_values)
