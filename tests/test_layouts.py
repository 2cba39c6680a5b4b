"""NumPy arrays of every memory layout give the results of plain ones."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from strategies import Array, ConvCase, conv_cases, integers, normal, seeds


def strided(array: Array) -> Array:
    wide = np.repeat(array, 2, axis=-1)
    return wide[..., ::2]


def reversed_axes(array: Array) -> Array:
    flips = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[flips])[flips]


def read_only(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


def big_endian(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder(">"))


def unaligned(array: Array) -> Array:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    shifted = raw[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


LAYOUTS = [strided, reversed_axes, read_only, big_endian, unaligned, np.asfortranarray]
layouts = st.sampled_from(LAYOUTS)


@given(
    dtype=st.sampled_from(["int64", "float32", "float16"]),
    case=conv_cases(),
    seed=seeds,
    given_layouts=st.tuples(layouts, layouts, layouts),
)
def test_layouts_do_not_matter(
    dtype: str, case: ConvCase, seed: int, given_layouts: tuple[Any, Any, Any]
) -> None:
    of_x, of_weight, of_bias = given_layouts
    x, weight = integers(seed, case.x, dtype), integers(seed + 1, case.weight, dtype)
    bias = integers(seed + 2, case.weight[:1], dtype)
    pixel = integers(seed + 3, (case.weight[0], case.x[1]), dtype)
    rows = integers(seed + 4, (case.weight[0], case.x[-1]), dtype)
    block = (case.x[1], *case.weight[2:])
    flat = integers(seed + 5, (case.weight[0], math.prod(block)), dtype)
    windows = {key: value for key, value in case.arguments.items() if key != "groups"}
    pool: dict[str, Any] = {"kernel": case.weight[2:], "stride": case.stride, "padding": "same"}

    def results(of_x: Any, of_weight: Any, of_bias: Any) -> dict[str, Any]:
        found = {
            "conv": fcconv.conv(of_x(x), of_weight(weight), of_bias(bias), **case.arguments),
            "conv1x1": fcconv.conv1x1(of_x(x), of_weight(pixel), of_bias(bias)),
            "dense": fcconv.dense(of_x(x), of_weight(rows), of_bias(bias)),
            "im2col": fcconv.im2col(of_x(x), case.weight[2:], **windows),
            "max_pool": fcconv.max_pool(of_x(x), **pool),
            "dense_to_conv": fcconv.dense_to_conv(of_weight(flat), block),
            "dense_to_conv1x1": fcconv.dense_to_conv1x1(of_weight(flat)),
            "conv_to_dense": fcconv.conv_to_dense(of_weight(weight), case.x[1:], **case.arguments),
        }
        if dtype != "int64":
            found["avg_pool"] = fcconv.avg_pool(of_x(x), **pool)
        return found

    expected = results(np.ascontiguousarray, np.ascontiguousarray, np.ascontiguousarray)
    for name, result in results(of_x, of_weight, of_bias).items():
        assert result.dtype == np.dtype(dtype), name
        assert_identical(result, expected[name], (name, case))


def test_inputs_stay_as_they_are() -> None:
    x, weight = normal(0, (2, 3, 4, 4), "float32"), normal(1, (5, 3, 4, 4), "float32")
    bias = normal(2, (5,), "float32")
    before = [array.tobytes() for array in (x, weight, bias)]
    results = [
        fcconv.conv(x, weight, bias),
        fcconv.conv1x1(x, weight[..., 0, 0], bias),
        fcconv.dense(x[0, 0, 0, :3], weight[..., 0, 0], bias),
        fcconv.im2col(x, (4, 4)),
        fcconv.im2col(x, 1),
        fcconv.max_pool(x, 1),
        fcconv.avg_pool(x, 1),
        fcconv.dense_to_conv1x1(weight[..., 0, 0]),
        fcconv.dense_to_conv(weight[:, 0, 0], (1, 1, 4)),
    ]
    for result in results:
        result[...] = 0  # no result is a view of an argument, nor read-only
    assert [array.tobytes() for array in (x, weight, bias)] == before


def test_a_kernel_that_covers_its_input_is_not_copied() -> None:
    x, weight = normal(0, (1, 64, 7, 7), "float32"), normal(1, (256, 64, 7, 7), "float32")
    fcconv.conv(x, weight)
    tracemalloc.start()
    fcconv.conv(x, weight)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.nbytes
