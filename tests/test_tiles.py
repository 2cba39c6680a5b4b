"""The plans of the NumPy backend: every window once, in their memory, on any number of threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import definitions
import fcconv
import fcconv_numpy
from fcconv_numpy import plan as planning
from fcconv_numpy.columns import WORKSPACE
from fcconv_numpy.plan import (
    MAX_TILE_BYTES,
    MIN_PARALLEL_MULTIPLICATIONS,
    MIN_WINDOWS,
    TILE_BYTES,
    Tiling,
    plan,
)


def lengths(largest: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Images, groups, and windows along one to three axes."""
    windows = st.lists(st.integers(1, largest), min_size=1, max_size=3)
    return st.tuples(st.integers(0, 9), st.integers(1, 9), windows).map(
        lambda drawn: (drawn[0], drawn[1], *drawn[2])
    )


@given(
    lengths=lengths(40),
    column=st.integers(1, 10**6),
    work=st.integers(1, MIN_PARALLEL_MULTIPLICATIONS),
    threads=st.integers(1, 4),
)
def test_plans_stay_within_their_memory(
    lengths: tuple[int, ...], column: int, work: int, threads: int
) -> None:
    chosen = plan(lengths, column, work, threads)
    if math.prod(lengths) * work < MIN_PARALLEL_MULTIPLICATIONS:
        assert chosen.workers == 1
    sizes = [-(-n // parts) for n, parts in zip(lengths, chosen.parts, strict=True)]
    windows = math.prod(sizes)
    limit = (
        TILE_BYTES
        if MIN_WINDOWS * column <= TILE_BYTES
        else min(MIN_WINDOWS * column, MAX_TILE_BYTES)
    )
    assert windows == 1 or windows * column <= limit
    if chosen.workers > 1 or not windows:
        return
    # no smaller than it has to be: one more along the axis that is cut would not fit
    axis = next((axis for axis, parts in enumerate(chosen.parts) if parts > 1), None)
    if axis is not None:
        fewer = -(-lengths[axis] // (chosen.parts[axis] - 1))
        assert windows // sizes[axis] * fewer * column > limit


@pytest.mark.parametrize(
    ("lengths", "column", "parts"),
    [
        ((1, 1, 7, 7), 1, (1, 1, 2, 1)),  # fits as a whole, and is cut for the threads
        ((1, 1, 9, 2), TILE_BYTES // 6, (1, 1, 4, 1)),  # three tiles would leave a thread idle
        ((3, 1, 8), TILE_BYTES // 8, (3, 1, 2)),  # as would three images
        ((1, 5, 1), 1, (1, 2, 1)),
        ((1, 1, 1), 1, (1, 1, 1)),
    ],
)
def test_each_thread_has_as_many_tiles(
    lengths: tuple[int, ...], column: int, parts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MIN_WINDOWS", 1)
    workers = min(2, math.prod(lengths))
    assert plan.__wrapped__(lengths, column, MIN_PARALLEL_MULTIPLICATIONS, 2) == Tiling(
        parts, workers
    )


@given(lengths=lengths(40), column=st.integers(1, 10**6), threads=st.integers(1, 9))
def test_no_thread_is_idle(lengths: tuple[int, ...], column: int, threads: int) -> None:
    chosen = plan(lengths, column, MIN_PARALLEL_MULTIPLICATIONS, threads)
    tiles = sum(1 for _ in chosen.tiles(lengths))
    assert tiles >= chosen.workers
    assert chosen.workers == min(threads, max(math.prod(lengths), 1)) or not math.prod(lengths)


@given(
    lengths=lengths(6),
    column=st.sampled_from([1, 2**17, 2**19, 2**20, 2**22]),
    work=st.sampled_from([0, MIN_PARALLEL_MULTIPLICATIONS]),
    threads=st.integers(1, 3),
)
def test_tiles_hold_every_window_once_and_in_one_piece(
    lengths: tuple[int, ...], column: int, work: int, threads: int
) -> None:
    seen = np.zeros(lengths, int)
    numbers = np.arange(seen.size).reshape(lengths)
    for tile in plan(lengths, column, work, threads).tiles(lengths):
        part = tuple(slice(*range_) for range_ in (tile.images, tile.groups, *tile.cells))
        seen[part] += 1
        assert (np.diff(numbers[part].ravel()) == 1).all(), tile
    assert (seen == 1).all()


@pytest.fixture(
    params=itertools.product([1, 3], [8, 200, 10**6]), ids=lambda cut: f"{cut[0]}x{cut[1]}"
)
def cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut everything into tiles of a few bytes, on one thread or several."""
    threads, size = request.param
    limits = {
        "TILE_BYTES": size,
        "MAX_TILE_BYTES": size,
        "MIN_WINDOWS": 1,
        "MIN_PARALLEL_MULTIPLICATIONS": 1 if threads > 1 else 9**99,
    }
    for name, value in limits.items():
        monkeypatch.setattr(planning, name, value)
    for module in ("convolution", "pooling"):
        monkeypatch.setattr(f"fcconv_numpy.{module}.blas_threads", lambda: threads)
    plan.cache_clear()
    yield
    plan.cache_clear()


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize(
    "definition",
    [
        definitions.conv,
        definitions.conv_on_floats,
        definitions.integers_are_exact_modulo_their_size,
        definitions.max_pool,
        definitions.avg_pool_on_floats,
    ],
    ids=lambda definition: definition.__name__,
)
def test_definitions_hold_in_tiles(definition: Callable[..., None]) -> None:
    definition(fcconv.backend("numpy"))


def test_each_thread_has_its_own_workspace() -> None:
    own = WORKSPACE.take("columns", (4,), np.dtype(np.int64))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(WORKSPACE.take, "columns", (4,), np.dtype(np.int64)).result()
    assert np.may_share_memory(own, WORKSPACE.take("columns", (4,), np.dtype(np.int64)))
    assert not np.may_share_memory(own, other)


def test_nothing_is_returned_that_a_later_call_overwrites() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.random((2, 3, 20, 20)), rng.random((4, 3, 3, 3))
    pooled, convolved = fcconv.max_pool(x, 3, padding=1), fcconv.conv(x, weight, padding=1)
    columns = fcconv.im2col(x, 3, padding=1)
    before = [array.copy() for array in (pooled, convolved, columns)]
    fcconv.max_pool(-x, 3, padding=1)
    fcconv.conv(-x, weight, padding=1)
    fcconv.im2col(-x, 3, padding=1)
    for array, kept in zip((pooled, convolved, columns), before, strict=True):
        assert np.array_equal(array, kept)
    assert not np.may_share_memory(fcconv.max_pool(x, 1), x)
    assert fcconv.backend(pooled) is fcconv_numpy
