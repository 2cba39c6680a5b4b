"""NumPy arrays of every memory layout give the results of plain ones."""

from __future__ import annotations

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
    of_x=layouts,
    of_weight=layouts,
)
def test_layouts_do_not_matter(
    dtype: str, case: ConvCase, seed: int, of_x: Any, of_weight: Any
) -> None:
    x, weight = integers(seed, case.x, dtype), integers(seed + 1, case.weight, dtype)
    kernel = case.weight[2:]
    windows = {key: value for key, value in case.arguments.items() if key != "groups"}

    def results(x: Array, weight: Array) -> dict[str, Any]:
        return {
            "conv": fcconv.conv(x, weight, **case.arguments),
            "im2col": fcconv.im2col(x, kernel, **windows),
            "conv1x1": fcconv.conv1x1(x, np.resize(weight, (2, case.x[1]))),
            "dense": fcconv.dense(x, np.resize(weight, (2, case.x[-1]))),
            "max_pool": fcconv.max_pool(x, 1, stride=2),
        }

    expected = results(x, weight)
    for name, result in results(of_x(x), of_weight(weight)).items():
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
