"""Blocks cover an array, each entry once, and are as large as is allowed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fcconv.images.blocks import blocks

axes = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 7)), min_size=1, max_size=3)
"""Entries and those that stay together, along each axis."""


@given(axes, st.integers(1, 500))
def test_blocks_cover_each_entry_once_in_whole_units(cut: Any, most: int) -> None:
    size, unit = zip(*cut, strict=True)
    seen = np.zeros(size, np.int64)
    for block in blocks(size, unit, most):
        seen[block] += 1
        lengths = [part.stop - part.start for part in block]
        one_unit = all(n <= m for n, m in zip(lengths, unit, strict=True))
        assert math.prod(lengths) <= most or one_unit
        for part, n, m in zip(block, size, unit, strict=True):
            assert part.start % min(m, n) == 0
            assert part.stop % min(m, n) == 0 or part.stop == n
    assert (seen == 1).all()


def test_blocks_are_as_large_as_is_allowed() -> None:
    assert len(list(blocks((100, 100), (1, 1), 10_000))) == 1
    assert next(iter(blocks((100, 100), (1, 1), 2500))) == (slice(0, 50), slice(0, 50))
    assert next(iter(blocks((100, 100), (1, 100), 2500))) == (slice(0, 25), slice(0, 100))
