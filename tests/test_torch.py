"""Where the documentation names PyTorch as the model, PyTorch is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical, assert_within_bound
from strategies import integers, seeds

either = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(
    kernel=either,
    stride=either,
    dilation=either,
    padding=st.integers(0, 2) | st.tuples(st.integers(0, 2), st.integers(0, 2)),
    size=st.tuples(st.integers(7, 9), st.integers(7, 9)),
    seed=seeds,
)
def test_im2col_has_the_order_of_unfold(size: tuple[int, int], seed: int, **arguments: Any) -> None:
    x = integers(seed, (2, 3, *size), "float32")
    kernel = arguments.pop("kernel")
    expected = torch.nn.functional.unfold(torch.from_numpy(x), kernel, **arguments)
    assert_identical(fcconv.im2col(x, kernel, **arguments), expected.numpy(), arguments)


@given(
    kernel=either,
    stride=either,
    padding=st.integers(0, 1),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    seed=seeds,
    count_include_pad=st.booleans(),
)
def test_ceil_mode_is_that_of_torch(
    size: tuple[int, int], seed: int, count_include_pad: bool, **arguments: Any
) -> None:
    x = integers(seed, (2, 3, *size), "float64")
    kernel = arguments.pop("kernel")
    if kernel == 1 or (isinstance(kernel, tuple) and 1 in kernel):
        arguments["padding"] = 0  # PyTorch takes no more than half the kernel
    theirs, tensor = torch.nn.functional, torch.from_numpy(x)
    assert_identical(
        fcconv.max_pool(x, kernel, **arguments, ceil_mode=True),
        theirs.max_pool2d(tensor, kernel, **arguments, ceil_mode=True).numpy(),
        (kernel, arguments),
    )
    arguments |= {"ceil_mode": True, "count_include_pad": count_include_pad}
    expected = theirs.avg_pool2d(tensor, kernel, **arguments).numpy()
    found = fcconv.avg_pool(x, kernel, **arguments)
    # sums of integers are exact; each side may divide with two roundings
    assert_within_bound(found, expected, 2 * np.abs(expected), 2, (kernel, arguments))
