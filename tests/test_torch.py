"""Where the documentation names PyTorch as the model, PyTorch is asked."""

from __future__ import annotations

import torch
from hypothesis import given

import fcconv
from comparing import assert_identical
from strategies import PoolCase, integers, pool_cases, seeds


@given(case=pool_cases(ranks=[2]), seed=seeds)
def test_im2col_has_the_order_of_unfold(case: PoolCase, seed: int) -> None:
    x = integers(seed, (1, *case.x[1:]), "float32")
    stride = 1 if case.stride is None else case.stride
    padding = case.padding if isinstance(case.padding, int) else 0
    kernel = case.kernel if padding == case.padding else 1
    arguments = {"stride": stride, "padding": padding, "dilation": case.dilation}
    expected = torch.nn.functional.unfold(torch.from_numpy(x), kernel, **arguments)
    assert_identical(fcconv.im2col(x, kernel, **arguments), expected.numpy(), case)
