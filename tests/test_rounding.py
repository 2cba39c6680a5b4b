"""The rounding bounds hold, and are tight enough to notice a lost digit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcconv import ArgumentError, DtypeError, rounding
from strategies import as_dtype, normal, seeds

terms = st.integers(1, 300)


@given(dtype=st.sampled_from(["float32", "float64"]), n=terms, seed=seeds)
def test_sums_in_any_order_stay_within_the_bound(dtype: str, n: int, seed: int) -> None:
    products = normal(seed, (n,), dtype) * normal(seed + 1, (n,), dtype)
    x, w = normal(seed, (n,), dtype), normal(seed + 1, (n,), dtype)
    exact = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x, w, strict=True))
    magnitude = np.abs(x).astype(float) @ np.abs(w).astype(float)
    bound = rounding.dot_bound(magnitude, n, dtype)
    forward = reversed_ = products.dtype.type(0)
    for product in products:
        forward += product
    for product in products[::-1]:
        reversed_ += product
    for total in (forward, reversed_, products.sum(), x @ w):
        assert abs(Fraction(float(total)) - exact) <= Fraction(float(bound))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@given(value=st.floats(-1000, 1000))
def test_narrow_floats_are_rounded_once_more(dtype: str, value: float) -> None:
    rounded = float(np.float64(value).astype(np.float32).astype(as_dtype(dtype)))
    assert abs(rounded - value) <= rounding.dot_bound(abs(value), 1, dtype)


@pytest.mark.parametrize(
    ("dtype", "digits"), [("float64", 53), ("float32", 24), ("float16", 11), ("bfloat16", 8)]
)
def test_unit_roundoff(dtype: str, digits: int) -> None:
    kind = as_dtype(dtype)
    assert rounding.unit_roundoff(kind) == 2.0**-digits
    above = kind.type(1 + 2.0 ** (1 - digits))
    assert float(above) > 1
    assert float(kind.type(1 + 2.0**-digits)) == 1  # halfway, to even


def test_bound_is_tight_enough_to_tell_precisions_apart() -> None:
    assert rounding.dot_bound(1.0, 100, "float32") < 1e-5 < rounding.dot_bound(1.0, 100, "float16")
    assert rounding.dot_bound(1.0, 100, "float64") < 1e-13


def test_too_many_terms_have_no_bound() -> None:
    with pytest.raises(ArgumentError, match=r"terms=16777216 roundings in float32 have no bound"):
        rounding.gamma(2**24, "float32")
    with pytest.raises(ArgumentError, match="terms needs an integer from 0"):
        rounding.gamma(-1, "float32")


@pytest.mark.parametrize("dtype", ["float23", "int32", "complex64", bool])
def test_only_floats_round(dtype: Any) -> None:
    with pytest.raises(DtypeError, match="needs a floating point dtype"):
        rounding.dot_bound(1.0, 2, dtype)
