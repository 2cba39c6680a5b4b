"""The finite field knows types: what is not arithmetic of the reals is told apart by them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fcconv_numpy
from fcconv.errors import UnsupportedError
from fcconv.geometry import window
from fcconv_modular import Field, field_of
from fcconv_modular.residues import Residues

TYPES = ("int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")


def _of(field: Field, dtype: str, *numbers: float) -> Residues:
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    return field.asarray(np.array(numbers, kind))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("key", range(3))
def test_floats_divide_and_integers_do_not(dtype: str, key: int) -> None:
    field = field_of(key)
    seven, two = _of(field, dtype, 7), _of(field, dtype, 2)
    back = field.multiply(field.divide(seven, two), two)
    assert back.equals(seven) == (dtype in ("float16", "bfloat16", "float32", "float64"))


@pytest.mark.parametrize("dtype", TYPES)
def test_no_two_types_share_a_function(dtype: str) -> None:
    field = field_of(1)
    others = {
        other: field.elementwise("f", lambda _xp, x: x, _of(field, other, 3)) for other in TYPES
    }
    mine = others.pop(dtype)
    assert not any(np.array_equal(mine.numbers, made.numbers) for made in others.values())
    target = np.dtype(np.int16)
    cast = [
        field.elementwise("Cast", lambda _xp, x, to=to: x.astype(to), _of(field, dtype, 3))
        for to in (np.int16, np.uint16, np.float16)
    ]
    assert cast[0].dtype == target
    assert len({int(made.numbers[0]) for made in cast}) == 3


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_beyond_those_of_float64_are_told_apart(dtype: str) -> None:
    field = field_of(0)
    numbers = field.asarray(np.array([2**60, 2**60 + 1], dtype))
    assert numbers.numbers[1] == (numbers.numbers[0] + 1) % field.prime
    assert int(field.asarray(np.array(-1)).numbers) == field.prime - 1


def test_minus_zero_is_not_zero() -> None:
    field = field_of(0)
    minus, zero = field.asarray(np.array([-0.0, 0.0], np.float32)).numbers
    assert zero == 0
    assert minus != 0


def test_booleans_are_not_added() -> None:
    field = field_of(0)
    truth = field.asarray(np.ones(2, bool))
    calls: list[Any] = [
        lambda: field.add(truth, truth),
        lambda: field.reduce_sum(truth, [0]),
        lambda: field.matmul(truth, truth),
    ]
    for call in calls:
        with pytest.raises(UnsupportedError, match="type bool are not added"):
            call()


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 2, 7])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_windows_add_up_all_their_entries(
    rank: int, kernel: int, stride: int, dilation: int
) -> None:
    field, size = field_of(0), (17, 16, 15)[:rank]
    numbers = np.random.default_rng(0).integers(0, field.prime, (2, 2, *size))
    moves = window(size, kernel, stride, [(1, 0), (2, 1), (0, 0)][:rank], dilation)
    ones = np.ones(moves.output, np.int64)
    sums = field.avg_pool(Residues(numbers, np.dtype(np.float32)), moves, ones).numbers
    columns = fcconv_numpy.im2col(numbers, moves).reshape(2, 2, kernel**rank, *moves.output)
    assert np.array_equal(sums, columns.sum(2) % field.prime)


def test_residues_are_no_shape() -> None:
    with pytest.raises(UnsupportedError, match="as a shape, or as places"):
        np.asarray(field_of(0).asarray([1.0]))


def test_fields_of_one_key_count_each_by_itself() -> None:
    field = field_of(1)
    field.multiply(field.asarray([0.5]), field.asarray([2.5]))
    assert field.false_agreement() > field_of(1).false_agreement() == 0
