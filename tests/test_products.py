"""Matrix products of the NumPy backend, divided among worker threads: the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import definitions
import fcconv
import three_forms
from fcconv_numpy import products
from fcconv_numpy.threads import share

PARTS = 3


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Divide every product, and count the parts."""
    counts: list[int] = []

    def counted(work: Any, items: Any, workers: int) -> None:
        counts.append(len(items))
        share(work, items, workers)

    monkeypatch.setattr(products, "MIN_PARALLEL_MULTIPLICATIONS", 0)
    monkeypatch.setattr(products, "product_threads", lambda: PARTS)
    monkeypatch.setattr(products, "share", counted)
    return counts


@pytest.mark.parametrize("into", [False, True], ids=["new", "into"])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((7, 3), (3, 5)),
        ((5, 3), (3, 7)),
        ((2, 1, 3, 4), (5, 4, 1)),
        ((1, 4), (2, 4, 9)),
        ((2, 3), (3, 2)),
        ((0, 3), (3, 4)),
        ((4, 0), (0, 2)),
        ((0, 4, 3), (3, 2)),
        ((1, 9), (9, 1)),
    ],
    ids=str,
)
def test_parts_make_the_whole(
    a: tuple[int, ...], b: tuple[int, ...], bias: bool, into: bool, parts: list[int]
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(-9, 9, a), rng.integers(-9, 9, b[::-1]).T  # whose columns lie in one piece
    shift = rng.integers(-9, 9, (a[-2], 1)) if bias else None
    right = x @ y + (0 if shift is None else shift)
    out = np.zeros((*right.shape, 2), right.dtype)[..., 0] if into else None
    made = products.matrix_product(x, y, shift, out)
    assert parts == [max(min(PARTS, max(right.shape[-2:])), 1)]
    assert np.array_equal(made, right)
    assert out is None or made is out


def test_dtypes_are_promoted(parts: list[int]) -> None:
    x, y = np.ones((3, 2), np.float32), np.full((2, 3), 1 / 3)
    assert np.array_equal(products.matrix_product(x, y), x @ y)
    assert parts == [PARTS]


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    "definition",
    [
        definitions.conv,
        definitions.conv_on_floats,
        definitions.integers_are_exact_modulo_their_size,
        three_forms.equal_on_integers,
        three_forms.agree_on_floats,
    ],
    ids=lambda definition: definition.__name__,
)
def test_definitions_hold(definition: Callable[..., None]) -> None:
    definition(fcconv.backend("numpy"))


def test_small_products_are_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "share", None)
    monkeypatch.setattr(products, "product_threads", lambda: PARTS)
    assert products.matrix_product(np.ones((9, 9)), np.ones((9, 9)))[0, 0] == 9
